"""Writing files: `preupload` says how each should travel, `commit` makes them one revision."""

import base64
import json
import tempfile
from collections.abc import Iterator
from typing import IO

from fastapi import APIRouter
from fastapi.concurrency import run_in_threadpool
from pydantic import BaseModel, Field
from sqlalchemy.orm import Session

from utils.hub.errors import invalid, not_served
from utils.hub.git import Change, GitRepo, Pointer, author, check_path
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


@router.post("/api/{kind:kind}/{repo:repo}/preupload/{revision}")
def preupload(call: InApi, revision: Revision, wish: Preupload) -> dict:
    _refuse_pull_request(call)
    with call.writing() as (_db, repo, _caller), call.hub.git(repo) as git:
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
                    "oid": None if there is None or there.is_folder else _content_id(there),
                }
            )
    return {"files": files, "commitOid": commit}


def _content_id(entry) -> str:
    """What the client compares with its own file to see that nothing changed."""
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
    _refuse_pull_request(call)
    await run_in_threadpool(_check, call)
    with tempfile.SpooledTemporaryFile(max_size=IN_MEMORY) as body:
        async for block in call.request.stream():
            body.write(block)
        body.seek(0)
        return await run_in_threadpool(_commit, call, revision, body)


def _refuse_pull_request(call: ApiCall) -> None:
    if call.request.query_params.get("create_pr") in ("1", "true"):
        raise not_served("pull requests")


def _check(call: ApiCall) -> None:
    """Refuses before the body is read what it would refuse after."""
    with call.writing():
        pass


def _commit(call: ApiCall, revision: str, body: IO[bytes]) -> dict:
    with call.writing() as (db, repo, caller), call.hub.git(repo) as git:
        operations = _operations(body)
        key, header = next(operations, (None, {}))
        message, parent = header.get("summary"), header.get("parentCommit")
        if key != "header" or not isinstance(message, str) or not message.strip():
            raise invalid("A commit starts with a header that has a summary")
        if not isinstance(parent, str | None):
            raise invalid("parentCommit must be a commit id")
        if header.get("description"):
            message += f"\n\n{header['description']}"
        sha = git.commit(
            revision,
            _changes(call, db, repo, operations),
            author=author(caller.account.name),
            message=message,
            expected_parent=parent,
        )
        call.hub.fresh(db, repo)
        url = f"{call.base}/{repo.url_path}/commit/{sha}"
    return {"success": True, "commitOid": sha, "commitUrl": url, "hookOutput": ""}


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
            content = _content(path, value)
            pointer = Pointer.parse(content)
            yield Change(check_path(path), _pointer(call, db, repo, {"oid": pointer.sha256}) if pointer else content)
        elif key == "lfsFile":
            yield Change(check_path(path), _pointer(call, db, repo, value))
        elif key in ("deletedFile", "deletedFolder", "deletedEntry"):
            yield Change(check_path(path.rstrip("/")), None)
        else:
            raise invalid(f"Unknown operation: {key}")


def _content(path: str, value: dict) -> bytes:
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
    if not call.hub.holds(db, repo, sha256):
        raise invalid(f"LFS pointer pointed to a file that does not exist: upload {sha256} first")
    return Pointer(sha256, call.hub.objects.path(sha256).stat().st_size)
