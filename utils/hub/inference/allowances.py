"""How much inference an account may still ask for: calls that are paid for, and calls in a minute.

Endless unless somebody sets them: a teacher for a class, or a student who wants to meet a 402 or a 429.
"""

import math
import threading
import time
from collections import defaultdict, deque

from sqlalchemy import update
from sqlalchemy.orm import Session

from utils.hub.errors import HubError
from utils.hub.tables import Account, Allowance

MINUTE = 60  # seconds


class Allowances:
    """Spends them. The last minute's calls are counted in memory."""

    def __init__(self):
        self._asked: dict[int, deque[float]] = defaultdict(deque)  # by account: when, on the monotonic clock
        self._lock = threading.Lock()

    def spend(self, db: Session, account: Account) -> None:
        """Counts one call. Raises HubError 402 when no credit is left, 429 when too many came in a minute."""
        allowance = db.get(Allowance, account.id)
        if allowance is None:
            return
        if allowance.per_minute is not None:
            self._in_this_minute(account, allowance.per_minute)
        if allowance.calls is not None:
            left = update(Allowance).where(Allowance.account_id == account.id, Allowance.calls > 0)
            if not db.execute(left.values(calls=Allowance.calls - 1)).rowcount:
                raise HubError(
                    402,
                    "You have used up the inference credit of your account. Ask the one who runs this Hub for more, "
                    "or run the model yourself with transformers.",
                )

    def _in_this_minute(self, account: Account, most: int) -> None:
        now = time.monotonic()
        with self._lock:
            asked = self._asked[account.id]
            while asked and now - asked[0] >= MINUTE:
                asked.popleft()
            if len(asked) >= most:
                wait = math.ceil(MINUTE - (now - asked[0])) if asked else MINUTE
                raise HubError(
                    429,
                    f"Too many requests: {most} in a minute are served. Wait {wait} seconds.",
                    headers={
                        "Retry-After": str(wait),
                        "RateLimit": f'"inference";r=0;t={wait}',
                        "RateLimit-Policy": f'"fixed window";"inference";q={most};w={MINUTE}',
                    },
                )
            asked.append(now)


def allow(db: Session, account: Account, *, calls: int | None, per_minute: int | None) -> None:
    """Sets what an account may ask for from now on; None is endless."""
    db.merge(Allowance(account_id=account.id, calls=calls, per_minute=per_minute))
