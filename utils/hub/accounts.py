"""Users, organisations and tokens."""

import hashlib
import re
import secrets
from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from utils.hub.errors import HubError, bad_credentials, conflict, invalid
from utils.hub.tables import AccessRequest, Account, Membership, Repo, Token

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
    "logout",
    "uploads",
    "papers",
    "oauth",
    "openapi.json",
    "v1",
    "-",
}


ROLES = ("admin", "write", "contributor", "read")  # in an organisation; a contributor changes the repos he made
TOKEN_ROLES = ("read", "write", "fineGrained")
# What a fine-grained token may be given on a repo, or on all repos of a namespace, in the Hub's own words.
READ, WRITE, DISCUSS = PERMISSIONS = ("repo.content.read", "repo.write", "discussion.write")
MOST_TOKENS = 200  # of one account


@dataclass(frozen=True)
class Caller:
    """Who sends a request, and with what: the account's rights, cut down to those of the token."""

    account: Account
    token: Token

    @property
    def can_write(self) -> bool:
        """Whether the token may change anything at all."""
        return self.token.role == "write" or any({WRITE, DISCUSS} & {*scope["permissions"]} for scope in self._scopes)

    @property
    def _scopes(self) -> list[dict]:
        return (self.token.fine_grained or {}).get("scoped", [])

    def _allows(self, permissions: set[str], entity: str, name: str) -> bool:
        """Whether the token reaches so far; `entity` is "user", "org" or a kind of repo, `name` in any letter case."""
        if self.token.role == "write":
            return True
        if self.token.role == "read":
            return READ in permissions
        return any(
            permissions & {*scope["permissions"]}
            for scope in self._scopes
            if (scope["entity"]["type"], scope["entity"]["name"].lower()) == (entity, name.lower())
        )

    def _allows_on(self, repo: Repo, *permissions: str) -> bool:
        wanted = {*permissions}
        return self._allows(wanted, repo.kind, repo.full_name) or self._allows(wanted, repo.owner.kind, repo.owner.name)

    @property
    def readable_entities(self) -> list[tuple[str, str]] | None:
        """(type, name in lower case) of all whose private repos the token reaches; None where it reaches everything."""
        if self.token.role != "fineGrained":
            return None
        readable = (scope for scope in self._scopes if {READ, WRITE} & {*scope["permissions"]})
        return [(scope["entity"]["type"], scope["entity"]["name"].lower()) for scope in readable]

    def role_in(self, db: Session, account_id: int) -> str | None:
        """The account's role in its own namespace ("admin") or an organisation's; None for a stranger."""
        if account_id == self.account.id or self.account.admin:
            return "admin"
        membership = db.get(Membership, (account_id, self.account.id))
        return membership.role if membership else None

    def may_read(self, db: Session, repo: Repo) -> bool:
        """Whether the caller may know of the repo."""
        return not repo.private or self._is_member(db, repo)

    def _is_member(self, db: Session, repo: Repo) -> bool:
        return self.role_in(db, repo.owner_id) is not None and self._allows_on(repo, READ, WRITE)

    def may_read_files(self, db: Session, repo: Repo) -> bool:
        """Whether the caller may read the files of a repo that he may know of: a gated one shows them to few."""
        if not repo.gated or self._is_member(db, repo):
            return True
        if self.token.role == "fineGrained" and not self._reaches_gated(repo):
            return False
        request = db.get(AccessRequest, (repo.id, self.account.id))
        return request is not None and request.status == "accepted"

    def _reaches_gated(self, repo: Repo) -> bool:
        return (self.token.fine_grained or {}).get("canReadGatedRepos", False) or self._allows_on(repo, READ, WRITE)

    def may_write(self, db: Session, repo: Repo) -> bool:
        """Whether the caller may change the repo."""
        role = self.role_in(db, repo.owner_id)
        is_his = role in ("admin", "write") or (role == "contributor" and repo.creator_id == self.account.id)
        return is_his and self._allows_on(repo, WRITE)

    def may_discuss(self, db: Session, repo: Repo) -> bool:
        """Whether the caller may open discussions and pull requests in the repo, and comment there."""
        return self.may_read(db, repo) and (
            self.token.role == "write" or self._allows_on(repo, DISCUSS) or self.may_write(db, repo)
        )

    def may_create(self, db: Session, owner: Account) -> bool:
        """Whether the caller may make repos in a namespace."""
        return self.role_in(db, owner.id) in ("admin", "write", "contributor") and self._allows(
            {WRITE}, owner.kind, owner.name
        )


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
    """Makes the user a member, or gives a member another role. Raises HubError 400 for a role that is none."""
    if role not in ROLES:
        raise invalid(f"Invalid role: {role!r} is none of {', '.join(ROLES)}")
    db.merge(Membership(org_id=org.id, user_id=user.id, role=role))


def digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def add_token(
    db: Session,
    account: Account,
    name: str,
    role: str = "write",
    token: str | None = None,
    scopes: dict[tuple[str, str], Iterable[str]] | None = None,
    gated: bool = False,
) -> str:
    """Gives the account a token and returns it: the only time it can be read.

    `scopes` makes it fine-grained: (kind of repo, "user" or "org"; name) → permissions there. `gated` lets such a
    token read the gated repos that the account has access to. Raises HubError 400 or 409.
    """
    fine_grained = None
    if scopes is not None:
        role = "fineGrained"
        scoped = [{"entity": {"type": t, "name": n}, "permissions": sorted(p)} for (t, n), p in scopes.items()]
        if any(not {*scope["permissions"]} <= {*PERMISSIONS} for scope in scoped):
            raise invalid(f"Invalid permissions: a token may have {', '.join(PERMISSIONS)}")
        fine_grained = {"canReadGatedRepos": gated, "global": [], "scoped": scoped}
    if role not in TOKEN_ROLES:
        raise invalid(f"Invalid role: {role!r} is none of {', '.join(TOKEN_ROLES)}")
    if not name.strip() or len(name) > 100:
        raise invalid("A token has a name of at most 100 characters")
    named = tokens(db, account)
    if len(named) >= MOST_TOKENS:
        raise conflict(f"{account.name} has {MOST_TOKENS} tokens: revoke one first")
    if any(other.name == name for other in named):
        raise conflict(f"{account.name} already has a token named {name}")
    token = token or "hf_" + "".join(secrets.choice(ALPHABET) for _ in range(34))
    if knows(db, token):
        raise conflict("This token already exists")
    db.add(Token(account_id=account.id, name=name, role=role, digest=digest(token), fine_grained=fine_grained))
    return token


def entity(db: Session, place: str) -> tuple[str, str]:
    """(type, name) of what a scope is about: "OWNER/NAME" is a model, "datasets/OWNER/NAME" says so, "OWNER" is all.

    Raises HubError 404.
    """
    kind, slash, rest = place.partition("/")
    if kind in ("models", "datasets", "spaces") and "/" in rest:
        return kind[:-1], rest
    if slash:
        return "model", place
    account = find(db, place)
    if account is None:
        raise HubError(404, f"No such user or organisation: {place}")
    return account.kind, account.name


def tokens(db: Session, account: Account) -> list[Token]:
    return list(db.scalars(select(Token).where(Token.account_id == account.id).order_by(Token.id)))


def revoke(db: Session, account: Account, name: str) -> None:
    """Ends a token: from the next request on it opens nothing. Raises HubError 404."""
    found = db.scalar(select(Token).where(Token.account_id == account.id, Token.name == name))
    if found is None:
        raise HubError(404, f"{account.name} has no token named {name}")
    db.delete(found)


ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"


def knows(db: Session, token: str) -> bool:
    return db.scalar(select(Token.id).where(Token.digest == digest(token))) is not None


def authenticate(db: Session, token: str) -> Caller:
    """The caller that `token` stands for. Raises HubError 401."""
    found = db.scalar(select(Token).where(Token.digest == digest(token)))
    if found is None:
        raise bad_credentials()
    return Caller(found.account, found)


def members(db: Session, org: Account) -> list[tuple[Account, str]]:
    """The members of an organisation, each with the role there, by name."""
    rows = db.scalars(select(Membership).where(Membership.org_id == org.id)).all()
    return sorted(((m.user, m.role) for m in rows), key=lambda pair: pair[0].key)


def organisations(db: Session, account: Account) -> list[tuple[Account, str]]:
    """The organisations of a user, each with the user's role in it, by name."""
    rows = db.scalars(select(Membership).where(Membership.user_id == account.id)).all()
    return sorted(((m.org, m.role) for m in rows), key=lambda pair: pair[0].key)
