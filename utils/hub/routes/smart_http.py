"""git over HTTP (gitprotocol-http): `clone`, `fetch` and `push`, with an access token for a password.

Git sends a token only to who asks for it by 401. So whoever sends none is asked alike for what is private, for what is
not there, and before every push; only who is known learns that there is nothing.
"""

import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated
from urllib.parse import unquote

import anyio.to_thread
from fastapi import APIRouter, Depends, Path, Request
from fastapi.responses import PlainTextResponse, Response, StreamingResponse
from pydantic import AfterValidator
from sqlalchemy.orm import Session

from utils.hub import fetch, push
from utils.hub.accounts import Caller
from utils.hub.errors import HubError, forbidden, invalid, not_served
from utils.hub.git import GitRepo
from utils.hub.objects import BLOCK
from utils.hub.routes.call import PREFIXES, PageCall, token_of
from utils.hub.tables import Repo

router = APIRouter(include_in_schema=False)
LARGEST_WISH = 4 << 20  # bytes of a fetch request, inflated
LARGEST_PUSH = push.LARGEST_PACK + push.LONGEST_HEAD
GZIP = ("gzip", "x-gzip")
FRESH = {"Cache-Control": "no-cache"}
ASK = {"WWW-Authenticate": 'Basic realm="Pathshala Hub"'}
# Looking through packs is work for the processor: further ones wait for their turn, other requests do not.
AT_ONCE = anyio.CapacityLimiter(4)


class GitCall(PageCall):
    """A request of git or git-lfs to one repo."""

    def __init__(self, request: Request, repo: Annotated[str, Path(), AfterValidator(unquote)]):
        super().__init__(request, repo)
        self._gzip = zlib.decompressobj(wbits=31) if request.headers.get("content-encoding") in GZIP else None

    def inflated(self, block: bytes) -> Iterator[bytes]:
        """The next block of the body as it was before the client compressed it; in pieces, however much it hides."""
        if self._gzip is None:
            yield block
            return
        try:
            while block and not self._gzip.eof:
                yield self._gzip.decompress(block, BLOCK)
                block = self._gzip.unconsumed_tail
        except zlib.error as error:
            raise invalid("The request says gzip and is not") from error

    @contextmanager
    def asking(self) -> Iterator[None]:
        """Asks who sends no token for one, instead of a refusal."""
        try:
            yield
        except HubError as error:
            if error.status == 401 and error.headers.get("WWW-Authenticate"):
                raise HubError(401, error.message, headers=ASK) from error  # a wrong token
            if error.status in (401, 404) and token_of(self.request) is None:
                raise asked() from error
            raise

    @contextmanager
    def fetching(self) -> Iterator[Repo]:
        with self.asking(), self.reading_files() as (_db, repo):
            yield repo

    @contextmanager
    def pushing(self) -> Iterator[tuple[Session, Repo, Caller]]:
        """The repo, if there is any ref in it that the caller may push to."""
        with self.asking():
            if token_of(self.request) is None:
                raise asked()
            with self.discussing(files=True) as (db, repo, caller):
                if not push.may_push_somewhere(db, repo, caller):
                    raise forbidden(f"You may not write to {repo.full_name}: open a pull request, and push to that")
                yield db, repo, caller


def asked() -> HubError:
    return HubError(401, "Log in with your user name, and an access token as the password", headers=ASK)


OnGit = Annotated[GitCall, Depends(GitCall)]


def info_refs(call: OnGit, service: str = "") -> Response:
    try:
        return _info_refs(call, service)
    except HubError as error:
        # Text that git shows to the person who waits.
        return PlainTextResponse(error.message + "\n", error.status, headers=error.all_headers)


def _info_refs(call: GitCall, service: str) -> Response:
    if service == "git-upload-pack":
        with call.fetching() as repo:
            pass
        with call.hub.git(repo) as git:
            content = b"".join(fetch.advertise(git, _version(call.request)))
    elif service == "git-receive-pack":
        with call.pushing() as (_db, repo, _caller):
            pass
        with call.hub.git(repo) as git:
            content = b"".join(push.advertise(git))
    else:
        raise forbidden("This Hub speaks git's smart protocol only: please use a newer git")
    return Response(content, headers=FRESH, media_type=f"application/x-{service}-advertisement")


def _version(request: Request) -> int:
    """0 or 2: what the client asks for, where the Hub has it."""
    asked_for = request.headers.get("git-protocol", "").split(":")
    return 2 if "version=2" in asked_for else 0


async def upload_pack(call: OnGit) -> Response:
    repo = await anyio.to_thread.run_sync(_may_fetch, call)
    body = bytearray()
    async for block in call.request.stream():
        for piece in call.inflated(block):
            body += piece
            if len(body) > LARGEST_WISH:
                raise HubError(413, "This request is too large")
    return await anyio.to_thread.run_sync(_answer, call, repo, bytes(body))


def _may_fetch(call: GitCall) -> Repo:
    with call.fetching() as repo:
        return repo


def _answer(call: GitCall, repo: Repo, body: bytes) -> Response:
    git = call.hub.git(repo)
    try:
        answer = fetch.answer(git, body, _version(call.request))
    except BaseException:
        git.__exit__()
        raise
    return StreamingResponse(_closing(git, answer), headers=FRESH, media_type="application/x-git-upload-pack-result")


def _closing(git: GitRepo, answer: Iterator[bytes]) -> Iterator[bytes]:
    with git:
        yield from answer


async def receive_pack(call: OnGit) -> Response:
    await anyio.to_thread.run_sync(_may_push, call)
    incoming = push.Incoming(call.hub.objects.incoming)
    try:
        held = bytearray()
        async for block in call.request.stream():
            held += block
            if len(held) >= BLOCK:
                await anyio.to_thread.run_sync(_write, call, incoming, bytes(held))
                held.clear()
        await anyio.to_thread.run_sync(_write, call, incoming, bytes(held))
        incoming.finish()
        answer = await anyio.to_thread.run_sync(push.receive, call.hub, call.pushing, incoming, limiter=AT_ONCE)
    finally:
        incoming.close()
    return Response(answer, headers=FRESH, media_type="application/x-git-receive-pack-result")


def _may_push(call: GitCall) -> None:
    with call.pushing():
        pass


def _write(call: GitCall, incoming: push.Incoming, block: bytes) -> None:
    for piece in call.inflated(block):
        incoming.write(piece)


def locks(rest: str = "") -> None:
    """git-lfs takes a 501 for an answer, and does not ask again."""
    raise not_served("file locks")


for _prefix in PREFIXES:
    for _suffix in (".git", ""):
        _repo = f"/{_prefix}{{repo:repo}}{_suffix}"
        router.add_api_route(f"{_repo}/info/refs", info_refs, methods=["GET"])
        router.add_api_route(f"{_repo}/git-upload-pack", upload_pack, methods=["POST"])
        router.add_api_route(f"{_repo}/git-receive-pack", receive_pack, methods=["POST"], max_body_size=LARGEST_PUSH)
        for _path in ("locks", "locks/{rest:path}"):
            router.add_api_route(f"{_repo}/info/lfs/{_path}", locks, methods=["GET", "POST"])
