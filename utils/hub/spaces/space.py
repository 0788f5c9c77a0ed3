"""One Space from stage to stage, in a thread of its own as long as its app runs."""

import contextlib
import functools
import logging
import os
import shutil
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import psutil

from utils.hub.errors import HubError, is_full
from utils.hub.sandbox import NoSandbox, Sandbox
from utils.hub.spaces import engines
from utils.hub.spaces.config import APP_PORT, Config, Unfit
from utils.hub.supervised import Limits, Supervised

log = logging.getLogger("pathshala.hub")
PATIENCE = 180.0  # seconds until an app must listen
BUILD = Limits(memory=8 << 30, processes=256, file_size=8 << 30, busy=None)  # of an image, in a client of Docker's
TICK = 0.1  # seconds
STARTING = ("BUILDING", "APP_STARTING")
INSIDE = Path(__file__).with_name("inside.py")
Address = tuple[str, int] | str  # a host and a port, or the path of a socket
# Why an app ended, as its log says it.
REASONS = {
    "memory": "It used more memory than a Space may have here",
    "processes": "It started more processes than a Space may have here",
    "busy": "It kept a processor busy for too long without a pause",
}


@dataclass(frozen=True)
class Plan:
    """What a Space is to run, made new at each start."""

    commit: str
    config: Config
    environment: dict[str, str]
    limits: Limits
    hub_port: int
    hub_socket: Path | None  # where the Hub is found from within a sandbox; None for an app in none


class Space:
    """A Space that was asked for since the Hub began. Thread-safe."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.stage, self.reason = "SLEEPING", ""
        self.noticed: str | None = None  # the last commit that it was looked at for
        self.address: Address | None = None  # where the app listens, while it runs
        self.sleep_time: float | None = None  # seconds without a visitor after which it sleeps
        self.holds_room = False  # of the few that may run at once
        self.visitors, self.last_visit = 0, time.monotonic()
        self._lock = threading.RLock()
        self._thread: threading.Thread | None = None
        self._leave = threading.Event()
        self._rests_as = "SLEEPING"

    @property
    def run_log(self) -> Path:
        return self.folder / "run.log"

    @property
    def build_log(self) -> Path:
        return self.folder / "build.log"

    @property
    def active(self) -> bool:
        return self._thread is not None and self._thread.is_alive()

    @property
    def leaving(self) -> bool:
        return self._leave.is_set()

    @property
    def idle(self) -> float:
        """Seconds since the last visitor left; 0 while one is there."""
        return 0.0 if self.visitors else time.monotonic() - self.last_visit

    @contextlib.contextmanager
    def visit(self):
        with self._lock:
            self.visitors += 1
        try:
            yield
        finally:
            with self._lock:
                self.visitors -= 1
                self.last_visit = time.monotonic()

    def rest(self, stage: str, reason: str = "") -> None:
        """Ends the app, if it runs, and stays in this stage."""
        with self._lock:
            self._rests_as = stage
            self._leave.set()
            thread = self._thread
        if thread and thread is not threading.current_thread():
            thread.join()
        self.stage, self.reason = stage, reason

    def start(self, plan: Callable[[], Plan], lay_out: Callable[[Plan, Path], list[str]]) -> None:
        """Begins anew, in the background: `plan` says what to run, `lay_out` lays the files out and has remarks."""
        with self._lock:
            self.rest("SLEEPING")
            self._leave, self._rests_as = threading.Event(), "SLEEPING"
            self.stage, self.reason = "BUILDING", ""
            self.last_visit = time.monotonic()
            self._thread = threading.Thread(target=self._live, args=(plan, lay_out), daemon=True)
            self._thread.start()

    def _live(self, plan: Callable[[], Plan], lay_out: Callable[[Plan, Path], list[str]]) -> None:
        try:
            stage, reason = self._run(plan, lay_out)
        except Unfit as unfit:
            stage, reason = unfit.stage, str(unfit)
        except (HubError, NoSandbox) as error:
            stage, reason = "BUILD_ERROR", str(error)
        except Exception as error:
            full = is_full(error)
            if not full:
                log.error("A Space could not be started", exc_info=error)
            stage, reason = "BUILD_ERROR", "The Hub's disk is full" if full else "Internal error: see the Hub's log"
        self.address, self.holds_room = None, False
        shutil.rmtree(self.folder / "app", ignore_errors=True)
        if reason:
            with contextlib.suppress(OSError):
                target = self.run_log if stage == "RUNTIME_ERROR" else self.build_log
                target.parent.mkdir(parents=True, exist_ok=True)
                with target.open("a", encoding="utf-8") as file:
                    file.write(f"\n{reason}\n")
        self.stage, self.reason = stage, reason

    def _run(self, plan: Callable[[], Plan], lay_out: Callable[[Plan, Path], list[str]]) -> tuple[str, str]:
        """One start, and all that comes of it; returns the stage in which it ended, and why."""
        for old in (self.run_log, self.build_log):
            old.unlink(missing_ok=True)
        wanted, app, home = plan(), self.folder / "app", self.folder / "home"
        remarks = lay_out(wanted, app)
        shutil.rmtree(home / "tmp", ignore_errors=True)
        (home / "tmp").mkdir(parents=True)
        self.folder.chmod(0o700)
        text = "".join(f"{line}\n" for line in [f"Commit {wanted.commit}", *remarks])
        self.build_log.write_text(text, encoding="utf-8")
        engines.check(wanted.config)
        with tempfile.TemporaryDirectory(prefix="space-") as place:  # for a socket, whose path may not be long
            return self._start_app(wanted, app, home, Path(place) / "visitors")

    def _start_app(self, wanted: Plan, app: Path, home: Path, door: Path) -> tuple[str, str]:
        port, sandbox, visitors, farewell = free_port(), None, None, []
        if wanted.config.sdk == "docker":
            name = self._build_image(app)
            command = engines.docker_run(wanted.config, name, port, self._env_file(wanted), wanted.limits)
            environment, farewell = engines.docker_environment(), ["docker", "rm", "--force", name]
        elif wanted.hub_socket:
            port, visitors = APP_PORT, socket.socket(socket.AF_UNIX)
            visitors.bind(str(door))
            visitors.listen(128)
            ways = [visitors.fileno(), port, wanted.hub_port, wanted.hub_socket]
            command = [sys.executable, "-I", str(INSIDE), *map(str, ways), *engines.command(wanted.config, port)]
            environment = engines.environment(port, home) | wanted.environment
            sandbox = Sandbox(readable=(INSIDE, wanted.hub_socket), writable=(home,))
        else:
            command = engines.command(wanted.config, port)
            environment = engines.environment(port, home) | wanted.environment
        if self.leaving:
            return self._rests_as, ""
        self.stage = "APP_STARTING"
        with visitors or contextlib.nullcontext():
            tree = Supervised.start(
                command,
                folder=app,
                environment=environment,
                log=self.run_log,
                limits=wanted.limits,
                sandbox=sandbox,
                descriptors=[visitors.fileno()] if visitors else [],
                farewell=farewell,
            )
        find = functools.partial(answers, str(door)) if visitors else functools.partial(listening, tree, port)
        if wanted.config.sdk == "docker":  # to a container's port the engine listens from the beginning
            find = functools.partial(answers, ("127.0.0.1", port))
        try:
            return self._watch(tree, port, find)
        finally:
            tree.stop()

    def _watch(self, tree: Supervised, port: int, find: Callable[[], Address | None]) -> tuple[str, str]:
        deadline = time.monotonic() + PATIENCE
        while not tree.wait(TICK):
            if self.leaving:
                return self._rests_as, ""
            if self.address is None:
                if found := find():
                    self.address, self.last_visit, self.stage = found, time.monotonic(), "RUNNING"
                elif time.monotonic() > deadline:
                    return "RUNTIME_ERROR", f"It did not listen on port {port} within {PATIENCE:.0f} seconds"
            elif self.sleep_time is not None and self.idle > self.sleep_time:
                return "SLEEPING", ""
        if tree.why_ended == "exit 0":
            return "RUNTIME_ERROR", "The app ended by itself (exit 0): it must go on serving, as by demo.launch()"
        return "RUNTIME_ERROR", REASONS.get(tree.why_ended, f"The app ended: {tree.why_ended}")

    def _build_image(self, app: Path) -> str:
        name = f"pathshala-{self.folder.name}"
        building = Supervised.start(
            ["docker", "build", "--tag", name, "."],
            folder=app,
            environment=engines.docker_environment(),
            log=self.folder / "image.log",
            limits=BUILD,
        )
        while not building.wait(TICK):
            if self.leaving:
                building.stop()
                break
        said = (self.folder / "image.log").read_text(encoding="utf-8", errors="replace")
        with self.build_log.open("a", encoding="utf-8") as file:
            file.write(said)
        if building.why_ended != "exit 0" and not self.leaving:
            raise Unfit("BUILD_ERROR", f"The image was not built: {building.why_ended}")
        return name

    def _env_file(self, wanted: Plan) -> Path:
        """The container's environment in a file: on a command line every user of the machine could read it."""
        path = self.folder / "environment"
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            for name, value in engines.docker_variables(wanted.environment, wanted.config.app_port).items():
                if "\n" not in value:  # which the format cannot hold
                    file.write(f"{name}={value}\n")
        return path


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def answers(address: Address) -> Address | None:
    """The address, if whoever listens there has an answer to a request."""
    family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
    with contextlib.suppress(OSError), socket.socket(family) as probe:
        probe.settimeout(2)
        probe.connect(address)
        probe.sendall(b"GET / HTTP/1.0\r\n\r\n")
        return address if probe.recv(1) else None
    return None


def listening(tree: Supervised, port: int) -> Address | None:
    """Where the tree listens: on the port that it was given, or on one that it chose in spite of that."""
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return "127.0.0.1", port
    with contextlib.suppress(psutil.Error, OSError):
        for process in tree.processes():
            with contextlib.suppress(psutil.Error):
                for one in process.net_connections("tcp"):
                    if one.status == psutil.CONN_LISTEN and one.laddr.ip in ("127.0.0.1", "0.0.0.0", "::", "::1"):
                        return "127.0.0.1", one.laddr.port
    return None
