"""The door of every Space: looks at a request's head, then is a pipe between the visitor and the app.

One request a connection: after it the pipe carries whatever the two have to say, be it a body of any length, events one
by one, or a websocket. What the app cannot answer (it starts, is paused, is broken, or has no process at all) the Hub
does: the request goes to its own address, where `routes.space_app` waits for it.
"""

import asyncio
import contextlib
import time
from dataclasses import dataclass
from http.cookies import CookieError, SimpleCookie
from typing import TYPE_CHECKING

from utils.hub.spaces import visitors
from utils.hub.spaces.space import STARTING, Address, Space
from utils.hub.tables import Repo

if TYPE_CHECKING:
    from utils.hub.spaces.manager import Spaces

LONGEST_HEAD = 64 << 10  # bytes
SILENCE = 60  # seconds until the head of a request must be here
PATIENCE = 240  # seconds that a program waits for an app to start
STILL_HERE = 2  # seconds between two signs of life to such a program
PIECE = 64 << 10
PASSWORD = "x-pathshala-door"
FONT = "-/font.ttf"  # of the Hub's pages in the app's place
# Of a visitor's request: what is between the two ends of one connection, and what only a proxy may say.
DROPPED = {"connection", "keep-alive", "proxy-connection", "proxy-authorization", "forwarded", PASSWORD}


@dataclass
class Head:
    """The first line and the headers of a request, names in lower case."""

    method: str
    target: str
    fields: list[tuple[str, str]]

    @classmethod
    def parse(cls, raw: bytes) -> "Head":
        """Raises ValueError."""
        first, *lines = raw.decode("latin-1").split("\r\n")[:-2]
        method, target, version = first.split(" ")
        if not target.startswith("/") or not version.startswith("HTTP/1."):
            raise ValueError(first)
        fields = []
        for line in lines:
            name, colon, value = line.partition(":")
            if not colon or not name or name != name.strip():
                raise ValueError(line)
            fields.append((name.lower(), value.strip()))
        return cls(method, target, fields)

    @property
    def headers(self) -> dict[str, str]:
        return dict(self.fields)

    @property
    def cookies(self) -> dict[str, str]:
        try:
            return {name: morsel.value for name, morsel in SimpleCookie(self.headers.get("cookie", "")).items()}
        except CookieError:
            return {}

    def bytes(self, target: str, more: dict[str, str]) -> bytes:
        """The request for `target`, with `more` headers and to be the only one of its connection."""
        kept = [(n, v) for n, v in self.fields if n not in DROPPED and not n.startswith("x-forwarded-")]
        upgrade = self.headers.get("upgrade")
        kept += [*more.items(), ("connection", "Upgrade" if upgrade else "close")]
        lines = [f"{self.method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in kept)]
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


class Front:
    """Serves the ports of all Spaces of a Hub."""

    def __init__(self, spaces: "Spaces"):
        self.spaces = spaces

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, TimeoutError, asyncio.IncompleteReadError):
            try:
                async with asyncio.timeout(SILENCE):
                    head = Head.parse(await reader.readuntil(b"\r\n\r\n"))
            except (ValueError, asyncio.LimitOverrunError):
                writer.write(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            else:
                await self._pass_on(head, reader, writer)
        with contextlib.suppress(ConnectionError):
            writer.close()
            await writer.wait_closed()

    async def _pass_on(self, head: Head, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        number = self.spaces.number_at(writer.get_extra_info("sockname")[1])
        visitor = writer.get_extra_info("peername")[0]
        begin, told = time.monotonic(), time.monotonic()
        while True:
            space, request = await asyncio.to_thread(self._look, head, number, visitor)
            waits = space and space.stage in STARTING and "text/html" not in head.headers.get("accept", "")
            if not waits or time.monotonic() - begin > PATIENCE or reader.at_eof():
                break
            # `gradio_client` waits five seconds for a word. Some others take this one for the answer.
            if "gradio_client" in head.headers.get("user-agent", "") and time.monotonic() - told > STILL_HERE:
                writer.write(b"HTTP/1.1 102 Processing\r\n\r\n")
                told = time.monotonic()
            await asyncio.sleep(0.2)
        address = space and space.address
        if not address:
            return await self._pipe(self.spaces.hub_address, self._for_the_hub(head, number), reader, writer)
        with space.visit():
            try:
                await self._pipe(address, request, reader, writer)
            except (ConnectionRefusedError, FileNotFoundError):  # it has just ended
                await self._pipe(self.spaces.hub_address, self._for_the_hub(head, number), reader, writer)

    def _look(self, head: Head, number: int | None, visitor: str) -> tuple[Space | None, bytes]:
        """The Space whose app is to answer, now or when it runs, and what it is sent; None where the Hub answers."""
        hub = self.spaces.hub
        with hub.db() as db:
            repo = db.get(Repo, number or 0)
            if repo is None or f"{visitors.PARAMETER}=" in head.target:
                return None, b""
            caller = visitors.who(hub, db, repo, head.headers, head.cookies)
            if not visitors.may_enter(db, repo, caller):
                return None, b""
            self.spaces.wake(db, repo)
            space = self.spaces.of(repo)
            if space.stage not in ("RUNNING", *STARTING) or (space.address is None and head.target == f"/{FONT}"):
                return None, b""
            return space, self._for_the_app(head, db, visitor)

    def _for_the_app(self, head: Head, db, visitor: str) -> bytes:
        """The request without what would let the app act as its visitor."""
        fields = []
        for name, value in head.fields:
            if name == "x-hf-authorization" or (name == "authorization" and visitors.is_ours(db, value)):
                continue
            if name == "cookie":
                pairs = (pair.strip() for pair in value.split(";"))
                value = "; ".join(pair for pair in pairs if not _is_ours(pair.partition("=")[0]))
                if not value:
                    continue
            fields.append((name, value))
        return Head(head.method, head.target, fields).bytes(head.target, {"x-forwarded-for": visitor})

    def _for_the_hub(self, head: Head, number: int | None) -> bytes:
        own = Head(head.method, head.target, [(name, value) for name, value in head.fields if name != "upgrade"])
        return own.bytes(f"/-/space/{number or 0}{head.target}", {PASSWORD: self.spaces.password})

    @staticmethod
    async def _pipe(
        address: Address, request: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """Both ways, until one of the two has ended."""
        if isinstance(address, str):
            answers, asks = await asyncio.open_unix_connection(address)
        else:
            answers, asks = await asyncio.open_connection(*address)
        asks.write(request)
        ways = [asyncio.ensure_future(_flow(reader, asks)), asyncio.ensure_future(_flow(answers, writer))]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
            asks.close()


def _is_ours(cookie: str) -> bool:
    own, of_spaces = visitors.OURS
    return cookie == own or cookie.startswith(of_spaces)


async def _flow(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    while piece := await source.read(PIECE):
        sink.write(piece)
        await sink.drain()
