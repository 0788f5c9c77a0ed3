"""Branches, tags and the history behind them."""

from datetime import UTC, datetime
from itertools import islice

from dulwich.objects import Commit
from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, Field

from utils.hub import history
from utils.hub.git import author
from utils.hub.routes.call import InApi, Revision, next_page

router = APIRouter()
PAGE = 50  # commits


def moment(commit: Commit) -> str:
    when = datetime.fromtimestamp(commit.commit_time, UTC)
    return when.strftime("%Y-%m-%dT%H:%M:%S.000Z")


def title_and_rest(commit: Commit) -> tuple[str, str]:
    title, _, rest = commit.message.decode(errors="replace").partition("\n")
    return title.strip(), rest.strip()


@router.get("/api/{kind:kind}/{repo:repo}/refs")
def refs(call: InApi, include_prs: bool = False) -> dict:
    with call.reading() as (_db, repo), call.hub.git(repo) as git:

        def listed(prefix: str) -> list[dict]:
            found = git.list_refs(prefix)
            return [{"name": n, "ref": prefix + n, "targetCommit": sha} for n, sha in found.items()]

        shown = {"branches": listed("refs/heads/"), "tags": listed("refs/tags/"), "converts": []}
        if include_prs:
            shown["pullRequests"] = [pr | {"name": pr["ref"]} for pr in listed("refs/pr/")]
        return shown


@router.get("/api/{kind:kind}/{repo:repo}/commits/{revision}")
def commits(
    call: InApi,
    revision: Revision,
    response: Response,
    p: int = Query(0, ge=0, le=1_000_000),
    limit: int = Query(PAGE, ge=1, le=1000),
) -> list[dict]:
    formatted = "formatted" in call.request.query_params.getlist("expand[]")
    with call.reading() as (_db, repo), call.hub.git(repo) as git:
        commit = git.resolve(revision)
        history = git.history(commit)
        page = list(islice(history, p * limit, (p + 1) * limit + 1))
        response.headers["X-Total-Count"] = str(git.count(commit))
    if len(page) > limit:
        response.headers["Link"] = next_page(call, p=str(p + 1))
    return [_shown(commit, formatted) for commit in page[:limit]]


def _shown(commit: Commit, formatted: bool) -> dict:
    title, message = title_and_rest(commit)
    name = commit.author.decode(errors="replace").partition(" <")[0]
    shown = {
        "id": commit.id.decode(),
        "title": title,
        "message": message,
        "authors": [{"user": name, "avatar": ""}],
        "date": moment(commit),
    }
    if formatted:
        shown["formatted"] = {"title": _escape(title), "message": _escape(message)}
    return shown


def _escape(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


class NewBranch(BaseModel):
    startingPoint: str | None = None
    emptyBranch: bool = False
    overwrite: bool = False


@router.post("/api/{kind:kind}/{repo:repo}/branch/{branch}")
def create_branch(call: InApi, branch: Revision, wish: NewBranch | None = None) -> dict:
    """To overwrite a branch without saying by what leaves it as it is."""
    wish = wish or NewBranch()
    with call.writing() as (db, repo, caller), call.hub.git(repo) as git:
        if wish.overwrite and not (wish.startingPoint or wish.emptyBranch) and branch in git.list_refs("refs/heads/"):
            return {}
        if wish.emptyBranch:
            start = git.empty_commit(author=author(caller.account.name), message="Empty branch")
        else:
            start = git.resolve(wish.startingPoint or "main")
        with call.hub.committing(db, repo):  # `main` too may be overwritten
            git.create_branch(branch, start, overwrite=wish.overwrite)
    return {}


@router.delete("/api/{kind:kind}/{repo:repo}/branch/{branch}")
def delete_branch(call: InApi, branch: Revision) -> dict:
    with call.writing() as (_db, repo, _caller), call.hub.git(repo) as git:
        git.delete_ref(f"refs/heads/{branch}")
    return {}


class Squash(BaseModel):
    message: str | None = Field(None, max_length=65_536)


@router.post("/api/{kind:kind}/{repo:repo}/super-squash/{revision}")
def squash(call: InApi, revision: Revision, wish: Squash) -> dict:
    """Large files that nothing leads to any more stay until they are deleted."""
    with call.writing() as (db, repo, caller), call.hub.git(repo) as git:
        message = (wish.message or "").strip() or f"Super-squash branch '{revision}'"
        with call.hub.committing(db, repo):
            sha = history.squash(git, revision, author=author(caller.account.name), message=message)
    return {"commitOid": sha}


class NewTag(BaseModel):
    tag: str
    message: str | None = None


@router.post("/api/{kind:kind}/{repo:repo}/tag/{revision}")
def create_tag(call: InApi, revision: Revision, wish: NewTag) -> dict:
    with call.writing() as (_db, repo, caller), call.hub.git(repo) as git:
        target = git.resolve(revision)  # a missing revision is told before a taken name
        git.create_tag(wish.tag, target, wish.message, author(caller.account.name))
    return {}


@router.delete("/api/{kind:kind}/{repo:repo}/tag/{tag}")
def delete_tag(call: InApi, tag: Revision) -> dict:
    with call.writing() as (_db, repo, _caller), call.hub.git(repo) as git:
        git.delete_ref(f"refs/tags/{tag}")
    return {}
