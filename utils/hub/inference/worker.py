"""The process that holds one model: loads it, then answers one request after the other over a pipe.

Forked from a server that has imported torch and transformers already (multiprocessing's forkserver): a worker is there
in a moment. What crosses the pipe is JSON only: the Hub believes no pickle of a process that ran somebody's model.
"""

import base64
import contextlib
import json
import logging
import os
import signal
import sys
import time
from multiprocessing.connection import Connection
from pathlib import Path

from utils.hub.inference.wrong import Wrong

# Before the libraries are imported, in the server that workers are forked from: they have all files in a folder.
OFFLINE = {"HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_TELEMETRY": "1", "TOKENIZERS_PARALLELISM": "false"}
LOG = logging.getLogger("pathshala.inference")


class Gone(Exception):
    """Whoever asked does not want the answer any more."""


def run(pipe: Connection, task: str, folder: str, memory: int) -> None:
    """Loads the model in `folder` for `task`, says so on the pipe, and serves it until the pipe ends.

    `memory`, in bytes, is what the process may take on; past that it meets a MemoryError.
    """
    _confine(memory)
    began = time.monotonic()
    try:
        from utils.hub.inference.tasks import load

        answer = load(task, Path(folder))
    except BaseException as error:  # whatever a broken model raises is told to whoever asked for it
        _send(pipe, error=_sentence(error), status=422)
        return
    _send(pipe, ready=time.monotonic() - began)
    with contextlib.suppress(EOFError, OSError):
        while True:
            _serve(pipe, answer, json.loads(pipe.recv_bytes()))


def _serve(pipe: Connection, answer, request: dict) -> None:
    def emit(event: dict) -> None:
        if pipe.poll():  # one word while it works: the Hub takes the question back
            pipe.recv_bytes()
            raise Gone
        _send(pipe, event=event)

    try:
        result = answer(request["inputs"], request["parameters"], emit)
    except Wrong as wrong:
        _send(pipe, error=wrong.message, status=wrong.status)
    except Gone:
        _send(pipe, error="gone", status=499)
    except MemoryError:
        _send(pipe, error="The model ran out of memory", status=500)
    except Exception as error:
        # A model's or pipeline's own complaint about this input.
        _send(pipe, error=_sentence(error), status=422)
    else:
        if isinstance(result, bytes):
            _send(pipe, picture=base64.b64encode(result).decode())
        else:
            _send(pipe, result=_plain(result))


def _send(pipe: Connection, **message) -> None:
    pipe.send_bytes(json.dumps(message).encode())


def _sentence(error: BaseException) -> str:
    lines = str(error).strip().splitlines() or [""]
    return f"{type(error).__name__}: {lines[0]}"[:500]


def _plain(value):
    """The same of Python's own types: pipelines answer with numpy's numbers."""
    if isinstance(value, dict):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return value.item() if hasattr(value, "item") else value


def _confine(memory: int) -> None:
    """No tokens, no output, no more memory than allowed; ends with the server it was forked from, not by Ctrl-C."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for name in [name for name in os.environ if name.startswith(("HF_TOKEN", "HUGGING"))]:
        del os.environ[name]
    with open(os.devnull, "r+b", buffering=0) as nothing:
        for stream in (sys.stdin, sys.stdout):
            with contextlib.suppress(OSError, ValueError, AttributeError):
                os.dup2(nothing.fileno(), stream.fileno())
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
    if os.name == "posix":
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        if sys.platform == "linux" and not os.path.exists("/dev/nvidiactl"):  # CUDA maps more than it uses
            resource.setrlimit(resource.RLIMIT_DATA, (memory, memory))
