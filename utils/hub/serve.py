"""Running the Hub: for a class in the foreground, or for one workspace's notebooks until the last of them is gone."""

import asyncio
import gc
import json
import os
import socket
from pathlib import Path

import anyio.to_thread
import uvicorn

from utils.hub import birth
from utils.hub.app import create_app
from utils.hub.hub import Hub
from utils.hub.leases import Leases
from utils.hub.limits import REQUESTS
from utils.hub.spaces.manager import Options, Spaces

THREADS = 200  # requests at work at the same time
SHUTDOWN = 5  # seconds that open answers are given to end


class Server(uvicorn.Server):
    """Uvicorn with threads enough that those who write, one after the other, hold up nobody who reads.

    At the end it lets its lease holders go first: it would wait for them otherwise.
    """

    def __init__(self, config: uvicorn.Config, leases: Leases, spaces: Spaces):
        super().__init__(config)
        self.leases, self.spaces = leases, spaces

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        anyio.to_thread.current_default_thread_limiter().total_tokens = THREADS
        await super().startup(sockets)
        await self.spaces.open(*sockets[0].getsockname()[:2])

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self.leases.closing.set()
        await asyncio.to_thread(self.spaces.close)
        await super().shutdown(sockets)


def listen(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 takes a free one. Raises OSError when the port is taken."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # Named TCP outright: only then asyncio sets TCP_NODELAY, without which every answer waits 40 ms.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    if os.name == "posix":  # on Windows the option would let two servers share a port
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((host, port))
    listener.listen(128)
    return listener


def serve(
    data: Path,
    listener: socket.socket,
    *,
    workspace: Path | None = None,
    open: bool = False,
    requests: int = REQUESTS,
    spaces: Options = Options(),  # noqa: B008 - frozen
) -> None:
    """Serves the Hub in `data` on a listening socket until it is told to stop.

    With a `workspace` it is the notebooks' own Hub: the student's account is made and the one that opens the gated
    Llama (`meta.token`), the address and token are written to `hub.json` there (readable by its owner only), and it
    ends 10 s after the last lease. There and with `open` everybody may make an account; `requests` is what one address
    may ask in five minutes; `spaces` is how Spaces are run. Raises DataInUse.
    """
    hub = Hub(data)
    hub.serving()
    birth.bear(hub)
    hub.refresh()
    leases = Leases()
    app = create_app(hub, leases, open=open or workspace is not None, requests=requests, spaces_options=spaces)
    config = uvicorn.Config(
        app,
        lifespan="off",
        ws="none",  # a Space's websockets go through its own front
        access_log=False,
        log_level="warning",
        timeout_graceful_shutdown=SHUTDOWN,
        server_header=False,
    )
    server = Server(config, leases, app.state.spaces)
    gc.freeze()  # what is there now stays: looking through all of it again held up every twentieth request for 80 ms
    try:
        if workspace is None:
            server.run([listener])
        else:
            state = workspace / "hub.json"
            birth.meta_token(hub, workspace / "meta.token")
            _announce(state, listener, birth.student_token(hub, workspace / "student.token"))
            try:
                asyncio.run(_serve_until_alone(server, leases, listener))
            finally:
                state.unlink(missing_ok=True)
    finally:
        app.state.inference.close()
        hub.close()


async def _serve_until_alone(server: Server, leases: Leases, listener: socket.socket) -> None:
    def leave() -> None:
        server.should_exit = True

    watch = asyncio.ensure_future(leases.watch(leave))
    await server.serve([listener])
    watch.cancel()


def _announce(state: Path, listener: socket.socket, token: str) -> None:
    """Writes where the Hub is, all at once, so that a reader never sees half of it."""
    host, port = listener.getsockname()[:2]
    draft = state.with_suffix(".new")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        json.dump({"url": f"http://{host}:{port}", "pid": os.getpid(), "token": token}, file)
    os.replace(draft, state)
