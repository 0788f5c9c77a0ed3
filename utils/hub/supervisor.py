"""The process between the Hub and code that is not the Hub's: keeps its whole tree under limits, and ends with the Hub.

Run as a script with nothing but psutil, so that it starts in a blink. It reads its orders (JSON) from stdin, which
then is the child's if `pipes` says so, as stdout is; on stderr it says at the end why the tree ended.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil

PATIENCE = 30  # seconds for the farewell
TICK = 0.2  # seconds between two looks at the tree
BUSY = 0.75  # of one core, from which on the tree counts as busy
HEAD, TAIL = 512 << 10, 256 << 10  # bytes of the log that are kept: its beginning, and its end
MARK = "\n[…]\n".encode()  # where its middle was
PIECE, PAUSE = 64 << 10, 0.01  # bytes read of a log at once, and seconds after: a flood waits, the machine does not
ROOM = 2 << 30  # bytes that a process may map beyond what it may use
ADOPT_ORPHANS, DIE_WITH_PARENT = 36, 1  # PR_SET_CHILD_SUBREAPER and PR_SET_PDEATHSIG of prctl(2)
LINUX = sys.platform == "linux"


class Log:
    """The tree's output in a file of bounded length: a longer one loses its middle."""

    def __init__(self, path: Path):
        self.path, self.file, self.size = path, path.open("wb", buffering=0), 0

    def write(self, piece: bytes) -> None:
        self.file.write(piece)
        self.size += len(piece)
        if self.size > HEAD + 2 * TAIL:
            self._cut()

    def _cut(self) -> None:
        whole = self.path.read_bytes()
        shorter = self.path.with_name(self.path.name + ".new")
        self.file.close()
        self.file = shorter.open("wb", buffering=0)
        self.file.write(whole[:HEAD] + MARK + whole[-TAIL:])
        self.size = self.file.tell()
        if os.name == "nt":  # where no open file can take another's place
            self.file.close()
        os.replace(shorter, self.path)
        if os.name == "nt":
            self.file = self.path.open("ab", buffering=0)

    def follow(self, source: int) -> None:
        """Copies a pipe into the log until nobody holds its other end. A full disk costs the log, not the app."""
        while piece := os.read(source, PIECE):
            with contextlib.suppress(OSError):
                self.write(piece)
            if len(piece) > PIECE // 2:
                time.sleep(PAUSE)


class Tree:
    """The child and all that came of it, those included that made themselves orphans."""

    def __init__(self, child: subprocess.Popen, limits: dict):
        self.child, self.limits = child, limits
        self.me = psutil.Process()
        self.returncode: int | None = None
        self._used, self._waited = 0.0, {}  # seconds of processors: had in all, and waited for by each process
        self._busy_since, self._seen_at = None, time.monotonic()

    def processes(self) -> list[psutil.Process]:
        if LINUX:
            return self.me.children(recursive=True)  # all of them: orphans become this process's own
        try:
            first = psutil.Process(self.child.pid)
            return [first, *first.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []

    def reap(self) -> None:
        """Buries the dead, of whom orphans are this process's own."""
        if not LINUX:
            self.returncode = self.child.poll()
            return
        with contextlib.suppress(ChildProcessError):
            while (ended := os.waitpid(-1, os.WNOHANG))[0]:
                if ended[0] == self.child.pid:
                    self.returncode = os.waitstatus_to_exitcode(ended[1])

    def fault(self) -> str | None:
        """The limit that the tree is over, or None."""
        processes = self.processes()
        if len(processes) > self.limits["processes"]:
            return "processes"
        memory, cpu, waited = 0, 0.0, {}
        for process in processes:
            with contextlib.suppress(psutil.Error), process.oneshot():
                used = process.memory_info()
                memory += used.rss - getattr(used, "shared", 0)
                times = process.cpu_times()
                cpu += times.user + times.system
                cpu += getattr(times, "children_user", 0) + getattr(times, "children_system", 0)
                waited[process.pid] = waited_for(process.pid)
        if memory > self.limits["memory"]:
            return "memory"
        return "busy" if self._busy(cpu + self._of_the_buried(), waited) else None

    def _of_the_buried(self) -> float:
        times = os.times()
        return times.children_user + times.children_system

    def _busy(self, cpu: float, waited: dict[int, float]) -> bool:
        now = time.monotonic()
        # Where others want the processors too, who is busy waits for them half the time.
        waiting = sum(max(so_far - self._waited.get(pid, 0.0), 0.0) for pid, so_far in waited.items())
        passed, used = now - self._seen_at, cpu - self._used + waiting
        self._seen_at, self._used, self._waited = now, cpu, waited
        if used < BUSY * passed - 0.02:  # the clock of a process moves in steps of 10 ms
            self._busy_since = None
        elif self._busy_since is None:
            self._busy_since = now - passed
        limit = self.limits["busy"]
        return limit is not None and self._busy_since is not None and now - self._busy_since > limit

    def end(self) -> None:
        """Kills until none is left. Stopped first, nobody has a child while the next one is looked for."""
        if os.name == "posix":
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.child.pid, signal.SIGKILL)
        while True:
            self.reap()
            left = [process for process in self.processes() if _lives(process)]
            if not left:
                return
            for act in ("suspend", "kill"):
                for process in left:
                    with contextlib.suppress(psutil.Error):
                        getattr(process, act)()
            time.sleep(0.005)


def waited_for(pid: int) -> float:
    """Seconds that the threads of a process were ready to run and others ran, where the system counts them."""
    waited = 0
    if LINUX:
        for thread in Path(f"/proc/{pid}/task").glob("*/schedstat"):
            with contextlib.suppress(OSError, IndexError):
                waited += int(thread.read_text().split()[1])
    return waited / 1e9


def _lives(process: psutil.Process) -> bool:
    with contextlib.suppress(psutil.Error):
        return process.status() != psutil.STATUS_ZOMBIE
    return False


def prctl(option: int, value: int) -> None:
    import ctypes

    ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


def bind(limits: dict) -> None:
    """In the child, before the command: what the system itself can watch over. It is the first to go without memory."""
    import resource

    def lower(name: str, value: int) -> None:
        if hasattr(resource, name):
            hard = resource.getrlimit(getattr(resource, name))[1]
            value = value if hard == resource.RLIM_INFINITY else min(value, hard)
            with contextlib.suppress(OSError, ValueError):
                resource.setrlimit(getattr(resource, name), (value, value))

    lower("RLIMIT_CORE", 0)
    lower("RLIMIT_FSIZE", limits["file_size"])
    lower("RLIMIT_DATA", limits["memory"] + ROOM)
    if limits["threads"]:
        lower("RLIMIT_NPROC", limits["threads"])
    os.nice(5)
    if LINUX:
        prctl(DIE_WITH_PARENT, signal.SIGKILL)
        with contextlib.suppress(OSError):
            Path("/proc/self/oom_score_adj").write_text("1000")


def threads_allowed(limits: dict) -> int:
    """Of this user, the threads there are now and some for the tree: the system counts them all in one. Root has none.

    A backstop against forks that are faster than a tick; what the tree may have is counted in `Tree.fault`.
    """
    if os.name != "posix" or os.getuid() == 0:
        return 0
    mine = 0
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.uids().real == os.getuid():
                mine += process.num_threads()
    return mine + 32 * limits["processes"]


def orders() -> dict:
    """What comes first on stdin, and no byte of what follows, which is the child's: its length, and then itself."""

    def read(size: int) -> bytes:
        if not (piece := os.read(0, size)):
            sys.exit(1)
        return piece

    length, text = b"", b""
    while not length.endswith(b"\n"):
        length += read(1)
    while len(text) < int(length):
        text += read(int(length) - len(text))
    return json.loads(text)


def main() -> None:
    hub, order = psutil.Process(os.getppid()), orders()
    stopped = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stopped.set())
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    limits = order["limits"] | {"threads": threads_allowed(order["limits"])}
    if LINUX:
        prctl(ADOPT_ORPHANS, 1)
    descriptors = order["descriptors"]
    on_posix = {"start_new_session": True, "preexec_fn": lambda: bind(limits), "pass_fds": descriptors}
    source, sink = os.pipe()
    try:
        child = subprocess.Popen(
            order["command"],
            cwd=order["folder"],
            env=order["environment"],
            stdin=None if order["pipes"] else subprocess.DEVNULL,
            stdout=None if order["pipes"] else sink,
            stderr=sink,
            **(on_posix if os.name == "posix" else {}),
        )
    except OSError as error:
        sys.stderr.write(f"not started: {error.strerror or error}")
        return
    for descriptor in (sink, *descriptors):
        os.close(descriptor)
    if order["pipes"]:  # only the child's from now on: its end is then heard at the other one
        nothing = os.open(os.devnull, os.O_RDWR)
        os.dup2(nothing, 0)
        os.dup2(nothing, 1)
    copying = threading.Thread(target=Log(Path(order["log"])).follow, args=(source,), daemon=True)
    copying.start()
    tree, why = Tree(child, limits), None
    while why is None:
        stopped.wait(TICK)
        tree.reap()
        if stopped.is_set() or not _same(hub):
            why = "stopped"
        elif tree.returncode is not None:
            why = f"exit {tree.returncode}" if tree.returncode >= 0 else f"signal {-tree.returncode}"
        else:
            why = tree.fault()
    tree.end()
    if order["farewell"]:
        with contextlib.suppress(OSError, subprocess.TimeoutExpired):
            quiet = {name: subprocess.DEVNULL for name in ("stdin", "stdout", "stderr")}
            subprocess.run(order["farewell"], env=order["environment"], timeout=PATIENCE, **quiet)
    copying.join(1)
    with contextlib.suppress(OSError):
        sys.stderr.write(why)


def _same(hub: psutil.Process) -> bool:
    """Whether the Hub lives. A dead one that nobody buried has given its children away all the same."""
    return os.getppid() == hub.pid if os.name == "posix" else hub.is_running()


if __name__ == "__main__":
    main()
