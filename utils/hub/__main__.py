"""`python -m utils.hub WORKSPACE`: the notebooks' own Hub, as `local.LocalHub` starts it."""

import socket
import sys
from pathlib import Path

from utils.hub.serve import listen, serve


def listen_as_before(memory: Path) -> socket.socket:
    """A listener on the port of last time, so that kernels that still run find the Hub again; else on a free one."""
    try:
        return listen("127.0.0.1", int(memory.read_text()))
    except (OSError, ValueError):
        listener = listen("127.0.0.1", 0)
        memory.write_text(str(listener.getsockname()[1]))
        return listener


if __name__ == "__main__":
    workspace = Path(sys.argv[1])
    serve(workspace / "hub", listen_as_before(workspace / "port"), workspace=workspace)
