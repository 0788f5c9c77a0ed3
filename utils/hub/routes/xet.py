"""Xet: the tokens that let a client speak to the store of chunks, and that store.

A token names a repo, what it is for, and by whose access token it was asked for; it is valid for a quarter of an hour.
At each request the same doors stand behind it as behind the access token itself (`RepoCall`): what is taken away
meanwhile is gone at once. Each account has an address of its own (`xet_access.address`), so that a client does not
refer to chunks that only another account has sent.
"""

import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from operator import attrgetter
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse, Response, StreamingResponse
from itsdangerous import BadSignature
from sqlalchemy.orm import Session

from utils.hub.accounts import Caller
from utils.hub.errors import HubError, bad_credentials, damaged, disk_full, entry_not_found, forbidden, repo_not_found
from utils.hub.objects import PlainContent
from utils.hub.routes import xet_access
from utils.hub.routes.call import AnyCall, Call, InApi, RepoCall, Revision, token_of
from utils.hub.routes.commits import committing
from utils.hub.routes.files import asked
from utils.hub.routes.lfs import blocks
from utils.hub.routes.xet_access import PROPOSE, READ, VALID, WRITE
from utils.hub.tables import Repo, Token
from utils.hub.xet import shard, xorb
from utils.hub.xet.store import Piece

router = APIRouter()
STORE = "/-/xet/{account}/v1"
STORE_2 = "/-/xet/{account}/v2"
Hash = Annotated[str, Path(pattern="^[0-9a-f]{64}$")]


@router.get("/api/{kind:kind}/{repo:repo}/xet-read-token/{revision}")
def read_token(call: InApi, revision: Revision) -> JSONResponse:
    with call.reading_files() as (db, repo), call.hub.git(repo) as git:
        git.resolve(revision)
        return _token(call, db, READ, repo, call.caller(db))


@router.get("/api/{kind:kind}/{repo:repo}/xet-write-token/{revision}")
def write_token(call: InApi, revision: Revision) -> JSONResponse:
    # Where a pull request is to be opened the client knows no revision, and says so.
    with committing(call, "main" if revision == "None" else revision) as (db, repo, caller):
        # At a full disk's 507 of the store clients try again for minutes; at that of the token they end, and tell it.
        if shutil.disk_usage(call.hub.data).free < xorb.LARGEST_CHUNK:
            raise disk_full()
        return _token(call, db, WRITE if caller.may_write(db, repo) else PROPOSE, repo, caller)


def _token(call: Call, db: Session, purpose: str, repo: Repo, caller: Caller | None) -> JSONResponse:
    headers = xet_access.headers(call, db, purpose, repo, caller)
    url, token, expires = headers.values()
    return JSONResponse({"casUrl": url, "accessToken": token, "exp": int(expires)}, headers=headers)


class XetCall(RepoCall):
    """A request to the store, by a token of ours instead of an access token. Raises HubError 401 for a wrong one."""

    def __init__(self, request: Request):
        super().__init__(request)
        try:
            purpose, *rest = self.hub.signer.loads(token_of(request) or "", max_age=VALID)
        except (BadSignature, UnicodeError) as error:
            raise bad_credentials() from error
        if purpose not in (READ, WRITE, PROPOSE):
            raise bad_credentials()
        self.purpose = purpose
        self.repo_number, self._holder = rest

    def caller(self, db: Session) -> Caller | None:
        if self._holder is None:
            return None
        number, created = self._holder
        token = db.get(Token, number)
        if token is None or token.created_at.isoformat() != created:
            raise bad_credentials()  # revoked; its number may be another one's by now
        return Caller(token.account, token)

    def _find(self, db: Session, caller: Caller | None) -> Repo:
        repo = db.get(Repo, self.repo_number)
        if repo is None or not (caller.may_read(db, repo) if caller else not repo.private):
            raise repo_not_found()
        return repo

    @contextmanager
    def sending(self) -> Iterator[tuple[Session, Repo, Caller]]:
        """The repo, if the token is for writing and its holder may still do that."""
        if self.purpose == READ:
            raise forbidden("this Xet token is for reading")
        with self.writing() if self.purpose == WRITE else self.discussing(files=True) as access:
            yield access


InStore = Annotated[XetCall, Depends(XetCall)]


@router.post(STORE + "/xorbs/default/{digest}", include_in_schema=False, max_body_size=xorb.LARGEST)
async def send_xorb(call: InStore, digest: Hash) -> dict:
    account_id = await run_in_threadpool(_sender, call)
    with call.hub.xet.xorbs.receive() as incoming:
        async for block in blocks(call.request, xorb.LARGEST):
            await run_in_threadpool(incoming.write, block)
        inserted = await run_in_threadpool(call.hub.xet.keep_xorb, incoming, digest, account_id)
    return {"was_inserted": inserted}


def _sender(call: XetCall) -> int:
    """Refuses before the body is read what it would refuse after."""
    with call.sending() as (_db, _repo, caller):
        return caller.account.id


@router.post(STORE + "/shards", include_in_schema=False, max_body_size=shard.LARGEST)
async def send_shard(call: InStore) -> dict:
    await run_in_threadpool(_sender, call)
    content = bytearray()
    async for block in blocks(call.request, shard.LARGEST):
        content += block
    await run_in_threadpool(_register, call, content)
    return {"result": 1}


def _register(call: XetCall, content: bytearray) -> None:
    """Makes the files of a shard files of the repo. No transaction waits while their bytes are hashed."""
    said, store = shard.parse(content), call.hub.xet
    with call.sending() as (db, _repo, caller):
        checked = store.check(db, caller, said)
    proved = [(store.prove(file), file) for file in checked]
    with call.sending() as (db, repo, _caller):
        for sha256, file in proved:
            store.keep(db, file, sha256)
            call.hub.keep(db, repo, sha256, xet=True)


@router.get(STORE + "/chunks/default/{digest}", include_in_schema=False)
@router.get(STORE + "/chunks/default-merkledb/{digest}", include_in_schema=False)  # as specified, in place of the above
def ask_for_chunk(call: InStore, digest: Hash) -> Response:
    with call.sending() as (db, repo, caller):
        answer = call.hub.xet.answer(db, caller, repo, digest, VALID)
    if answer is None:
        raise entry_not_found(digest)
    return Response(answer, media_type="application/octet-stream")


@router.get(STORE + "/reconstructions/{digest}", include_in_schema=False)
def reconstruction(call: InStore, digest: Hash) -> dict:
    shown, runs = _reconstruction(call, digest)
    fetch_info: dict[str, list[dict]] = {}
    for xorb_hash, url, chunks, stored in runs:
        fetch_info.setdefault(xorb_hash, []).append({"range": chunks, "url": url, "url_range": stored})
    return shown | {"fetch_info": fetch_info}


@router.get(STORE_2 + "/reconstructions/{digest}", include_in_schema=False)
def reconstruction_2(call: InStore, digest: Hash) -> dict:
    """The same as later clients want it. A link is for one range here: one for several would need multipart answers."""
    shown, runs = _reconstruction(call, digest)
    xorbs: dict[str, list[dict]] = {}
    for xorb_hash, url, chunks, stored in runs:
        xorbs.setdefault(xorb_hash, []).append({"url": url, "ranges": [{"chunks": chunks, "bytes": stored}]})
    return shown | {"xorbs": xorbs}


def _reconstruction(call: XetCall, digest: str) -> tuple[dict, list[tuple[str, str, dict, dict]]]:
    """What a file is put together of, and where that is to be had: (xorb, link, its chunks, its bytes)."""
    with call.reading_files() as (db, repo):
        file = call.hub.xet.held(db, repo, digest)
        if file is None:
            raise entry_not_found(digest)
        if not call.hub.xet.is_whole(db, file):
            raise damaged(f"File {digest}")
    part, _status, _headers = asked(call.request, file.size, digest)
    pieces = [*call.hub.xet.pieces(file, part.start, part.stop)]
    terms = [
        {"hash": piece.xorb, "unpacked_length": piece.size, "range": {"start": piece.first, "end": piece.end}}
        for _, piece in pieces
    ]
    runs = []
    for xorb_hash, (first, end), (start, stop) in _runs(piece for _, piece in pieces):
        link = f"{call.base}/-/xet/xorb/{call.hub.signer.dumps(['xet-xorb', xorb_hash, start, stop - 1])}"
        runs.append((xorb_hash, link, {"start": first, "end": end}, {"start": start, "end": stop - 1}))
    offset = part.start - pieces[0][0] if pieces else 0
    return {"offset_into_first_range": offset, "terms": terms}, runs


def _runs(pieces: Iterable[Piece]) -> Iterator[tuple[str, tuple[int, int], tuple[int, int]]]:
    """What is to be fetched: (xorb, chunks, bytes), where pieces overlap or touch in one.

    Of two that overlap clients take the first that begins as they need it, however short it is.
    """
    run: tuple[str, tuple[int, int], tuple[int, int]] | None = None
    for piece in sorted(pieces, key=attrgetter("xorb", "first", "end")):
        if run and run[0] == piece.xorb and piece.first <= run[1][1]:
            end, stop = max(run[1][1], piece.end), max(run[2][1], piece.stored.stop)
            run = (run[0], (run[1][0], end), (run[2][0], stop))
            continue
        if run:
            yield run
        run = (piece.xorb, (piece.first, piece.end), (piece.stored.start, piece.stored.stop))
    if run:
        yield run


@router.get("/-/xet/xorb/{link}", include_in_schema=False)
def part_of_xorb(call: AnyCall, link: str) -> Response:
    """Those bytes of a xorb that the link was made for, or some of them: its other chunks may be of a private file."""
    try:
        purpose, digest, first, last = call.hub.signer.loads(link, max_age=VALID)
    except (BadSignature, ValueError) as error:
        raise HubError(403, "This link is not valid, or no longer") from error
    if purpose != "xet-xorb":
        raise HubError(403, "This link is not for a part of a xorb")
    try:
        content = PlainContent(call.hub.xet.xorbs.path(digest))
    except FileNotFoundError as error:
        raise entry_not_found(digest) from error
    if content.size <= last:
        raise damaged(f"Xorb {digest}")
    part, status, headers = asked(call.request, content.size, digest)
    if status != 206 or part.start < first or part.stop > last + 1:
        raise HubError(416, "Range not satisfiable", headers={"Content-Range": f"bytes */{content.size}"})
    headers = headers | {"Content-Length": str(len(part))}
    return StreamingResponse(content.iterate(part.start, part.stop), 206, headers, "application/octet-stream")


@router.post("/v1/telemetry", include_in_schema=False)
def telemetry() -> None:
    raise entry_not_found("v1/telemetry")  # what clients do is nobody's business
