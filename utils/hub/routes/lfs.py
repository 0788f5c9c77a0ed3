"""Large files: git-lfs's batch API, and the signed links that it hands out.

A link carries what it allows (repo, sha256, size) and is valid for a day; whoever holds it needs no token, as with
the storage links of the real Hub.
"""

import math
from typing import Literal

from fastapi import APIRouter, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse, Response
from itsdangerous import BadSignature
from pydantic import BaseModel, Field
from sqlalchemy.orm import Session

from utils.hub.errors import HubError, invalid, unprocessable
from utils.hub.objects import BLOCK, SHA256
from utils.hub.routes import xet_access
from utils.hub.routes.call import PREFIXES, AnyCall, Call
from utils.hub.routes.files import streamed
from utils.hub.routes.smart_http import OnGit
from utils.hub.tables import Repo

router = APIRouter()
MEDIA_TYPE = "application/vnd.git-lfs+json"
VALID = 24 * 3600  # seconds
LARGEST = 50 * 10**9  # bytes of one file
MULTIPART_FROM = 512 << 20  # bytes; larger files go up in parts, so that a broken line costs one part only
PART = 64 << 20


class Wanted(BaseModel):
    oid: str
    size: int = Field(ge=0)


class Batch(BaseModel):
    operation: Literal["upload", "download"]
    objects: list[Wanted] = Field(max_length=10_000)
    transfers: list[str] = ["basic"]
    hash_algo: str = "sha256"


class LfsJson(JSONResponse):
    media_type = MEDIA_TYPE


def batch(call: OnGit, wish: Batch) -> Response:
    if wish.hash_algo not in ("sha256", "sha_256"):  # the second is the JavaScript client's spelling
        raise HubError(409, "Only sha256 is supported")
    multipart = "multipart" in wish.transfers and any(o.size > MULTIPART_FROM for o in wish.objects)
    # Who may only read may upload for a pull request. It opens nothing: he has to send the content to have it there.
    access = call.discussing(files=True) if wish.operation == "upload" else call.reading_files()
    with call.asking(), access as (db, repo, *_caller):
        xet = _xet(call, db, repo) if wish.operation == "upload" and "xet" in wish.transfers else None
        answers = []
        for wanted in wish.objects:
            there = call.hub.holds(db, repo, wanted.oid)
            answer: dict = {"oid": wanted.oid, "size": wanted.size, "authenticated": True}
            if not SHA256.fullmatch(wanted.oid):
                answer["error"] = {"code": 422, "message": "oid must be a sha256 in hex"}
            elif wish.operation == "download" and there:
                answer["actions"] = {"download": _action(call, "download", repo, wanted)}
            elif wish.operation == "download":
                answer["error"] = {"code": 404, "message": "Object does not exist"}
            elif wanted.size > LARGEST:
                answer["error"] = {"code": 422, "message": f"Files may have at most {LARGEST} bytes"}
            elif not there and xet:
                answer["actions"] = {"upload": xet}  # the store proves what it is sent: nothing is left to verify
            elif not there:
                upload = _parts(call, repo, wanted) if multipart and wanted.size > MULTIPART_FROM else None
                answer["actions"] = {
                    "upload": upload or _action(call, "upload", repo, wanted),
                    "verify": {"href": f"{call.base}/-/lfs/verify/{_sign(call, 'verify', repo, wanted)}"},
                }
            answers.append(answer)
    transfer = "xet" if xet else "multipart" if multipart else "basic"
    return LfsJson({"transfer": transfer, "objects": answers, "hash_algo": "sha256"})


for _prefix in PREFIXES:
    router.add_api_route(
        f"/{_prefix}{{repo:repo}}.git/info/lfs/objects/batch",
        batch,
        methods=["POST"],
        response_class=LfsJson,
        operation_id=f"lfs_batch_{_prefix.rstrip('/') or 'models'}",
    )


def _xet(call: Call, db: Session, repo: Repo) -> dict:
    """Hugging Face's other transfer, of clients that speak to the Xet store: `href` is where they renew the token."""
    caller = call.signed_in(db)
    writes = caller.may_write(db, repo)
    href = xet_access.refresh_url(call, repo, "xet-write-token/main" + ("" if writes else "?create_pr=1"))
    purpose = xet_access.WRITE if writes else xet_access.PROPOSE
    header = xet_access.headers(call, db, purpose, repo, caller)
    return {"href": href, "header": header, "expires_in": xet_access.VALID}


def _sign(call: Call, what: str, repo: Repo, wanted: Wanted, part: int = 0) -> str:
    return call.hub.signer.dumps([what, repo.id, wanted.oid, wanted.size, part])


def _action(call: Call, what: str, repo: Repo, wanted: Wanted) -> dict:
    link = _sign(call, what, repo, wanted)
    return {"href": f"{call.base}/-/lfs/{what}/{link}", "header": {}, "expires_in": VALID}


def _parts(call: Call, repo: Repo, wanted: Wanted) -> dict:
    """Hugging Face's own transfer: one link a part in `header`, and the link that puts them together."""
    count = math.ceil(wanted.size / PART)
    header = {
        str(number): f"{call.base}/-/lfs/part/{_sign(call, 'part', repo, wanted, number)}"
        for number in range(1, count + 1)
    }
    header["chunk_size"] = str(PART)
    return {"href": f"{call.base}/-/lfs/complete/{_sign(call, 'complete', repo, wanted)}", "header": header}


def _opened(call: Call, what: str, link: str) -> tuple[int, str, int, int]:
    """(repo id, sha256, size, part) of a signed link. Raises HubError 403 for a wrong or an old one."""
    try:
        signed, *rest = call.hub.signer.loads(link, max_age=VALID)
    except BadSignature as error:
        raise HubError(403, "This link is not valid, or no longer") from error
    if signed != what:
        raise HubError(403, f"This link is not for {what}")
    return tuple(rest)


async def blocks(request: Request, limit: int):
    """The body in blocks of about a megabyte: few hand-overs to a thread, little memory."""
    held, size = bytearray(), 0
    async for piece in request.stream():
        size += len(piece)
        if size > limit:
            raise unprocessable(f"More than the announced {limit} bytes")
        held += piece
        if len(held) >= BLOCK:
            yield bytes(held)
            held.clear()
    if held:
        yield bytes(held)


@router.put("/-/lfs/upload/{link}", include_in_schema=False, max_body_size=LARGEST)
async def upload(call: AnyCall, link: str) -> Response:
    repo_id, sha256, size, _ = _opened(call, "upload", link)
    with call.hub.objects.receive() as incoming:
        async for block in blocks(call.request, size):
            await run_in_threadpool(incoming.write, block)
        await run_in_threadpool(incoming.finish, sha256, size)
    await run_in_threadpool(_keep, call, repo_id, sha256)
    return Response()


@router.put("/-/lfs/part/{link}", include_in_schema=False, max_body_size=PART)
async def part(call: AnyCall, link: str) -> Response:
    repo_id, sha256, size, number = _opened(call, "part", link)
    offset = (number - 1) * PART
    expected = min(PART, size - offset)
    with call.hub.objects.write_part(_upload_name(repo_id, sha256), offset) as file:
        async for block in blocks(call.request, expected):
            await run_in_threadpool(file.write, block)
    if file.size != expected:
        raise unprocessable(f"Part {number} has {file.size} bytes, not {expected}")
    return Response(headers={"ETag": f'"{file.etag}"'})


@router.post("/-/lfs/complete/{link}", include_in_schema=False)
def complete(call: AnyCall, link: str) -> dict:
    repo_id, sha256, size, _ = _opened(call, "complete", link)
    with call.hub.db() as db:
        repo = db.get(Repo, repo_id)
        if repo and call.hub.holds(db, repo, sha256):
            return {}  # asked for again by a client that missed the answer
    call.hub.objects.finish_parts(_upload_name(repo_id, sha256), sha256, size)
    _keep(call, repo_id, sha256)
    return {}


def _upload_name(repo_id: int, sha256: str) -> str:
    return f"{repo_id}-{sha256}"


def _keep(call: Call, repo_id: int, sha256: str) -> None:
    with call.hub.db() as db:
        repo = db.get(Repo, repo_id)
        if repo is None:
            raise HubError(404, "Repository not found", "RepoNotFound")
        call.hub.keep(db, repo, sha256)


@router.post("/-/lfs/verify/{link}", include_in_schema=False)
def verify(call: AnyCall, link: str, found: Wanted) -> dict:
    repo_id, sha256, size, _ = _opened(call, "verify", link)
    if (found.oid, found.size) != (sha256, size):
        raise invalid("This link is for another file")
    with call.hub.db() as db:
        repo = db.get(Repo, repo_id)
        if repo is None or not call.hub.holds(db, repo, sha256):
            raise HubError(404, "Object does not exist")
    return {}


@router.get("/-/lfs/download/{link}", include_in_schema=False)
def download(call: AnyCall, link: str) -> Response:
    repo_id, sha256, _size, _ = _opened(call, "download", link)
    with call.hub.db() as db:
        repo = db.get(Repo, repo_id)
        content = repo and call.hub.large(db, repo, sha256)
        if content is None:
            raise HubError(404, "Object does not exist")
    return streamed(call.request, content, {"ETag": f'"{sha256}"', "Accept-Ranges": "bytes"})
