"""How a client comes to the Xet store: its address, and the token that opens it for one repo."""

import time

from sqlalchemy.orm import Session

from utils.hub.accounts import Caller
from utils.hub.routes.call import Call
from utils.hub.tables import Repo

VALID = 15 * 60  # seconds
READ, WRITE, PROPOSE = "xet-read", "xet-write", "xet-propose"  # what a token is for


def address(call: Call, db: Session, caller: Caller | None) -> str:
    """Each account has one of its own: clients keep apart what they remember of the chunks at different addresses."""
    return f"{call.base}/-/xet/{call.hub.xet.key(db, caller.account.id if caller else 0).hex()[:16]}"


def headers(call: Call, db: Session, purpose: str, repo: Repo, caller: Caller | None) -> dict[str, str]:
    """The store's address, a new token, and when that ends (unix seconds)."""
    holder = [caller.token.id, caller.token.created_at.isoformat()] if caller else None
    return {
        "X-Xet-Cas-Url": address(call, db, caller),
        "X-Xet-Access-Token": call.hub.signer.dumps([purpose, repo.id, holder]),
        "X-Xet-Token-Expiration": str(int(time.time()) + VALID),
    }


def refresh_url(call: Call, repo: Repo, what: str) -> str:
    """Where a new token is to be had; `what` is "xet-read-token/main" or the like."""
    return f"{call.base}/api/{repo.kind}s/{repo.full_name}/{what}"
