"""Writing files: `preupload` says how each should travel, `commit` makes them one revision."""

import base64
import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

from fastapi import APIRouter
from fastapi.concurrency import run_in_threadpool
from pydantic import BaseModel, Field
from sqlalchemy.orm import Session

from utils.hub import discussions
from utils.hub.accounts import Caller
from utils.hub.errors import HubError, conflict, forbidden, invalid, revision_not_found
from utils.hub.git import Change, Entry, GitRepo, Pointer, author, check_path
from utils.hub.globs import Attributes, Ignored
from utils.hub.hub import REGULAR_LIMIT
from utils.hub.routes.call import ApiCall, InApi, Revision
from utils.hub.tables import Repo

router = APIRouter()
LARGEST_BODY = 1 << 30  # bytes of one commit request
MOST_OPERATIONS = 25_000
LONGEST_LINE = 16 << 20  # bytes of one operation: the largest regular file in base64, and room to spare
MOST_ANNOUNCED = 1000  # files in one preupload; the client sends 256
IN_MEMORY = 8 << 20  # bytes; a larger commit request is spooled to disk


class Announced(BaseModel):
    path: str
    size: int = Field(ge=0)
    sample: str = ""


class Preupload(BaseModel):
    files: list[Announced] = Field(max_length=MOST_ANNOUNCED)
    gitAttributes: str | None = None
    gitIgnore: str | None = None


@contextmanager
def committing(call: ApiCall, revision: str) -> Iterator[tuple[Session, Repo, Caller]]:
    """The repo, if the caller may commit to `revision`. A pull request, new or his own, needs no right to write.

    Raises HubError 401 or 403, 404 RevisionNotFound, and 409 for a pull request that is merged.
    """
    number = discussions.PULL.fullmatch(revision)
    if _proposes(call) and revision != "main":
        raise invalid("A pull request is opened against main")
    if not (number or _proposes(call)):
        with call.writing() as granted:
            yield granted
        return
    with call.discussing(files=True) as (db, repo, caller):
        if not _proposes(call):
            try:
                pull = discussions.find(db, repo, int(number[1]))
            except HubError as error:
                raise revision_not_found(revision) from error
            if not (pull.author_id == caller.account.id or caller.may_write(db, repo)):
                raise forbidden(f"this pull request is {pull.author.name if pull.author else 'deleted'}'s")
            if pull.status == "merged":
                raise conflict("This pull request is merged: open another one")
        yield db, repo, caller


def _proposes(call: ApiCall) -> bool:
    """Whether the commit is to open a pull request."""
    return call.request.query_params.get("create_pr") in ("1", "true")


@router.post("/api/{kind:kind}/{repo:repo}/preupload/{revision}")
def preupload(call: InApi, revision: Revision, wish: Preupload) -> dict:
    with committing(call, revision) as (db, repo, _caller), call.hub.git(repo) as git:
        commit = git.resolve(revision)
        attributes = Attributes(_given(wish.gitAttributes, git, commit, ".gitattributes"))
        ignored = Ignored(_given(wish.gitIgnore, git, commit, ".gitignore"))
        files = []
        for file in wish.files:
            check_path(file.path)
            there = git.entry(commit, file.path)
            travels_large = attributes.large(file.path) or file.size > REGULAR_LIMIT or _binary(file)
            files.append(
                {
                    "path": file.path,
                    "uploadMode": "lfs" if travels_large else "regular",
                    "shouldIgnore": file.path in ignored,
                    "oid": _content_id(call, db, repo, there),
                }
            )
    return {"files": files, "commitOid": commit}


def _content_id(call: ApiCall, db: Session, repo: Repo, entry: Entry | None) -> str | None:
    """What the client compares with its own file to see that nothing changed; None where it is to send it."""
    if entry is None or entry.is_folder or (entry.pointer and not call.hub.holds(db, repo, entry.pointer.sha256)):
        return None
    return entry.pointer.sha256 if entry.pointer else entry.oid


def _given(text: str | None, git: GitRepo, commit: str, path: str) -> bytes:
    """The text that comes with the request, else the repo's own file."""
    if text is not None:
        return text.encode()
    entry = git.entry(commit, path)
    return git.read(entry) if entry and not entry.is_folder else b""


def _binary(file: Announced) -> bool:
    try:
        return b"\0" in base64.b64decode(file.sample)
    except ValueError:
        return False


@router.post("/api/{kind:kind}/{repo:repo}/commit/{revision}", max_body_size=LARGEST_BODY)
async def commit(call: InApi, revision: Revision) -> dict:
    await run_in_threadpool(_check, call, revision)
    with tempfile.SpooledTemporaryFile(max_size=IN_MEMORY) as body:
        async for block in call.request.stream():
            body.write(block)
        body.seek(0)
        return await run_in_threadpool(_commit, call, revision, body)


def _check(call: ApiCall, revision: str) -> None:
    """Refuses before the body is read what it would refuse after."""
    with committing(call, revision):
        pass


def _commit(call: ApiCall, revision: str, body: IO[bytes]) -> dict:
    with committing(call, revision) as (db, repo, caller), call.hub.git(repo) as git:
        operations = _operations(body)
        key, header = next(operations, (None, {}))
        message, parent = header.get("summary"), header.get("parentCommit")
        if key != "header" or not isinstance(message, str) or not message.strip():
            raise invalid("A commit starts with a header that has a summary")
        if not isinstance(parent, str | None):
            raise invalid("parentCommit must be a commit id")
        if header.get("description"):
            message += f"\n\n{header['description']}"
        changes = _changes(call, db, repo, operations)
        page, pull = f"{call.base}/{repo.url_path}", {}
        if _proposes(call):
            base = git.resolve(parent or "main")
            sha = git.propose(base, changes, author=author(caller.account.name), message=message)
            title, _, description = message.strip().partition("\n")
            opened = discussions.propose(db, git, repo, caller.account, title, description, parent=base, head=sha)
            pull = {"pullRequestUrl": f"{page}/discussions/{opened.num}"}
        else:
            with call.hub.committing(db, repo):
                sha = git.commit(
                    revision, changes, author=author(caller.account.name), message=message, expected_parent=parent
                )
    return {"success": True, "commitOid": sha, "commitUrl": f"{page}/commit/{sha}", "hookOutput": "", **pull}


def _operations(body: IO[bytes]) -> Iterator[tuple[str, dict]]:
    """The lines of the request (NDJSON), each `{"key": …, "value": {…}}`."""
    for number, line in enumerate(iter(lambda: body.readline(LONGEST_LINE), b"")):
        if number > MOST_OPERATIONS:
            raise invalid(f"A commit may hold at most {MOST_OPERATIONS} operations")
        if not line.strip():
            continue
        try:
            item = json.loads(line.decode())
            key, value = item["key"], item["value"]
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise invalid(f"Line {number + 1} of the commit is not a JSON operation") from error
        if not isinstance(value, dict):
            raise invalid(f"Line {number + 1} of the commit has no value")
        yield key, value


def _changes(call: ApiCall, db: Session, repo: Repo, operations: Iterator[tuple[str, dict]]) -> Iterator[Change]:
    for key, value in operations:
        path = value.get("path")
        if not isinstance(path, str):
            raise invalid(f"{key} without a path")
        if key == "file":
            content = content_of(path, value)
            pointer = Pointer.parse(content)
            yield Change(check_path(path), _pointer(call, db, repo, {"oid": pointer.sha256}) if pointer else content)
        elif key == "lfsFile":
            yield Change(check_path(path), _pointer(call, db, repo, value))
        elif key in ("deletedFile", "deletedFolder", "deletedEntry"):
            yield Change(check_path(path.rstrip("/")), None)
        else:
            raise invalid(f"Unknown operation: {key}")


def content_of(path: str, value: dict) -> bytes:
    """The bytes of a regular file as it comes in JSON. Raises HubError 400."""
    text = value.get("content")
    if not isinstance(text, str):
        raise invalid(f"{path} has no content")
    try:
        content = base64.b64decode(text, validate=True) if value.get("encoding") == "base64" else text.encode()
    except ValueError as error:
        raise invalid(f"The content of {path} is not base64") from error
    if len(content) > REGULAR_LIMIT:
        raise invalid(f"{path} is larger than {REGULAR_LIMIT // 10**6} MB: send it through LFS")
    return content


def _pointer(call: ApiCall, db: Session, repo: Repo, value: dict) -> Pointer:
    sha256 = value.get("oid")
    if value.get("algo", "sha256") != "sha256" or not isinstance(sha256, str):
        raise invalid("Large files are named by sha256")
    content = call.hub.large(db, repo, sha256)
    if content is None:
        raise invalid(f"LFS pointer pointed to a file that does not exist: upload {sha256} first")
    return Pointer(sha256, content.size)
