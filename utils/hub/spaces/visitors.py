"""Who comes to a Space: by a token in a header, or in a browser by a ticket of the Hub's page, which a cookie keeps.

The tickets are for one Space each: a browser sends the cookies of a host to all of its ports, so to every Space.
"""

from collections.abc import Mapping

from itsdangerous import BadSignature, URLSafeTimedSerializer
from sqlalchemy.orm import Session

from utils.hub import accounts
from utils.hub.accounts import Caller
from utils.hub.errors import HubError
from utils.hub.hub import Hub
from utils.hub.tables import Repo, Token

PARAMETER = "__sign"  # in a link to a Space, as on the real Hub
ON_THE_WAY, REMEMBERED = 300, 24 * 3600  # seconds that a ticket is good in a link, and in a cookie
OURS = ("pathshala", "pathshala-space-")  # cookies that no app is to see: the Hub's own, and these


def cookie(repo: Repo) -> str:
    return f"pathshala-space-{repo.id}"


def ticket(hub: Hub, repo: Repo, caller: Caller) -> str:
    return _signer(hub).dumps([repo.id, caller.token.id, caller.token.created_at.isoformat()])


def with_ticket(hub: Hub, db: Session, repo: Repo, signed: str, age: int) -> Caller | None:
    """Whoever the ticket was given to, if it is for this Space and the token still counts."""
    try:
        number, token_id, created = _signer(hub).loads(signed, max_age=age)
    except (BadSignature, TypeError, ValueError):
        return None
    token = db.get(Token, token_id)
    if number != repo.id or token is None or token.created_at.isoformat() != created:
        return None
    return Caller(token.account, token)


def who(hub: Hub, db: Session, repo: Repo, headers: Mapping[str, str], cookies: Mapping[str, str]) -> Caller | None:
    """Who asks, by a request's headers (names in lower case); None for a stranger."""
    for name in ("x-hf-authorization", "authorization"):
        scheme, _, token = headers.get(name, "").partition(" ")
        if scheme.lower() == "bearer" and token.strip():
            try:
                return accounts.authenticate(db, token.strip())
            except HubError:
                continue  # for the app, perhaps
    if signed := cookies.get(cookie(repo)):
        return with_ticket(hub, db, repo, signed, REMEMBERED)
    return None


def may_enter(db: Session, repo: Repo, caller: Caller | None) -> bool:
    return caller.may_read(db, repo) if caller else not repo.private


def is_ours(db: Session, authorization: str) -> bool:
    """Whether a header's value holds a token of the Hub, which no app is to see."""
    token = authorization.partition(" ")[2].strip()
    return token.startswith("hf_") or accounts.knows(db, token)


def _signer(hub: Hub) -> URLSafeTimedSerializer:
    return URLSafeTimedSerializer(hub.secret, salt="space")
