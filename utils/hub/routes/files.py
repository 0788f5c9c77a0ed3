"""Reading files: `resolve` for their bytes, `tree` and `paths-info` for what there is."""

import json
import re
from collections.abc import Iterable, Mapping
from itertools import islice
from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, Query, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import StreamingResponse
from sqlalchemy.orm import Session

from utils.hub.errors import HubError, entry_not_found, invalid
from utils.hub.git import Entry, GitRepo
from utils.hub.objects import PlainContent
from utils.hub.routes import xet_access
from utils.hub.routes.call import PREFIXES, InApi, InRepo, OnPage, Revision, next_page
from utils.hub.routes.refs import moment, title_and_rest
from utils.hub.tables import Repo
from utils.hub.xet.store import XetContent

router = APIRouter()
PAGE, EXPANDED_PAGE = 1000, 50  # entries
MOST_PATHS = 10_000  # in one paths-info
XET_INFO = "application/vnd.xet-fileinfo+json"  # by this a client asks where a file's chunks are, not for its bytes
FULL_ID = re.compile("[0-9a-f]{40}")
RANGE = re.compile("bytes=([0-9]{0,20})-([0-9]{0,20})")
# A cursor is "commit:offset": all pages of one listing come from one commit, whatever is pushed meanwhile.
Cursor = Annotated[str, Query(pattern="^([0-9a-f]{40}:[0-9]{1,9})?$")]
Limit = Annotated[int | None, Query(ge=1)]
# What people upload is shown as text at most, never run as a page of the Hub's own origin.
HARMLESS = {"X-Content-Type-Options": "nosniff", "Content-Security-Policy": "sandbox; default-src 'none'"}


def resolve(call: OnPage, revision: Revision, path: InRepo) -> Response:
    with call.reading_files() as (db, repo), call.hub.git(repo) as git:
        commit = git.resolve(revision)
        entry = git.entry(commit, path)
        if entry is None or entry.is_folder:
            raise entry_not_found(path, commit)
        large = call.hub.large(db, repo, entry.pointer.sha256) if entry.pointer else None
        if entry.pointer and large is None:
            raise call.hub.not_there(db, repo, entry, commit)
        token_route = xet_access.refresh_url(call, repo, f"xet-read-token/{commit}")
        store = xet_access.address(call, db, call.caller(db)) if large and large.xet_hash else ""
        content = None if entry.pointer else git.read(entry)
        if call.request.method == "GET":  # also where a file's chunks will be fetched: that is a download, too
            call.hub.count_download(repo, path)
    name = path.rsplit("/", 1)[-1]
    headers = HARMLESS | {
        # A tag may be called as a commit of another Hub is (`mirror`): to the client its name is the commit.
        "X-Repo-Commit": revision if FULL_ID.fullmatch(revision) else commit,
        "Accept-Ranges": "bytes",
        "Content-Disposition": f"inline; filename*=UTF-8''{quote(name, safe='')}",
    }
    if large:
        sha256 = entry.pointer.sha256
        headers |= {"ETag": f'"{sha256}"', "X-Linked-Etag": f'"{sha256}"', "X-Linked-Size": str(entry.size)}
        if large.xet_hash:
            info = f"{store}/v1/reconstructions/{large.xet_hash}"
            links = f'<{token_route}>; rel="xet-auth", <{info}>; rel="xet-reconstruction-info"'
            headers |= {"X-Xet-Hash": large.xet_hash, "Link": links}
            if XET_INFO in call.request.headers.get("accept", ""):
                about = {"hash": large.xet_hash, "refreshUrl": token_route, "reconstructionUrl": info}
                about |= {"etag": headers["ETag"], "size": entry.size}
                return Response(json.dumps(about), 200, headers, XET_INFO)
        return streamed(call.request, large, headers)
    return ranged(call.request, content, headers | {"ETag": f'"{entry.oid}"'})


def raw(call: OnPage, revision: Revision, path: InRepo) -> Response:
    """What git itself holds: for a large file, the pointer."""
    with call.reading_files() as (_db, repo), call.hub.git(repo) as git:
        commit = git.resolve(revision)
        entry = git.entry(commit, path)
        if entry is None or entry.is_folder:
            raise entry_not_found(path, commit)
        return ranged(call.request, git.read(entry), HARMLESS | {"X-Repo-Commit": commit, "ETag": f'"{entry.oid}"'})


for _prefix in PREFIXES:
    for _verb, _handler in (("resolve", resolve), ("raw", raw)):
        router.add_api_route(
            f"/{_prefix}{{repo:repo}}/{_verb}/{{revision}}/{{path:path}}",
            _handler,
            methods=["GET", "HEAD"],
            response_class=Response,
            operation_id=f"{_verb}_{_prefix.rstrip('/') or 'models'}",
        )


def media_type(content: bytes) -> str:
    try:
        content[:4096].decode()
    except UnicodeDecodeError as error:
        if error.start < min(len(content), 4096) - 4:  # not just a character cut in two
            return "application/octet-stream"
    return "application/octet-stream" if b"\0" in content[:4096] else "text/plain; charset=utf-8"


def ranged(request: Request, content: bytes, headers: dict[str, str]) -> Response:
    """The content, or the one part of it that the request asks for."""
    part, status, more = asked(request, len(content), headers["ETag"])
    return Response(content[part.start : part.stop], status, headers | more, media_type(content))


def streamed(request: Request, content: PlainContent | XetContent, headers: dict[str, str]) -> Response:
    """The same of a large file: in blocks that keep the server's memory small."""
    part, status, more = asked(request, content.size, headers["ETag"])
    headers, kind = headers | more | {"Content-Length": str(len(part))}, "application/octet-stream"
    if request.method == "HEAD":
        return Response(None, status, headers, kind)
    return StreamingResponse(content.iterate(part.start, part.stop), status, headers, kind)


def asked(request: Request, size: int, etag: str) -> tuple[range, int, dict[str, str]]:
    """Which bytes a request asks for, with the answer's status and headers (RFC 9110, 14.2). Raises HubError 416."""
    first, last = match.groups() if (match := RANGE.fullmatch(request.headers.get("range", ""))) else ("", "")
    outdated = request.headers.get("if-range", etag) != etag
    if outdated or not (first or last) or (first and last and int(first) > int(last)):
        return range(size), 200, {}
    start = int(first) if first else max(size - int(last), 0)
    end = min(int(last), size - 1) if first and last else size - 1
    if start > end:
        raise HubError(416, "Range not satisfiable", headers={"Content-Range": f"bytes */{size}"})
    return range(start, end + 1), 206, {"Content-Range": f"bytes {start}-{end}/{size}"}


def shown(entry: Entry, xet_hashes: Mapping[str, str]) -> dict:
    """An entry as `tree` and `paths-info` give it."""
    if entry.is_folder:
        return {"type": "directory", "oid": entry.oid, "size": 0, "path": entry.path}
    row: dict = {"type": "file", "oid": entry.oid, "size": entry.size, "path": entry.path}
    if entry.pointer:
        row["lfs"] = {"oid": entry.pointer.sha256, "size": entry.size, "pointerSize": entry.pointer_size}
        if xet_hash := xet_hashes.get(entry.pointer.sha256):
            row["xetHash"] = xet_hash
    return row


def expanded(git: GitRepo, commit: str, entries: Iterable[Entry], xet_hashes: Mapping[str, str]) -> list[dict]:
    """The same with each entry's last commit."""
    entries = list(entries)
    last = git.last_commits(commit, [entry.path for entry in entries])
    rows = []
    for entry in entries:
        row, step = shown(entry, xet_hashes), last.get(entry.path)
        if step is not None:
            row["lastCommit"] = {"id": step.id.decode(), "title": title_and_rest(step)[0], "date": moment(step)}
        if not entry.is_folder:
            row["securityFileStatus"] = None  # nothing scans files here
        rows.append(row)
    return rows


def _rows(
    call: InApi, db: Session, repo: Repo, git: GitRepo, commit: str, entries: list[Entry], expand: bool
) -> list[dict]:
    xet_hashes = call.hub.xet_hashes(db, repo, (entry.pointer.sha256 for entry in entries if entry.pointer))
    if expand:
        return expanded(git, commit, entries, xet_hashes)
    return [shown(entry, xet_hashes) for entry in entries]


@router.get("/api/{kind:kind}/{repo:repo}/tree/{revision}")
def tree_of_root(
    call: InApi,
    revision: Revision,
    response: Response,
    recursive: bool = False,
    expand: bool = False,
    cursor: Cursor = "",
    limit: Limit = None,
) -> list[dict]:
    return _tree(call, revision, "", response, recursive, expand, cursor, limit)


@router.get("/api/{kind:kind}/{repo:repo}/tree/{revision}/{path:path}")
def tree_of_folder(
    call: InApi,
    revision: Revision,
    path: InRepo,
    response: Response,
    recursive: bool = False,
    expand: bool = False,
    cursor: Cursor = "",
    limit: Limit = None,
) -> list[dict]:
    return _tree(call, revision, path, response, recursive, expand, cursor, limit)


def _tree(
    call: InApi,
    revision: str,
    path: str,
    response: Response,
    recursive: bool,
    expand: bool,
    cursor: str,
    limit: int | None,
) -> list[dict]:
    commit, _, offset = cursor.partition(":")
    size = EXPANDED_PAGE if expand else PAGE
    size = min(size, limit or size)
    with call.reading() as (db, repo), call.hub.git(repo) as git:
        commit = git.resolve(commit or revision)
        folder = git.entry(commit, path)
        if folder is None or not folder.is_folder:
            raise entry_not_found(path, commit)
        start = int(offset or 0)
        page = list(islice(git.walk(folder, recursive), start, start + size + 1))
        rows = _rows(call, db, repo, git, commit, page[:size], expand)
    if len(page) > size:
        response.headers["Link"] = next_page(call, cursor=f"{commit}:{start + size}")
    return rows


@router.post("/api/{kind:kind}/{repo:repo}/paths-info/{revision}")
async def paths_info(call: InApi, revision: Revision) -> list[dict]:
    """Takes a form (as the Python client sends it) or JSON (as the JavaScript one does)."""
    if call.request.headers.get("content-type", "").startswith("application/json"):
        try:
            body = await call.request.json()
        except (ValueError, RecursionError) as error:
            raise invalid("Invalid JSON") from error
        paths, expand = (body.get("paths", []), body.get("expand")) if isinstance(body, dict) else (None, None)
    else:
        form = await call.request.form(max_fields=MOST_PATHS + 10)
        paths, expand = form.getlist("paths"), form.get("expand")
    if not isinstance(paths, list) or len(paths) > MOST_PATHS or not all(isinstance(path, str) for path in paths):
        raise invalid(f'"paths" must be a list of at most {MOST_PATHS} strings')
    with_commits = str(expand).lower() in ("true", "1")
    return await run_in_threadpool(_paths_info, call, revision, paths, with_commits)


def _paths_info(call: InApi, revision: str, paths: list[str], with_commits: bool) -> list[dict]:
    with call.reading() as (db, repo), call.hub.git(repo) as git:
        commit = git.resolve(revision)
        found = [entry for path in dict.fromkeys(paths) if (entry := git.entry(commit, path)) and entry.path]
        return _rows(call, db, repo, git, commit, found, with_commits)
