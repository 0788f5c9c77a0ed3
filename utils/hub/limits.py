"""How much of the Hub one client may take: requests in five minutes, and silence in the middle of one of them.

Counted by address, not by token, so that nobody counts anew with each token he makes up. The answers carry the headers
by which the real Hub tells a client how long to wait (draft-ietf-httpapi-ratelimit-headers-09).
"""

import asyncio
import time
from dataclasses import dataclass

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from utils.hub.errors import HubError

WINDOW = 300  # seconds
REQUESTS = 50_000  # in a window: a whole class behind one address still works
MOST_ADDRESSES = 10_000  # remembered
SILENCE = 60  # seconds that a client may say nothing in the middle of its request
FREE = ("/-/health", "/-/lease")


@dataclass
class Window:
    """What one address has asked since `start` (seconds of the monotonic clock)."""

    start: float
    asked: int = 0


class Limits:
    """ASGI middleware. `requests` is what one address may ask in a window; `refuse` makes the answer of a HubError."""

    def __init__(self, app: ASGIApp, requests: int, refuse):
        self.app, self.requests, self.refuse = app, requests, refuse
        self._windows: dict[str, Window] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in FREE:
            return await self.app(scope, receive, send)
        window = self._window(scope)
        window.asked += 1
        left, wait = self.requests - window.asked, int(window.start + WINDOW - time.monotonic()) + 1
        if left < 0:
            return await self.refuse(scope, _too_many(self.requests, wait))(scope, receive, send)
        await self.app(scope, _impatient(receive), send)

    def _window(self, scope: Scope) -> Window:
        address, now = (scope.get("client") or ("?",))[0], time.monotonic()
        window = self._windows.get(address)
        if window is None or now - window.start >= WINDOW:
            if len(self._windows) >= MOST_ADDRESSES:
                self._windows.clear()
            window = self._windows[address] = Window(now)
        return window


def _too_many(requests: int, wait: int) -> HubError:
    return HubError(
        429,
        f"Too many requests: {requests} in {WINDOW // 60} minutes are served. Wait {wait} seconds.",
        headers={
            "Retry-After": str(wait),
            "RateLimit": f'"api";r=0;t={wait}',
            "RateLimit-Policy": f'"fixed window";"api";q={requests};w={WINDOW}',
        },
    )


def _impatient(receive: Receive) -> Receive:
    """To the application a client that falls silent before its request is complete has left."""
    complete = False

    async def next_message() -> Message:
        nonlocal complete
        if complete:
            return await receive()
        try:
            async with asyncio.timeout(SILENCE):
                message = await receive()
        except TimeoutError:
            message = {"type": "http.disconnect"}
        complete = message["type"] == "http.disconnect" or not message.get("more_body", False)
        return message

    return next_message
