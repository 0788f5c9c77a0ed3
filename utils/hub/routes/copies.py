"""Copies made inside the Hub: of a whole repo, and of large files from one repo to another, which then both hold.

A copy is never more open than what it was made of, unless its maker says so: of a private repo it is private, of a
gated one gated. To copy takes the right to read the files.
"""

import shutil
import uuid
from typing import Literal

from fastapi import APIRouter
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from sqlalchemy import select

from utils.hub import history
from utils.hub.errors import HubError, Moved, conflict, forbidden, invalid, just_deleted, not_served, repo_not_found
from utils.hub.routes.call import ApiCall, InApi
from utils.hub.routes.repos import namespace_for, taken, wants_private
from utils.hub.routes.spaces import Wishes
from utils.hub.tables import Repo

router = APIRouter()
MOST_FILES = 1000  # in one request; the client sends 500


class Duplicate(Wishes):
    repository: str = Field(max_length=300)
    visibility: Literal["public", "private", "protected"] | None = None
    private: bool | None = None
    resourceGroupId: str | None = None


@router.post("/api/{kind:kind}/{repo:repo}/duplicate")
def duplicate(call: InApi, wish: Duplicate) -> JSONResponse:
    namespace, slash, name = wish.repository.partition("/")
    if not slash:
        raise invalid("A repo's name is namespace/name")
    with call.reading_files() as (db, source):
        owner = namespace_for(db, call.signed_in(db), namespace)
        if wish.resourceGroupId:
            raise not_served("resource groups")
        wish.check(call.request.app.state.spaces, source.kind, source.card.get("sdk"))
        if db.scalar(select(Repo.id).where(Repo.kind == source.kind, Repo.key == f"{owner.key}/{name.lower()}")):
            return taken(call, conflict(f"{owner.name}/{name} exists already"), source.kind, owner, name)
    # Long histories take a while: no transaction waits for them. What a crash leaves is swept away at the next start.
    folder = uuid.uuid4().hex
    try:
        with call.hub.git(source) as git, history.copy(git, call.hub.repos / folder) as copy:
            pointers = history.pointers(copy)
        return _enter(call, wish, namespace, name, folder, pointers)
    except Exception as error:
        if not (call.hub.repos / folder).is_dir():  # `care.collect` took it for a deleted repo's
            raise just_deleted() from error
        shutil.rmtree(call.hub.repos / folder, ignore_errors=True)
        if isinstance(error, HubError) and error.status == 409:
            return taken(call, error, source.kind, owner, name)
        raise


def _enter(call: ApiCall, wish: Duplicate, namespace: str, name: str, folder: str, pointers: set[str]) -> JSONResponse:
    private, spaces = wants_private(wish.visibility, wish.private), call.request.app.state.spaces
    with call.reading_files() as (db, source):  # asked again: meanwhile it may have been closed, or deleted
        caller = call.signed_in(db)
        owner = namespace_for(db, caller, namespace)
        if private is None:
            private = source.private or owner.private_by_default
        repo = call.hub.adopt(
            db, source.kind, owner, name, folder, private=private, gated=source.gated, creator=caller.account
        )
        # In the transaction that `adopt` began: what the source holds now cannot be deleted before the copy holds it.
        for sha256 in pointers:
            if content := call.hub.large(db, source, sha256):
                call.hub.keep(db, repo, sha256, xet=content.xet_hash is not None)
        for row in spaces.variables(db, source, secret=False):  # the secrets stay with whom they belong to
            spaces.set_variable(db, repo, row.key, row.value, row.description, secret=False)
        wish.fulfil(spaces, db, repo)
        url = f"{call.base}/{repo.url_path}"
        return JSONResponse({"url": url, "name": repo.full_name, "id": f"{repo.id:024x}", "filesCopyPending": False})


class Target(BaseModel):
    type: Literal["model", "dataset", "space"]
    name: str = Field(max_length=300)


class LargeFile(BaseModel):
    sha256: str


class Files(BaseModel):
    target: Target
    files: list[LargeFile] = Field(max_length=MOST_FILES)


@router.post("/api/{kind:kind}/{repo:repo}/lfs-files/duplicate")
def duplicate_files(call: InApi, wish: Files) -> dict:
    """Notes that another repo holds large files of this one too, before a commit there points to them."""
    with call.reading_files() as (db, source):
        caller = call.signed_in(db)
        if not caller.can_write:
            raise forbidden("this token is read-only: use one with write permission")
        found = {file.sha256: call.hub.large(db, source, file.sha256) for file in wish.files}
        held = {sha256: content for sha256, content in found.items() if content}
    target = ApiCall(call.request, f"{wish.target.type}s", wish.target.name)
    failed = []
    try:
        # As for an upload: who may only read the target copies for a pull request there.
        with target.discussing(files=True) as (db, repo, _caller):
            for sha256 in dict.fromkeys(file.sha256 for file in wish.files):
                if sha256 in held:
                    call.hub.keep(db, repo, sha256, xet=held[sha256].xet_hash is not None)
                else:
                    failed.append({"sha256": sha256, "error": "This repo has no such file"})
    except Moved as moved:
        raise repo_not_found() from moved  # redirected, the request would lead here again
    return {"succeeded": [{"sha256": sha256} for sha256 in sorted(held)], "failed": failed}
