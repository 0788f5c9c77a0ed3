"""Discussions and pull requests: listed, read, opened, commented, closed, merged."""

import html
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Literal

from fastapi import APIRouter, Path, Query
from pydantic import AfterValidator, BaseModel, Field
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from utils.hub import discussions
from utils.hub.accounts import Caller
from utils.hub.discussions import LONGEST_TEXT, LONGEST_TITLE, SHORTEST_TITLE
from utils.hub.errors import HubError, conflict, forbidden, invalid
from utils.hub.git import GitRepo, author
from utils.hub.merge import Merge, diff
from utils.hub.routes.accounts import iso
from utils.hub.routes.call import InApi, RepoCall
from utils.hub.tables import Account, Discussion, DiscussionEvent, Repo

router = APIRouter()
PAGE = 50  # discussions
MERGE_TRIES = 5
MAIN = "refs/heads/main"
# In the list a draft counts as open, and what was merged as closed.
STATUSES = {"open": ("open", "draft"), "closed": ("closed", "merged")}
HIDDEN = "This comment has been hidden"


def _whole(text: str) -> str:
    text.encode()  # raises UnicodeEncodeError, a ValueError, for half a character: no answer could hold it
    return text


def _title(text: str) -> str:
    text = _whole(text).strip()
    if not SHORTEST_TITLE <= len(text) <= LONGEST_TITLE or any(ord(character) < 32 for character in text):
        raise ValueError(f"a title has {SHORTEST_TITLE} to {LONGEST_TITLE} characters, all in one line")
    return text


Number = Annotated[int, Path(ge=1, lt=10**9)]
EventId = Annotated[str, Path(pattern="^[0-9a-f]{1,24}$")]
Title = Annotated[str, Field(max_length=10 * LONGEST_TITLE), AfterValidator(_title)]
Text = Annotated[str, Field(max_length=LONGEST_TEXT), AfterValidator(_whole)]
Comment = Annotated[str, Field(min_length=1, max_length=LONGEST_TEXT), AfterValidator(_whole)]


class NewDiscussion(BaseModel):
    title: Title
    description: Text = ""
    pullRequest: bool = False


class NewComment(BaseModel):
    comment: Comment


class NewContent(BaseModel):
    content: Comment


class NewTitle(BaseModel):
    title: Title


class NewStatus(BaseModel):
    status: Literal["open", "closed"]
    comment: Text = ""


class MergeWish(BaseModel):
    comment: Text = ""


@router.get("/api/{kind:kind}/{repo:repo}/discussions")
def listing(
    call: InApi,
    type: Literal["all", "discussion", "pull_request"] = "all",  # noqa: A002 - the protocol's own name
    status: Literal["all", "open", "closed"] = "all",
    author: Annotated[str, Query(max_length=100)] = "",
    p: Annotated[int, Query(ge=0, le=1_000_000)] = 0,
) -> dict:
    with call.reading() as (db, repo):
        wanted = [Discussion.repo_id == repo.id]
        if type != "all":
            wanted.append(Discussion.is_pull_request == (type == "pull_request"))
        if author:
            wanted.append(Discussion.author.has(Account.key == author.lower()))
        closed = db.scalar(select(func.count()).where(*wanted, Discussion.status.in_(STATUSES["closed"])))
        if status != "all":
            wanted.append(Discussion.status.in_(STATUSES[status]))
        count = db.scalar(select(func.count()).select_from(Discussion).where(*wanted))
        page = select(Discussion).where(*wanted).order_by(Discussion.num.desc()).offset(p * PAGE).limit(PAGE)
        rows = [_row(repo, found) for found in db.scalars(page)]
    return {"discussions": rows, "count": count, "start": p * PAGE, "numClosedDiscussions": closed}


def _row(repo: Repo, discussion: Discussion) -> dict:
    return {
        "num": discussion.num,
        "title": discussion.title,
        "status": discussion.status,
        "isPullRequest": discussion.is_pull_request,
        "createdAt": iso(discussion.created_at),
        "repo": {"name": repo.full_name, "type": repo.kind},
        **_by(discussion.author and discussion.author.name),
    }


def _by(name: str | None) -> dict:
    """Who it was; the client takes nobody for somebody who was deleted."""
    return {"author": {"name": name, "type": "user", "avatarUrl": ""}} if name else {}


def _event(event: DiscussionEvent) -> dict:
    data = dict(event.data)
    by = data.pop("author", None) or (event.author and event.author.name)  # of a commit, git knows the author
    if event.type == "comment":
        data |= {
            "edited": bool(data["history"]),
            "latest": _version(data["latest"]),
            "history": [_version(earlier) for earlier in data["history"]],
        }
    return {
        "id": f"{event.id:024x}",
        "type": event.type,
        "createdAt": iso(event.created_at),
        "data": data,
        **_by(by),
    }


def _version(version: dict) -> dict:
    """One version of a comment. Nothing renders markdown here: `html` is the text itself, harmless."""
    return {
        "raw": version["raw"],
        "html": html.escape(version["raw"]),
        "updatedAt": version["updatedAt"],
        **_by(version["author"]),
    }


@router.get("/api/{kind:kind}/{repo:repo}/discussions/{num}")
def details(call: InApi, num: Number, diff: bool = False) -> dict:
    with call.reading() as (db, repo), call.hub.git(repo) as git:
        found = _found(call, db, git, repo, num)
        caller = call.caller(db)
        files_open = not repo.gated or (caller is not None and caller.may_read_files(db, repo))
        mine = select(DiscussionEvent).where(DiscussionEvent.discussion_id == found.id).order_by(DiscussionEvent.id)
        shown = _row(repo, found) | {"events": [_event(event) for event in db.scalars(mine)]}
        if found.is_pull_request:
            shown |= _changes(git, found, with_diff=diff and files_open)
    return shown


def _found(call: RepoCall, db: Session, git: GitRepo, repo: Repo, num: int) -> Discussion:
    """The discussion as git has it now. To be called before anything is written: following git writes itself."""
    found = discussions.find(db, repo, num)
    if found.is_pull_request and found.status != "merged" and git.head(found.ref) != found.head:
        with call.hub.db() as own:
            discussions.follow(own, git, discussions.find(own, repo, num))
        found = discussions.find(db, repo, num)
    return found


def _changes(git: GitRepo, pull: Discussion, *, with_diff: bool) -> dict:
    shown: dict = {"changes": {"base": MAIN}, "filesWithConflicts": []}
    if pull.status == "merged":
        shown["changes"]["mergeCommitId"] = pull.merge_commit
        before = pull.base  # of a push that made main the head of the pull request itself
        if pull.merge_commit != pull.head:
            before = git.commit_object(pull.merge_commit).parents[0].decode()
        base = git.merge_base(before, pull.head) or pull.base
    else:
        merge = Merge(git, git.head(MAIN), pull.head, pull.base)
        base, shown["filesWithConflicts"] = merge.base, merge.conflicts
    if with_diff:
        shown["diff"] = diff(git, base, pull.head)
    return shown


@router.post("/api/{kind:kind}/{repo:repo}/discussions")
def create(call: InApi, new: NewDiscussion) -> dict:
    with call.discussing() as (db, repo, caller), call.hub.git(repo) as git:
        who, title, description = caller.account, new.title, new.description.strip()
        if new.pullRequest:
            head = git.head(MAIN)
            opened = discussions.propose(db, git, repo, who, title, description, parent=head, head=head)
        else:
            opened = discussions.start(db, git, repo, who, title, description)
        page = f"{call.base}/{repo.url_path}/discussions/{opened.num}"
        return _row(repo, opened) | {"url": page}


@contextmanager
def _taking_part(call: RepoCall, num: int) -> Iterator[tuple[Session, Repo, Caller, Discussion]]:
    """The discussion, for this request alone until it ends."""
    with call.discussing() as (db, repo, caller):
        with call.hub.git(repo) as git:
            found = _found(call, db, git, repo, num)
        discussions.hold(db, found)
        yield db, repo, caller, found


def _need_say(db: Session, repo: Repo, caller: Caller, author_id: int | None, what: str) -> None:
    """Raises HubError 403 for all but the author and those who may change the repo."""
    if author_id != caller.account.id and not caller.may_write(db, repo):
        raise forbidden(f"only its author and those who may write to {repo.full_name} may {what}")


@router.post("/api/{kind:kind}/{repo:repo}/discussions/{num}/comment")
def comment(call: InApi, num: Number, new: NewComment) -> dict:
    with _taking_part(call, num) as (db, _repo, caller, found):
        return {"newMessage": _event(discussions.say(db, found, caller.account, new.comment))}


@router.post("/api/{kind:kind}/{repo:repo}/discussions/{num}/comment/{event_id}/edit")
def edit(call: InApi, num: Number, event_id: EventId, new: NewContent) -> dict:
    with _taking_part(call, num) as (db, _repo, caller, found):
        event = _comment(db, found, event_id)
        if event.author_id != caller.account.id:
            raise forbidden("only its author may edit a comment")
        discussions.need_room(db, found)
        earlier = [*event.data["history"], event.data["latest"]]
        event.data = event.data | {"latest": discussions.version(caller.account, new.content), "history": earlier}
        return {"updatedComment": _event(event)}


@router.post("/api/{kind:kind}/{repo:repo}/discussions/{num}/comment/{event_id}/hide")
def hide(call: InApi, num: Number, event_id: EventId) -> dict:
    """Forgets what the comment said, for good."""
    with _taking_part(call, num) as (db, repo, caller, found):
        event = _comment(db, found, event_id)
        _need_say(db, repo, caller, event.author_id, "hide a comment")
        event.data = {"hidden": True, "latest": discussions.version(caller.account, HIDDEN), "history": []}
        return {"updatedComment": _event(event)}


def _comment(db: Session, discussion: Discussion, event_id: str) -> DiscussionEvent:
    """Raises HubError 404, and 409 for one that is hidden."""
    number = int(event_id, 16)
    event = db.get(DiscussionEvent, number) if number < 2**63 else None
    if event is None or event.discussion_id != discussion.id or event.type != "comment":
        raise HubError(404, "Comment not found")
    if event.data["hidden"]:
        raise conflict("This comment is hidden")
    return event


@router.post("/api/{kind:kind}/{repo:repo}/discussions/{num}/title")
def rename(call: InApi, num: Number, new: NewTitle) -> dict:
    with _taking_part(call, num) as (db, repo, caller, found):
        _need_say(db, repo, caller, found.author_id, "rename a discussion")
        discussions.need_room(db, found)
        data = {"from": found.title, "to": new.title}
        found.title = new.title
        return {"newTitle": _event(discussions.add(db, found, "title-change", caller.account, data))}


@router.post("/api/{kind:kind}/{repo:repo}/discussions/{num}/status")
def status(call: InApi, num: Number, new: NewStatus) -> dict:
    with _taking_part(call, num) as (db, repo, caller, found):
        _need_say(db, repo, caller, found.author_id, "open or close a discussion")
        if found.status in ("merged", new.status):
            raise conflict(f"This {_kind(found)} is already {found.status}")
        if text := new.comment.strip():
            discussions.say(db, found, caller.account, text)
        return {"newStatus": _event(discussions.set_status(db, found, caller.account, new.status))}


def _kind(discussion: Discussion) -> str:
    return "pull request" if discussion.is_pull_request else "discussion"


@router.post("/api/{kind:kind}/{repo:repo}/discussions/{num}/merge")
def merge(call: InApi, num: Number, wish: MergeWish | None = None) -> dict:
    """Moves `main` on to a merge commit: with that the pull request is merged, and the database takes note of it."""
    with call.writing() as (db, repo, caller), call.hub.git(repo) as git:
        for _ in range(MERGE_TRIES):
            call.hub.fresh(db, repo)
            found = _found(call, db, git, repo, num)
            _check_mergeable(found)
            with git.locked():
                if git.head(found.ref) == found.head and (sha := _merge(git, found, caller.account.name)):
                    break
        else:
            raise conflict("Somebody else changed this at the same moment; please try again")
        call.hub.fresh(db, repo)
        if text := wish and wish.comment.strip():
            discussions.say(db, found, caller.account, text)
    return {"status": "merged", "mergeCommitId": sha}


def _merge(git: GitRepo, pull: Discussion, who: str) -> str | None:
    """The merge commit that is now in `main`; None if somebody else moved that first. Raises HubError 409."""
    main = git.head(MAIN)
    merged = Merge(git, main, pull.head, pull.base)
    if merged.base == pull.head:
        raise conflict("There is nothing to merge: main has all of this pull request's commits")
    if merged.conflicts:
        some = ", ".join(merged.conflicts[:10])
        raise conflict(f"The pull request conflicts with main in {len(merged.conflicts)} files: {some}")
    sha = merged.commit(author=author(who), message=f"{pull.title} (#{pull.num})")
    return sha if git.move(MAIN, main, sha) else None


def _check_mergeable(found: Discussion) -> None:
    """Raises HubError 400 or 409."""
    if not found.is_pull_request:
        raise invalid("Only a pull request can be merged")
    if found.status == "draft":
        raise conflict("This pull request is a draft: open it first")
    if found.status != "open":
        raise conflict(f"This pull request is {found.status}")
