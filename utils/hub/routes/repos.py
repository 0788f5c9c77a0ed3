"""A repo's life: created, looked at, set, renamed, deleted."""

from typing import Literal

from fastapi import APIRouter, Query
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from sqlalchemy.orm import Session

from utils.hub import accounts
from utils.hub.accounts import Caller
from utils.hub.errors import HubError, conflict, forbidden, invalid, not_served, repo_not_found
from utils.hub.git import Change, Pointer, check_path
from utils.hub.routes import info, spaces
from utils.hub.routes.call import AnyCall, Call, InApi, OnPage, Revision
from utils.hub.routes.commits import content_of
from utils.hub.tables import Account, Repo

router = APIRouter()
Kind = Literal["model", "dataset", "space"]
MOST_FILES = 100  # that a repo may be born with


class NewFile(BaseModel):
    path: str
    content: str
    encoding: Literal["base64", "utf-8"] = "utf-8"


class NewRepo(spaces.Wishes):
    name: str = Field(max_length=300)
    organization: str | None = None
    type: str | None = "model"
    visibility: Literal["public", "private", "protected"] | None = None
    private: bool | None = None
    sdk: Literal["gradio", "streamlit", "docker", "static"] | None = None
    license: str | None = None
    template: str | None = None
    files: list[NewFile] | None = Field(None, max_length=MOST_FILES)


def _kind(name: str | None) -> Kind:
    if name in (None, "model", "dataset", "space"):
        return name or "model"
    if name in ("kernel", "bucket"):
        raise not_served(f"{name} repos")
    raise invalid(f"Invalid repo type: {name!r}")


def wants_private(visibility: str | None, private: bool | None) -> bool | None:
    return private if visibility is None else visibility != "public"


def namespace_for(db: Session, caller: Caller, name: str | None) -> Account:
    """The account that a repo is to belong to. Raises HubError 403 where the caller may not write."""
    owner = accounts.find(db, name) if name else caller.account
    if owner is None or not caller.may_create(db, owner):
        reason = "this token is read-only" if not caller.can_write else f'you cannot create repos in "{name}"'
        raise forbidden(f"you don't have the required permissions: {reason}")
    return owner


@router.post("/api/repos/create")
def create(call: AnyCall, new: NewRepo) -> JSONResponse:
    kind = _kind(new.type)
    name, organization = new.name, new.organization
    if "/" in name and organization is None:
        organization, _, name = name.partition("/")
    if kind == "space" and not new.sdk:
        raise invalid("A Space needs an sdk: gradio, streamlit, docker or static")
    if new.template:
        raise not_served("Space templates")
    new.check(call.request.app.state.spaces, kind, new.sdk)
    front = {}
    if new.license:
        front["license"] = new.license
    if kind == "space":
        front |= {"title": name, "sdk": new.sdk}
    given = [_first_file(file) for file in new.files or ()]
    card = "---\n" + "".join(f"{key}: {value}\n" for key, value in front.items()) + "---\n"
    with call.hub.db() as db:
        caller = call.signed_in(db)
        owner = namespace_for(db, caller, organization)
        try:
            repo = call.hub.create(
                db,
                kind,
                owner,
                name,
                private=wants_private(new.visibility, new.private),
                files=[*([Change("README.md", card.encode())] if front else []), *given],
                creator=caller.account,
            )
        except HubError as error:
            if error.status != 409:
                raise
            return taken(call, error, kind, owner, name)
        new.fulfil(call.request.app.state.spaces, db, repo)
        return JSONResponse({"url": f"{call.base}/{repo.url_path}", "name": repo.full_name, "id": f"{repo.id:024x}"})


def _first_file(file: NewFile) -> Change:
    content = content_of(file.path, file.model_dump())
    if Pointer.parse(content):
        raise invalid(f"{file.path} points to a large file, which a new repo cannot hold yet")
    return Change(check_path(file.path), content)


def taken(call: Call, error: HubError, kind: str, owner: Account, name: str) -> JSONResponse:
    """The refusal from which the client reads the url, with `exist_ok`."""
    url = f"{call.base}/{'' if kind == 'model' else kind + 's/'}{owner.name}/{name}"
    return JSONResponse({"error": error.message, "url": url}, 409, headers=error.all_headers)


class WhichRepo(BaseModel):
    name: str
    organization: str | None = None
    type: str | None = "model"


@router.delete("/api/repos/delete")
def delete(call: AnyCall, which: WhichRepo) -> dict:
    with call.hub.db() as db:
        caller = call.signed_in(db)
        namespace, name = which.organization or caller.account.name, which.name
        if "/" in name:
            namespace, _, name = name.partition("/")
        repo = _owned(call, db, caller, _kind(which.type), f"{namespace}/{name}")
        call.hub.delete(db, repo)
    return {}


class Move(BaseModel):
    fromRepo: str
    toRepo: str
    type: str | None = "model"


@router.post("/api/repos/move")
def move(call: AnyCall, wish: Move) -> dict:
    with call.hub.db() as db:
        caller = call.signed_in(db)
        repo = _owned(call, db, caller, _kind(wish.type), wish.fromRepo)
        namespace, slash, name = wish.toRepo.partition("/")
        if not slash:
            raise invalid("A repo's name is namespace/name")
        # Within one's namespace a rename is a change of the repo; elsewhere it makes one there.
        owner = repo.owner if namespace.lower() == repo.owner.key else namespace_for(db, caller, namespace)
        call.hub.move(db, repo, owner, name)
        return {"url": f"{call.base}/{repo.url_path}"}


def _owned(call: Call, db: Session, caller: Caller, kind: Kind, repo_id: str) -> Repo:
    """A repo that the caller may delete or rename. Raises HubError 403 for a public one of others, else 404.

    A former id is none here: who deletes or renames says the name that the repo has now.
    """
    repo = call.hub.find(db, kind, repo_id)
    if not caller.may_read(db, repo) or repo.key != repo_id.lower():
        raise repo_not_found()
    if not caller.may_write(db, repo):
        raise forbidden(f"you don't have the required permissions for {repo.full_name}")
    return repo


class Settings(BaseModel):
    visibility: Literal["public", "private", "protected"] | None = None
    private: bool | None = None
    gated: Literal["auto", "manual", False] | None = None


@router.put("/api/{kind:kind}/{repo:repo}/settings")
def settings(call: InApi, wish: Settings) -> dict:
    with call.writing() as (_db, repo, _caller):
        private = wants_private(wish.visibility, wish.private)
        if private is not None:
            repo.private = private
        if wish.gated is not None:
            if repo.kind == "space":
                raise conflict("A Space cannot be gated")
            repo.gated = wish.gated or None
        return {"private": repo.private, "gated": repo.gated or False}


@router.get("/api/{kind:kind}/{repo:repo}/revision/{revision}")
def info_of_revision(call: InApi, revision: Revision, blobs: bool = False, expand: list[str] = Query([])) -> dict:  # noqa: B008
    return _info(call, revision, blobs, expand)


def _info(call: InApi, revision: str, blobs: bool, expand: list[str]) -> dict:
    fields = expand or call.request.query_params.getlist("expand[]")
    call.hub.settle_downloads()
    with call.reading() as (db, repo):
        shown = info.of_revision(call.hub, db, repo, revision, blobs=blobs)
        if repo.kind == "space":
            shown |= spaces.about(call, db, repo)
    return info.only(shown, fields) if fields else shown


# Last, since the shorter path would catch the others.
last = APIRouter()


@last.get("/api/{kind:kind}/{repo:repo}")
def info_of_main(call: InApi, blobs: bool = False, expand: list[str] = Query([])) -> dict:  # noqa: B008
    return _info(call, "main", blobs, expand)


@last.get("/api/{kind:kind}/{repo}")
def info_by_short_name(call: InApi) -> None:
    """Old ids had no owner ("gpt2"): those that the Hub knows redirect."""
    with call.reading():
        pass


@last.api_route("/{repo}/resolve/{revision}/{path:path}", methods=["GET", "HEAD"])
def file_by_short_name(call: OnPage) -> None:
    with call.reading():
        pass
