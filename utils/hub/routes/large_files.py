"""What takes room, and how it is given back: the repos of a namespace by size, a repo's large files, their deletion."""

from contextlib import ExitStack
from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, Field
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from utils.hub import history
from utils.hub.accounts import Caller
from utils.hub.errors import forbidden
from utils.hub.routes.accounts import iso, named
from utils.hub.routes.call import AnyCall, InApi, next_page
from utils.hub.routes.listing import visible
from utils.hub.tables import Account, Repo, RepoObject

router = APIRouter()
PAGE = 1000  # files
REPOS_PAGE = 100
MOST_DELETIONS = 1000  # in one request
Cursor = Annotated[str, Query(pattern="^[0-9]{0,9}$")]


# Repos


@router.get("/api/settings/repositories")
def my_repos(call: AnyCall, response: Response, cursor: Cursor = "") -> list[dict]:
    with call.hub.db() as db:
        caller = call.signed_in(db)
        return _repos(call, db, caller, caller.account, response, int(cursor or 0))


@router.get("/api/organizations/{name}/settings/repositories")
def repos_of_organization(call: AnyCall, name: str, response: Response, cursor: Cursor = "") -> list[dict]:
    with call.hub.db() as db:
        caller = call.signed_in(db)
        org = named(db, name, "org")
        if caller.role_in(db, org.id) is None:
            raise forbidden(f"you are no member of {org.name}")
        return _repos(call, db, caller, org, response, int(cursor or 0))


def _repos(call: AnyCall, db: Session, caller: Caller, owner: Account, response: Response, start: int) -> list[dict]:
    """The owner's repos with the bytes of their large files, which is all that counts; what takes most comes first."""
    size = func.coalesce(
        select(func.sum(RepoObject.size)).where(RepoObject.repo_id == Repo.id).correlate(Repo).scalar_subquery(), 0
    )
    wanted = visible(caller).where(Repo.owner_id == owner.id)
    ids = wanted.with_only_columns(Repo.id)
    total = db.scalar(select(func.sum(RepoObject.size)).where(RepoObject.repo_id.in_(ids))) or 0
    wanted = wanted.add_columns(size).order_by(size.desc(), Repo.id)
    found = db.execute(wanted.offset(start).limit(REPOS_PAGE + 1)).all()
    if len(found) > REPOS_PAGE:
        response.headers["Link"] = next_page(call, cursor=str(start + REPOS_PAGE))
    return [
        {
            "id": repo.full_name,
            "type": repo.kind,
            "updatedAt": iso(repo.last_modified),
            "visibility": "private" if repo.private else "public",
            "storage": size,
            "storagePercent": round(100 * size / total, 2) if total else 0,
        }
        for repo, size in found[:REPOS_PAGE]
    ]


# Large files


@router.get("/api/{kind:kind}/{repo:repo}/lfs-files")
def lfs_files(call: InApi, response: Response, cursor: str = Query("", pattern="^([0-9a-f]{64})?$")) -> list[dict]:
    """All that the repo holds, also what no commit points to: for those only who may delete it."""
    with call.writing() as (db, repo, _caller), call.hub.git(repo) as git:
        wanted = select(RepoObject).where(RepoObject.repo_id == repo.id, RepoObject.sha256 > cursor)
        found = db.scalars(wanted.order_by(RepoObject.sha256).limit(PAGE + 1)).all()
        page = found[:PAGE]
        where = history.mentions(git, {file.sha256 for file in page})
    if len(found) > PAGE:
        response.headers["Link"] = next_page(call, cursor=page[-1].sha256)
    rows = []
    for file in page:
        row = {"oid": file.sha256, "fileOid": file.sha256, "size": file.size}
        if mention := where.get(file.sha256):
            since = datetime.fromtimestamp(mention.since, UTC).replace(tzinfo=None)
            rows.append(row | {"filename": mention.path, "ref": mention.ref, "pushedAt": iso(since)})
        else:  # uploaded and never committed, or squashed away
            rows.append(row | {"filename": "", "pushedAt": iso(repo.created_at)})
    return rows


class Deletions(BaseModel):
    sha: list[Annotated[str, Field(pattern="^[0-9a-f]{64}$")]] = Field(max_length=MOST_DELETIONS)
    rewriteHistory: bool = True


class Batch(BaseModel):
    deletions: Deletions


@router.post("/api/{kind:kind}/{repo:repo}/lfs-files/batch")
def delete_lfs_files(call: InApi, wish: Batch) -> dict:
    """Without `rewriteHistory` the pointers stay in git, and what they point to is not found.

    A commit to a branch checks inside the repo's lock that the repo holds what it points to. That lock is held here
    until the deletion is in the database: a commit either came before, and is rewritten, or is refused. A pull request
    or a push that checked before and lands after is as good as one without `rewriteHistory`. How the same bytes stay
    for other repos, says `Hub.discard`.
    """
    files = set(wish.deletions.sha)
    with call.writing() as (db, repo, _caller), call.hub.git(repo) as git, call.hub.committing(db, repo):
        rewrite = history.Rewrite(git, files)
        if wish.deletions.rewriteHistory:
            rewrite.prepare()  # the long part: nobody waits for it
        # Asked again, in a transaction of its own that ends before the lock does.
        with ExitStack() as lock, call.writing() as (own, same, _caller):
            call.hub.forget(own, same, files)
            lock.enter_context(git.locked())  # after the database: everybody takes them in this order
            if wish.deletions.rewriteHistory:
                rewrite.apply()
    call.hub.discard(files)
    return {"success": True}
