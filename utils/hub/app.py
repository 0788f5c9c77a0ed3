"""The Hub as an ASGI application."""

import logging
import uuid

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, RedirectResponse, Response
from sqlalchemy.exc import IntegrityError, OperationalError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from utils.hub import limits
from utils.hub.cors import Cors
from utils.hub.errors import HubError, Moved, conflict, disk_full, is_full
from utils.hub.html import error_page, wants_html
from utils.hub.hub import Hub
from utils.hub.inference.allowances import Allowances
from utils.hub.inference.pool import Pool
from utils.hub.leases import Leases
from utils.hub.routes import (
    access,
    accounts,
    allowances,
    collections,
    commits,
    copies,
    discussions,
    files,
    housekeeping,
    inference,
    large_files,
    lfs,
    likes,
    listing,
    pages,
    refs,
    repos,
    smart_http,
    space_app,
    spaces,
    tags,
    unserved,
    weights,
    xet,
)
from utils.hub.spaces.manager import Options, Spaces

log = logging.getLogger("pathshala.hub")
LARGEST_BODY = 16 << 20  # bytes of a request; the routes that take files say how many more they take


class Envelope:
    """Routes on the raw path, where a revision may be `refs%2Fpr%2F1`, and stamps every answer with a request id."""

    def __init__(self, app: ASGIApp):
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        headers = dict(scope["headers"])
        request_id = headers.get(b"x-request-id") or headers.get(b"x-amzn-trace-id") or uuid.uuid4().hex.encode()

        async def stamped(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], (b"x-request-id", request_id)]
            await send(message)

        raw = scope.get("raw_path") or scope["path"].encode()
        await self.app({**scope, "path": raw.split(b"?")[0].decode("latin-1")}, receive, stamped)


def answer(request: Request, error: HubError) -> Response:
    if wants_html(request):
        return error_page(error)
    return JSONResponse({"error": error.message}, error.status, headers=error.all_headers)


def create_app(
    hub: Hub,
    leases: Leases | None = None,
    *,
    open: bool = False,
    requests: int = limits.REQUESTS,
    spaces_options: Options = Options(),  # noqa: B008 - frozen
) -> FastAPI:
    """The application that serves `hub`. With `leases`, the server ends when nobody holds one any more.

    `open` lets everybody who reaches it make an account. `requests` is what one address may ask in five minutes.
    """
    app = FastAPI(
        title="Pathshala Hub", redirect_slashes=False, docs_url=None, redoc_url=None, max_body_size=LARGEST_BODY
    )
    app.state.hub, app.state.open = hub, open
    app.state.leases = leases or Leases()
    app.state.spaces = Spaces(hub, spaces_options)
    app.state.inference, app.state.allowances = Pool(hub.data / "inference"), Allowances()
    app.add_exception_handler(HubError, answer)

    @app.exception_handler(Moved)
    def moved(request: Request, error: Moved) -> Response:
        path = request.scope["path"].replace(f"/{error.old}", f"/{error.new}", 1)
        query = f"?{request.url.query}" if request.url.query else ""
        return RedirectResponse(path + query, 307)

    @app.exception_handler(RequestValidationError)
    def malformed(request: Request, error: RequestValidationError) -> Response:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"][1:])
        return answer(request, HubError(400, f"Invalid request: {where}: {first['msg']}"))

    @app.exception_handler(HTTPException)
    def refused(request: Request, error: HTTPException) -> Response:
        code = {404: "EntryNotFound"}.get(error.status_code)
        return answer(request, HubError(error.status_code, str(error.detail), code, dict(error.headers or {})))

    @app.exception_handler(IntegrityError)
    def raced(request: Request, _error: IntegrityError) -> Response:
        return answer(request, conflict("Somebody else changed this at the same moment; please try again"))

    @app.exception_handler(OSError)
    @app.exception_handler(OperationalError)
    def no_room(request: Request, error: OSError | OperationalError) -> Response:
        if not is_full(error):
            raise error
        log.error("The disk is full: %s", getattr(error, "orig", error))
        return answer(request, disk_full())

    @app.exception_handler(UnicodeError)
    def half_a_character(request: Request, _error: UnicodeError) -> Response:
        return answer(request, HubError(400, "The request holds half a character (a lone surrogate)"))

    @app.exception_handler(ClientDisconnect)
    def gone(_request: Request, _error: ClientDisconnect) -> Response:
        return Response(status_code=400)  # to nobody: an upload that was broken off is no error of the Hub's

    @app.exception_handler(Exception)
    def failed(request: Request, error: Exception) -> Response:
        # The route, not the path: in that a link may stand that opens a file.
        route = getattr(request.scope.get("route"), "path", "a request")
        log.error("%s %s failed", request.method, route, exc_info=error)
        return answer(request, HubError(500, "Internal error: the Hub's log says more"))

    # From the particular to the general: a repo's own info would else catch what stands below it.
    parts = (
        housekeeping,
        accounts,
        access,
        spaces,
        repos,
        listing,
        likes,
        tags,
        collections,
        copies,
        large_files,
        weights,
        refs,
        commits,
        discussions,
        lfs,
        xet,
        smart_http,
        files,
        inference,
        allowances,
        unserved,
    )
    routers = (*(part.router for part in parts), repos.last, unserved.last, pages.router, space_app.router, pages.last)
    for router in routers:
        app.include_router(router)
    app.add_middleware(limits.Limits, requests=requests, refuse=lambda scope, error: answer(Request(scope), error))
    app.add_middleware(Cors)
    app.add_middleware(Envelope)
    return app
