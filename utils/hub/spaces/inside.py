"""Within the sandbox, which has a network of its own with nothing in it: the app, and its two ways to the Hub.

Visitors come in by a socket that the Hub made and listens on no more: it hands it down, as a descriptor, so that no app
can put another in its place. The Hub is found at its usual address, which leads to it by a socket of its own. Run as a
script, with nothing but the standard library: DESCRIPTOR APP_PORT HUB_PORT HUB_SOCKET COMMAND…
"""

import asyncio
import contextlib
import os
import signal
import socket
import sys

PIECE = 64 << 10


async def flow(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while piece := await source.read(PIECE):
            sink.write(piece)
            await sink.drain()


def pipe(connect):
    """A server's callback: each connection is joined to one that `connect` opens, until either has ended."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            answers, asks = await connect()
            ways = [asyncio.ensure_future(flow(reader, asks)), asyncio.ensure_future(flow(answers, writer))]
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            for way in ways:
                way.cancel()
            asks.close()
        writer.close()

    return serve


async def main(descriptor: int, app_port: int, hub_port: int, hub_socket: str, command: list[str]) -> int:
    visitors = socket.socket(fileno=descriptor)
    await asyncio.start_unix_server(pipe(lambda: asyncio.open_connection("127.0.0.1", app_port)), sock=visitors)
    await asyncio.start_server(pipe(lambda: asyncio.open_unix_connection(hub_socket)), "127.0.0.1", hub_port)
    app = await asyncio.create_subprocess_exec(*command)
    return await app.wait()


if __name__ == "__main__":
    one, two, three, path, *what = sys.argv[1:]
    code = asyncio.run(main(int(one), int(two), int(three), path, what))
    if code < 0:  # as the app ended, so does this
        signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    sys.exit(code)
