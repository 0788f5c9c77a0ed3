"""Real kernels, real processes and real Hubs: what the tests of a notebook's start share."""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import psutil
import pytest
from jupyter_client.manager import KernelManager

from utils.hub.local import LocalHub

PATIENCE = 180.0  # seconds: a busy machine imports torch slowly
WARM = """
import json, os, sys, traceback
import matplotlib.font_manager, numpy, torch
for line in sys.stdin:
    script, cwd, environment, output = json.loads(line)
    child = os.fork()
    if child:
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
        continue
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(environment)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 1)
    os.dup2(1, 2)
    try:
        exec(script, {"__name__": "__main__"})
        status = 0
    except BaseException:
        traceback.print_exc()
        status = 1
    sys.stdout.flush()
    os._exit(status)
"""
OURS = ("HF_", "HUGGING", "TRANSFORMERS_", "PATHSHALA_", "GRADIO_", "VERTEX_")


def clean(**variables: str | Path) -> dict[str, str]:
    """This process's environment without anything that a Hugging Face client reads, and with `variables`."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(OURS)}
    # debugpy warns in every kernel of a Python with frozen modules.
    return inherited | {"PYDEVD_DISABLE_FILE_VALIDATION": "1"} | {k: str(v) for k, v in variables.items()}


class Kernel:
    """A notebook's kernel: a process group of its own, fed with cells, interrupted as Jupyter does."""

    class Failed(Exception):
        """A cell raised; the message is the traceback that a student sees."""

    def __init__(self, cwd: Path, environment: dict[str, str], *arguments: str):
        self.manager = KernelManager(kernel_name="python3")
        self.manager.start_kernel(cwd=str(cwd), env=environment, extra_arguments=list(arguments))
        self.pid: int = self.manager.provisioner.pid
        self.client = self.manager.blocking_client()
        self.client.start_channels()
        self.client.wait_for_ready(timeout=PATIENCE)
        self.displayed: list[dict] = []  # of the last cell: one dict of MIME type → data for each rich output

    def send(self, cell: str) -> str:
        """Begins a cell; `receive` waits for its end."""
        return self.client.execute(cell)

    def receive(self, cell_id: str) -> str:
        """What the cell printed. Raises Failed."""
        printed, failure = [], None
        self.displayed = []
        while True:
            message = self.client.get_iopub_msg(timeout=PATIENCE)
            kind, content = message["msg_type"], message["content"]
            if message["parent_header"].get("msg_id") != cell_id:
                continue
            if kind == "stream":
                printed.append(content["text"])
            elif kind == "display_data":
                self.displayed.append(content["data"])
            elif kind == "error":
                failure = "\n".join(content["traceback"])
            elif kind == "status" and content["execution_state"] == "idle":
                break
        if failure is not None:
            raise Kernel.Failed(failure)
        return "".join(printed)

    def run(self, cell: str) -> str:
        return self.receive(self.send(cell))

    def value(self, expression: str):
        """What an expression is in the kernel, through JSON."""
        return json.loads(self.run(f"print('\\n' + __import__('json').dumps({expression}))").strip().splitlines()[-1])

    def kill(self) -> None:
        """As the system does when memory runs out: no farewell."""
        psutil.Process(self.pid).kill()

    def close(self) -> None:
        self.client.stop_channels()
        self.manager.shutdown_kernel(now=True)


class Recorder(ThreadingHTTPServer):
    """Notes each request's first line and Authorization, and answers from `upstream`, a Hub's address, or with 502."""

    def __init__(self, upstream: str | None = None):
        super().__init__(("127.0.0.1", 0), Recording)
        self.upstream = upstream
        self.requests: list[str] = []
        self.authorizations: set[str | None] = set()
        self.url = f"http://127.0.0.1:{self.server_port}"
        threading.Thread(target=self.serve_forever, daemon=True).start()


class Recording(BaseHTTPRequestHandler):
    server: Recorder

    def do_GET(self) -> None:
        import requests

        self.server.requests.append(self.requestline)
        self.server.authorizations.add(self.headers["Authorization"])
        if self.server.upstream is None:
            return self.send_error(502)
        body = self.rfile.read(int(self.headers["Content-Length"] or 0))
        with requests.Session() as session:
            session.trust_env = False
            answer = session.request(
                self.command, self.server.upstream + self.path, headers=dict(self.headers), data=body, timeout=30
            )
        self.send_response(answer.status_code)
        for name in answer.headers.keys() & {"content-type", "x-error-code", "x-error-message", "www-authenticate"}:
            self.send_header(name, answer.headers[name])
        self.send_header("Content-Length", str(len(answer.content)))
        self.end_headers()
        self.wfile.write(answer.content)

    do_HEAD = do_POST = do_CONNECT = do_GET

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="session")
def environment() -> Callable[..., dict[str, str]]:
    return clean


@pytest.fixture(scope="session")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalHub]:
    """A workspace whose Hub runs, for tests that leave it as it was."""
    with LocalHub.open(tmp_path_factory.mktemp("আমার course") / "workspace") as hub:
        yield hub
        hub.stop()


@pytest.fixture(scope="module")
def workspaces(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[], Path]]:
    """Makes empty workspaces. Their Hubs are gone after the module's last test."""
    made = []

    def workspace() -> Path:
        made.append(tmp_path_factory.mktemp("fresh") / "workspace")
        return made[-1]

    yield workspace
    for home in made:
        if hub := LocalHub.running(home):
            hub.stop()


@pytest.fixture(scope="module")
def kernels() -> Iterator[Callable[..., Kernel]]:
    """Starts kernels, as `Kernel`; they end after the module's last test."""
    with ExitStack() as stack:

        def kernel(cwd: Path, environment: dict[str, str], *arguments: str) -> Kernel:
            started = Kernel(cwd, environment, *arguments)
            stack.callback(started.close)
            return started

        yield kernel


@pytest.fixture(scope="module")
def recorders() -> Iterator[Callable[..., Recorder]]:
    """Starts recording servers, as `Recorder`; they end after the module's last test."""
    with ExitStack() as stack:
        yield lambda upstream=None: stack.enter_context(Recorder(upstream))


@pytest.fixture(scope="session")
def python(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., object]]:
    """Runs a script in a process of its own, in the given folder and environment; returns the JSON it prints last.

    The processes are forked from one that has imported torch, which takes longer than all that these tests do.
    """
    folder = tmp_path_factory.mktemp("python")
    with subprocess.Popen(
        [sys.executable, "-c", WARM], env=clean(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
    ) as warm:

        def run(script: str, cwd: Path, **variables: str | Path) -> object:
            output = folder / "output"
            warm.stdin.write(json.dumps([script, str(cwd), clean(**variables), str(output)]) + "\n")
            status, printed = warm.stdout.readline(), output.read_text()
            assert status == "0\n", printed
            return json.loads(printed.strip().splitlines()[-1])

        yield run
        warm.stdin.close()


@pytest.fixture(scope="session")
def wait() -> Callable[[Callable[[], object], float], float]:
    """Waits until a condition holds and returns the seconds that it took; fails after `limit` seconds."""

    def until(condition: Callable[[], object], limit: float) -> float:
        begin = time.monotonic()
        while not condition():
            assert time.monotonic() - begin < limit, f"not within {limit} s"
            time.sleep(0.05)
        return time.monotonic() - begin

    return until
