"""Other people's code in processes under limits: Spaces, and models that bring code of their own.

Between the Hub and such a tree stands a `supervisor`, so that neither a tree that eats memory or forks without end, nor
a Hub that is killed, leaves anything behind.
"""

import contextlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO

import psutil

from utils.hub.sandbox import Sandbox

SUPERVISOR = Path(__file__).with_name("supervisor.py")
PATIENCE = 45.0  # seconds that the end of a tree and its farewell may take


@dataclass(frozen=True)
class Limits:
    """What one tree may take."""

    memory: int = 2 << 30  # bytes in use, of all its processes together
    processes: int = 64
    file_size: int = 1 << 30  # bytes of one file
    busy: float | None = 300.0  # seconds of a core in full use without a pause; None for no limit


class Supervised:
    """A tree of processes under limits. Made by `start`; safe to use from several threads."""

    def __init__(self, process: subprocess.Popen, pipes: bool):
        self._process, self._why = process, ""
        self.stdin: IO[bytes] | None = process.stdin if pipes else None
        self.stdout: IO[bytes] | None = process.stdout if pipes else None
        self._listening = threading.Thread(target=self._listen, daemon=True)
        self._listening.start()

    @classmethod
    def start(
        cls,
        command: list[str],
        *,
        folder: Path,
        environment: Mapping[str, str],
        log: Path,
        limits: Limits = Limits(),  # noqa: B008 - frozen
        sandbox: Sandbox | None = None,
        pipes: bool = False,
        descriptors: Sequence[int] = (),
        farewell: Sequence[str] = (),
    ) -> "Supervised":
        """Runs `command` in `folder` with this environment and no other.

        What it says goes to the file `log`, of which the first and the last part are kept. With `pipes` its stdin and
        stdout are the caller's, and only stderr is logged. In a `sandbox` it can write to `folder` alone.
        It inherits `descriptors` under their numbers (POSIX). `farewell` is a command for what is no part of the tree,
        as a container is: run when the tree has ended, however that was. Raises NoSandbox.
        """
        order = {
            "command": sandbox.wrap(command, folder) if sandbox else command,
            "folder": str(folder),
            "environment": dict(environment),
            "log": str(log),
            "limits": asdict(limits),
            "pipes": pipes,
            "descriptors": list(descriptors),
            "farewell": list(farewell),
        }
        apart = {"start_new_session": True} if os.name == "posix" else {}  # Ctrl-C is the Hub's to hear
        process = subprocess.Popen(
            [sys.executable, "-I", str(SUPERVISOR)],
            bufsize=0,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE if pipes else subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env={name: os.environ[name] for name in ("SYSTEMROOT",) if name in os.environ},
            **apart,
            **({"pass_fds": tuple(descriptors)} if descriptors else {}),
        )
        text = json.dumps(order).encode()
        _write(process.stdin, b"%d\n" % len(text) + text)
        if not pipes:
            process.stdin.close()
        return cls(process, pipes)

    def _listen(self) -> None:
        self._why = self._process.stderr.read().decode(errors="replace").strip()
        self._process.stderr.close()
        self._process.wait()

    @property
    def alive(self) -> bool:
        return self._listening.is_alive()

    @property
    def why_ended(self) -> str | None:
        """None while it lives; "memory", "processes" or "busy", a limit; "stopped"; "exit 1", "signal 9"; a cause."""
        if self.alive:
            return None
        return self._why.splitlines()[-1] if self._why else "lost"

    def processes(self) -> list[psutil.Process]:
        """The tree as it is now, the supervisor left out. Raises psutil.NoSuchProcess when it is gone."""
        return psutil.Process(self._process.pid).children(recursive=True)

    def wait(self, seconds: float | None = None) -> bool:
        """Waits until the whole tree is gone; whether it is."""
        self._listening.join(seconds)
        return not self.alive

    def stop(self) -> None:
        """Kills the whole tree, and returns when it is gone."""
        if os.name == "nt":
            self._stop_on_windows()
        self._process.terminate()
        if not self.wait(PATIENCE):
            self._process.kill()
            self.wait()
        self._why = self._why or "stopped"  # before it had begun
        for pipe in (self.stdin, self.stdout):
            if pipe:
                pipe.close()

    def _stop_on_windows(self) -> None:
        """There `terminate` leaves the supervisor no time to end the tree."""
        with contextlib.suppress(psutil.NoSuchProcess):
            for process in self.processes():
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.kill()


def _write(pipe: IO[bytes], rest: bytes) -> None:
    while rest:
        rest = rest[pipe.write(rest) :]
