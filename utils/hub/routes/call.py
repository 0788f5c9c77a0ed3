"""One request as the routes see it: which Hub, who calls, which repo, and whether that is allowed."""

import base64
import binascii
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Annotated, Literal
from urllib.parse import quote, unquote

from fastapi import Depends, Path, Request
from pydantic import AfterValidator
from sqlalchemy.orm import Session
from starlette.convertors import Convertor, register_url_convertor

from utils.hub import accounts
from utils.hub.accounts import Caller
from utils.hub.errors import Moved, bad_credentials, gated, no_write, repo_not_found, unauthorized
from utils.hub.hub import Hub
from utils.hub.tables import AccessRequest, Repo

Kinds = Literal["models", "datasets", "spaces"]
Permission = Callable[[Caller, Session, Repo], bool]
PREFIXES = ("", "datasets/", "spaces/")  # of a repo's own pages and files: models stand at the root
# Routing happens on the raw path, where "refs%2Fpr%2F1" is one segment; handlers want it decoded.
Revision = Annotated[str, Path(), AfterValidator(unquote)]
InRepo = Annotated[str, Path(), AfterValidator(unquote)]


class KindConvertor(Convertor[str]):
    regex = "models|datasets|spaces"

    def convert(self, value: str) -> str:
        return value

    def to_string(self, value: str) -> str:
        return value


class RepoConvertor(KindConvertor):
    regex = "[^/]+/[^/]+?"


register_url_convertor("kind", KindConvertor())
register_url_convertor("repo", RepoConvertor())


def token_of(request: Request) -> str | None:
    """The token in the Authorization header: a bearer's, or the password of Basic (git and git-lfs send that)."""
    scheme, _, value = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return value.strip() or None
    if scheme.lower() == "basic":
        try:
            return base64.b64decode(value, validate=True).decode().partition(":")[2] or None
        except (binascii.Error, UnicodeDecodeError) as error:
            raise bad_credentials() from error
    return None


class Call:
    """A request to the Hub."""

    def __init__(self, request: Request):
        self.request = request
        self.hub: Hub = request.app.state.hub

    @property
    def base(self) -> str:
        """The address that the client used for this Hub, without a trailing slash."""
        return str(self.request.base_url).rstrip("/")

    def caller(self, db: Session) -> Caller | None:
        """Who calls; None without a token. Raises HubError 401 for a wrong one."""
        token = token_of(self.request)
        return accounts.authenticate(db, token) if token else None

    def signed_in(self, db: Session) -> Caller:
        caller = self.caller(db)
        if caller is None:
            raise unauthorized()
        return caller


class RepoCall(Call):
    """A request about one repo."""

    kind: str
    repo_id: str

    @contextmanager
    def reading(self) -> Iterator[tuple[Session, Repo]]:
        """The repo, if the caller may know of it: to a stranger a private repo does not exist."""
        with self.hub.db() as db:
            yield db, self._find(db, self.caller(db))

    @contextmanager
    def reading_files(self) -> Iterator[tuple[Session, Repo]]:
        """The same for its files, which a gated repo keeps back."""
        with self.hub.db() as db:
            caller = self.caller(db)
            repo = self._find(db, caller)
            if repo.gated and not (caller and caller.may_read_files(db, repo)):
                raise gated(repo.full_name, _asked(db, repo, caller))
            yield db, repo

    @contextmanager
    def _changing(self, may: Permission, refusal: str) -> Iterator[tuple[Session, Repo, Caller]]:
        with self.hub.db() as db:
            caller = self.caller(db)
            repo = self._find(db, caller)
            if caller is None:
                raise unauthorized()
            if not may(caller, db, repo):
                raise no_write(caller.can_write, refusal.format(repo.full_name))
            yield db, repo, caller

    def writing(self) -> AbstractContextManager[tuple[Session, Repo, Caller]]:
        """The repo, if the caller may change it. Raises HubError 401 or 403."""
        return self._changing(Caller.may_write, "you don't have the required permissions to write to {}")

    @contextmanager
    def discussing(self, *, files: bool = False) -> Iterator[tuple[Session, Repo, Caller]]:
        """The repo, if the caller may take part in its discussions; with `files`, if its files are open to him too.

        Raises HubError 401 or 403.
        """
        with self._changing(Caller.may_discuss, "this token may not take part in the discussions of {}") as granted:
            db, repo, caller = granted
            if files and not caller.may_read_files(db, repo):
                raise gated(repo.full_name, _asked(db, repo, caller))
            yield granted

    def _find(self, db: Session, caller: Caller | None) -> Repo:
        repo = self.hub.find(db, self.kind, self.repo_id)
        if not (caller.may_read(db, repo) if caller else not repo.private):
            raise repo_not_found()
        if repo.key != self.repo_id.lower():
            raise Moved(self.repo_id, repo.full_name)
        return repo


class ApiCall(RepoCall):
    """A request below `/api/models/…`, `/api/datasets/…` or `/api/spaces/…`."""

    def __init__(self, request: Request, kind: Kinds, repo: Annotated[str, Path(), AfterValidator(unquote)]):
        super().__init__(request)
        self.kind, self.repo_id = kind[:-1], repo


class PageCall(RepoCall):
    """A request to a repo's own address, where files and git live."""

    def __init__(self, request: Request, repo: Annotated[str, Path(), AfterValidator(unquote)]):
        super().__init__(request)
        first = request.scope["path"].split("/", 2)[1]
        self.kind = first[:-1] if first in ("datasets", "spaces") else "model"
        self.repo_id = repo.removeprefix(f"{self.kind}s/")  # of an old id without an owner: "datasets/squad"


AnyCall = Annotated[Call, Depends(Call)]
InApi = Annotated[ApiCall, Depends(ApiCall)]
OnPage = Annotated[PageCall, Depends(PageCall)]


def _asked(db: Session, repo: Repo, caller: Caller | None) -> str | None:
    """What became of the caller's wish to see a gated repo: a status, "new" before it, None for somebody unknown."""
    if caller is None:
        return None
    request = db.get(AccessRequest, (repo.id, caller.account.id))
    return request.status if request else "new"


def next_page(call: Call, **query: str) -> str:
    """A `Link` header's value that leads to the next page of this same listing."""
    url = call.request.url.include_query_params(**query)
    return f'<{url}>; rel="next"'


def url_of(path: str) -> str:
    return quote(path, safe="/!$&'()*+,;=:@-._~")
