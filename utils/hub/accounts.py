"""Users, organisations and tokens."""

import hashlib
import re
import secrets
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from utils.hub.errors import bad_credentials, conflict, invalid
from utils.hub.tables import Account, Membership, Repo, Token

NAME = re.compile(r"(?!.*(?:--|\.\.))[A-Za-z0-9_](?:[A-Za-z0-9._-]{0,94}[A-Za-z0-9_])?")
RESERVED = {
    "api",
    "datasets",
    "spaces",
    "models",
    "kernels",
    "buckets",
    "collections",
    "settings",
    "join",
    "login",
    "-",
}


@dataclass(frozen=True)
class Caller:
    """Who sends a request, and with what: `role` is the token's, not the account's."""

    account: Account
    token: Token

    @property
    def can_write(self) -> bool:
        return self.token.role == "write"

    def role_in(self, db: Session, account_id: int) -> str | None:
        """ "admin", "write" or "read" in one's own namespace or an organisation's; None for a stranger."""
        if account_id == self.account.id or self.account.admin:
            return "admin"
        membership = db.get(Membership, (account_id, self.account.id))
        return membership.role if membership else None

    def may_read(self, db: Session, repo: Repo) -> bool:
        return not repo.private or self.role_in(db, repo.owner_id) is not None

    def may_write(self, db: Session, account_id: int) -> bool:
        return self.can_write and self.role_in(db, account_id) in ("admin", "write")


def find(db: Session, name: str) -> Account | None:
    return db.scalar(select(Account).where(Account.key == name.lower()))


def add(db: Session, name: str, *, kind: str = "user", fullname: str | None = None, **flags: bool) -> Account:
    """A new account. Raises HubError 400 for a bad name, 409 for one that is taken."""
    if not NAME.fullmatch(name) or name.lower() in RESERVED:
        raise invalid(f"Invalid name: {name!r}")
    if find(db, name):
        raise conflict(f"The name {name} is already taken")
    account = Account(kind=kind, name=name, key=name.lower(), fullname=fullname or name, **flags)
    db.add(account)
    db.flush()
    return account


def join(db: Session, user: Account, org: Account, role: str = "write") -> None:
    db.merge(Membership(org_id=org.id, user_id=user.id, role=role))


def digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def add_token(db: Session, account: Account, name: str, role: str = "write", token: str | None = None) -> str:
    """Gives the account a token and returns it: the only time it can be read."""
    token = token or "hf_" + "".join(secrets.choice(ALPHABET) for _ in range(34))
    if db.scalar(select(Token).where(Token.digest == digest(token))):
        raise conflict("This token already exists")
    db.add(Token(account_id=account.id, name=name, role=role, digest=digest(token)))
    return token


ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"


def knows(db: Session, token: str) -> bool:
    return db.scalar(select(Token.id).where(Token.digest == digest(token))) is not None


def authenticate(db: Session, token: str) -> Caller:
    """The caller that `token` stands for. Raises HubError 401."""
    found = db.scalar(select(Token).where(Token.digest == digest(token)))
    if found is None:
        raise bad_credentials()
    return Caller(found.account, found)


def organisations(db: Session, account: Account) -> list[tuple[Account, str]]:
    """The organisations of a user, each with the user's role in it, by name."""
    rows = db.scalars(select(Membership).where(Membership.user_id == account.id)).all()
    return sorted(((m.org, m.role) for m in rows), key=lambda pair: pair[0].key)
