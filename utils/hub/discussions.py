"""Discussions and pull requests: their numbers, their events, and how they follow what happens in git.

The database holds what people said. What a pull request contains, and whether it is in `main`, git alone decides:
`follow` and `note_merges` take it over from there, also after a crash and for what came by `git push`.
"""

import re
import unicodedata
from itertools import islice

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from utils.hub.errors import HubError, conflict, repo_not_found
from utils.hub.git import GitRepo
from utils.hub.tables import Account, Discussion, DiscussionEvent, Repo, now

PULL = re.compile("refs/pr/([1-9][0-9]{0,8})")
SHORTEST_TITLE, LONGEST_TITLE = 3, 200
LONGEST_TEXT = 1 << 16  # characters of a comment
# What bounds one discussion, which is always shown whole:
MOST_EVENTS = 2000
MOST_TEXT = 8 << 20  # characters of all comments and their history, as JSON
MOST_COMMITS = 250  # events at once, the newest


def find(db: Session, repo: Repo, num: int) -> Discussion:
    """The discussion as the database has it now. Raises HubError 404."""
    wanted = select(Discussion).where(Discussion.repo_id == repo.id, Discussion.num == num)
    found = db.scalar(wanted.execution_options(populate_existing=True))
    if found is None:
        raise HubError(404, f"Discussion {num} not found")
    return found


def start(
    db: Session, git: GitRepo, repo: Repo, author: Account, title: str, description: str, *, status: str = "open"
) -> Discussion:
    """A new discussion with the next number."""
    # Counted by the very statement that takes the number: writing lets one in at a time.
    count = select(func.coalesce(func.max(Discussion.num), 0) + 1).where(Discussion.repo_id == repo.id)
    new = Discussion(
        repo_id=repo.id,
        num=count.scalar_subquery(),
        title=title,
        author_id=author.id,
        status=status,
        is_pull_request=False,
        base=None,
        head=None,
        merge_commit=None,
    )
    db.add(new)
    db.flush()
    db.refresh(new)
    git.put(new.ref, None)
    if description:
        say(db, new, author, description)
    return new


def propose(
    db: Session, git: GitRepo, repo: Repo, author: Account, title: str, description: str, *, parent: str, head: str
) -> Discussion:
    """A new pull request for the commits from `parent` to `head`; a draft if there are none yet.

    Title and description may be a commit's: anything.
    """
    title = _tidy(title)[:LONGEST_TITLE] or "Pull request"
    description = _tidy(description, keep="\n\t")[:LONGEST_TEXT]
    new = start(db, git, repo, author, title, description, status="draft" if parent == head else "open")
    new.is_pull_request, new.base, new.head = True, parent, parent
    db.flush()
    git.put(new.ref, head)
    follow(db, git, new)
    return new


def _tidy(text: str, keep: str = "") -> str:
    return "".join(c for c in text if c in keep or unicodedata.category(c) not in ("Cc", "Cs")).strip()


def hold(db: Session, discussion: Discussion) -> None:
    """Lets nobody else change the discussion until this transaction ends, and reads it anew."""
    held = db.execute(
        update(Discussion).where(Discussion.id == discussion.id).values(status=Discussion.status),
        execution_options={"synchronize_session": False},
    )
    if not held.rowcount:
        raise repo_not_found()
    db.refresh(discussion)


def add(db: Session, discussion: Discussion, kind: str, author: Account | None, data: dict) -> DiscussionEvent:
    event = DiscussionEvent(discussion_id=discussion.id, type=kind, author=author, data=data, created_at=now())
    db.add(event)
    db.flush()
    return event


def need_room(db: Session, discussion: Discussion) -> None:
    """Raises HubError 409 when the discussion is full."""
    mine = DiscussionEvent.discussion_id == discussion.id
    events, text = db.execute(select(func.count(), func.sum(func.length(DiscussionEvent.data))).where(mine)).one()
    if events >= MOST_EVENTS or (text or 0) >= MOST_TEXT:
        raise conflict("This discussion is full: open another one")


def say(db: Session, discussion: Discussion, author: Account, text: str) -> DiscussionEvent:
    """A comment. `latest` and the earlier versions in `history` each have a text, an author and a date."""
    need_room(db, discussion)
    return add(db, discussion, "comment", author, {"hidden": False, "latest": version(author, text), "history": []})


def version(author: Account, text: str) -> dict:
    return {"raw": text, "author": author.name, "updatedAt": now().isoformat(timespec="milliseconds") + "Z"}


def set_status(db: Session, discussion: Discussion, author: Account, status: str) -> DiscussionEvent:
    if status == "open":  # a full one can still be closed, once
        need_room(db, discussion)
    discussion.status = status
    return add(db, discussion, "status-change", author, {"status": status})


def follow(db: Session, git: GitRepo, pull: Discussion, main: str | None = None) -> None:
    """Gives each new commit of `refs/pr/N` its event, but for those that came from `main` by a merge."""
    head, known = git.head(pull.ref), pull.head
    if head in (None, known):
        return
    moved = update(Discussion).where(Discussion.id == pull.id, Discussion.head == known).values(head=head)
    if not db.execute(moved, execution_options={"synchronize_session": False}).rowcount:
        return  # somebody else was faster
    new = git.history(head, without=[known, main or git.head("refs/heads/main")])
    for commit in reversed(list(islice(new, MOST_COMMITS))):
        subject = commit.message.decode(errors="replace").partition("\n")[0].strip()
        data = {"oid": commit.id.decode(), "subject": subject[:1000], "author": author_of(commit)}
        add(db, pull, "commit", None, data)
    db.refresh(pull)


def note_merges(db: Session, git: GitRepo, repo: Repo, sha: str) -> None:
    """Notes which pull requests came into `main` on its way from `repo.sha` to `sha`, whoever brought them there."""
    waiting = select(Discussion).where(
        Discussion.repo_id == repo.id, Discussion.is_pull_request, Discussion.status != "merged"
    )
    pulls = db.scalars(waiting).all()
    if not pulls or repo.sha is None:
        return
    came = {commit.id.decode(): commit.parents[1:] for commit in git.history(sha, without=[repo.sha])}
    merges = {parent.decode(): merge for merge, parents in came.items() for parent in parents}
    for pull in pulls:
        known = pull.head
        follow(db, git, pull, repo.sha)
        head = next((head for head in (pull.head, known) if head in came and head != pull.base), None)
        if head:
            pull.status, pull.merge_commit = "merged", merges.get(head, head)
            merger = author_of(git.commit_object(pull.merge_commit))
            add(db, pull, "status-change", None, {"status": "merged", "author": merger})


def author_of(commit) -> str:
    """The name that a commit gives."""
    return commit.author.decode(errors="replace").partition(" <")[0]
