"""Likes: given on a repo's page, taken back by the client, counted in `Repo.likes`."""

from typing import Annotated

from fastapi import APIRouter, Query, Response
from sqlalchemy import delete, insert, select

from utils.hub.routes.accounts import iso, named, person
from utils.hub.routes.call import AnyCall, InApi, next_page
from utils.hub.routes.listing import visible
from utils.hub.tables import Account, Like, Repo

router = APIRouter()
PAGE = 100  # likes
Cursor = Annotated[str, Query(pattern="^[0-9]{0,9}$")]


@router.post("/api/{kind:kind}/{repo:repo}/like")
def like(call: InApi) -> dict:
    with call.discussing() as (db, repo, caller):
        row = {"repo_id": repo.id, "account_id": caller.account.id}
        db.execute(insert(Like).prefix_with("OR IGNORE"), row)
    return {}


@router.delete("/api/{kind:kind}/{repo:repo}/like")
def unlike(call: InApi) -> dict:
    with call.discussing() as (db, repo, caller):
        db.execute(delete(Like).where(Like.repo_id == repo.id, Like.account_id == caller.account.id))
    return {}


@router.get("/api/{kind:kind}/{repo:repo}/likers")
def likers(call: InApi, response: Response, cursor: Cursor = "") -> list[dict]:
    start = int(cursor or 0)
    with call.reading() as (db, repo):
        wanted = select(Account).join(Like, Like.account_id == Account.id).where(Like.repo_id == repo.id)
        found = db.scalars(wanted.order_by(Like.created_at, Account.id).offset(start).limit(PAGE + 1)).all()
    if len(found) > PAGE:
        response.headers["Link"] = next_page(call, cursor=str(start + PAGE))
    return [person(account) for account in found[:PAGE]]


@router.get("/api/users/{name}/likes")
def liked(call: AnyCall, name: str, response: Response, cursor: Cursor = "") -> list[dict]:
    """What a user likes, newest first; of private repos, those that the caller may know of."""
    start = int(cursor or 0)
    with call.hub.db() as db:
        account = named(db, name, "user")
        wanted = visible(call.caller(db)).join(Like, Like.repo_id == Repo.id).where(Like.account_id == account.id)
        wanted = wanted.add_columns(Like.created_at).order_by(Like.created_at.desc(), Repo.id)
        found = db.execute(wanted.offset(start).limit(PAGE + 1)).all()
    if len(found) > PAGE:
        response.headers["Link"] = next_page(call, cursor=str(start + PAGE))
    return [
        {"createdAt": iso(since), "repo": {"name": repo.full_name, "type": repo.kind}} for repo, since in found[:PAGE]
    ]
