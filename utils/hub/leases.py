"""Who still needs this Hub: each user holds one open request, and the Hub ends a while after the last is gone."""

import asyncio
import time
from collections.abc import Callable

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

GRACE = 10.0  # seconds without a lease after which a Hub that was started for notebooks ends


class Leases:
    """Counts the open leases; `watch` ends the server once there has been none for `grace` seconds."""

    def __init__(self, grace: float = GRACE):
        self.grace = grace
        self.held = 0
        self.closing = asyncio.Event()
        self._alone_since = time.monotonic()

    async def watch(self, leave: Callable[[], None]) -> None:
        while self.held or time.monotonic() - self._alone_since <= self.grace:
            await asyncio.sleep(0.2)
        self.closing.set()  # at once: who comes between now and the server's end must find another Hub
        leave()

    def taken(self) -> None:
        self.held += 1

    def returned(self) -> None:
        self.held -= 1
        self._alone_since = time.monotonic()


class LeaseResponse(Response):
    """One line, then silence until the client's end of the socket is gone, however the client died."""

    media_type = "text/plain"

    def __init__(self, leases: Leases):
        super().__init__()
        self.leases = leases
        del self.headers["content-length"]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self.leases.closing.is_set():
            return await Response("closing\n", 503)(scope, receive, send)
        self.leases.taken()
        closing = asyncio.ensure_future(self.leases.closing.wait())
        gone = asyncio.ensure_future(self._gone(receive))
        try:
            await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            await send({"type": "http.response.body", "body": b"held\n", "more_body": True})
            await asyncio.wait((closing, gone), return_when=asyncio.FIRST_COMPLETED)
            if not gone.done():
                await send({"type": "http.response.body", "body": b"closing\n"})
        finally:
            closing.cancel()
            gone.cancel()
            self.leases.returned()

    @staticmethod
    async def _gone(receive: Receive) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
