"""One workspace's Hub, found or started, and a lease on it. Imports nothing heavy: every notebook begins here."""

import http.client
import json
import os
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from filelock import FileLock

STARTUP = 120.0  # seconds that a slow machine may take to start the Hub


class HubFailed(RuntimeError):
    """The local Hub did not start; the message is in Bangla and quotes its log."""


@dataclass
class LocalHub:
    """A running Hub that stays at least as long as this object holds its lease (an open socket).

    The operating system closes the socket however this process ends, so no Hub is left behind.
    """

    home: Path
    url: str
    token: str
    pid: int
    _lease: http.client.HTTPConnection | None = field(default=None, repr=False)

    @classmethod
    def open(cls, home: Path) -> "LocalHub":
        """The Hub of the workspace `home`, started if it does not run. Raises HubFailed."""
        home = Path(home).resolve()
        home.mkdir(parents=True, exist_ok=True)
        with FileLock(home / "hub.lock", timeout=STARTUP):
            return cls.running(home) or cls._start(home)

    @classmethod
    def running(cls, home: Path) -> "LocalHub | None":
        """The workspace's Hub with a lease on it, or None if none runs."""
        try:
            state = json.loads((home / "hub.json").read_text())
            hub = cls(home, state["url"], state["token"], state["pid"])
            if hub._get("/-/health")["pid"] != hub.pid:
                return None  # another program has the port now
            hub._take_lease()
        except (OSError, ValueError, KeyError, TypeError, http.client.HTTPException):
            return None
        return hub

    @classmethod
    def _start(cls, home: Path) -> "LocalHub":
        (home / "hub.json").unlink(missing_ok=True)
        log = home / "hub.log"
        # A session of its own: one notebook's Interrupt must not end the Hub under the others.
        if os.name == "nt":
            apart: dict[str, Any] = {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.DETACHED_PROCESS}
        else:
            apart = {"start_new_session": True}
        # It outlives this notebook and serves others: it gets nothing of this one's account and settings.
        ours = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "HUGGING"))}
        course = Path(__file__).parents[2]  # first on the child's path, whatever `utils` lies beside the notebook
        with log.open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", "utils.hub", str(home)],
                cwd=course,
                env=ours,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                **apart,
            )
        deadline = time.monotonic() + STARTUP
        while time.monotonic() < deadline:
            if (home / "hub.json").exists() and (hub := cls.running(home)):
                return hub
            if process.poll() is not None:
                break
            time.sleep(0.05)
        else:
            process.kill()
        said = log.read_text(errors="replace").strip().splitlines()[-5:]
        raise HubFailed(
            "local Hub চালু হয়নি। Kernel → Restart দাও, তারপর প্রথম cell থেকে চালাও। তাতেও না হলে terminal এ "
            "`pathshala reset` চালাও (তোমার local repo গুলো মুছে যাবে)।\n"
            f"Hub এর log ({log}):\n" + "\n".join(said)
        )

    def _connect(self) -> http.client.HTTPConnection:
        host, _, port = self.url.removeprefix("http://").rpartition(":")
        return http.client.HTTPConnection(host, int(port), timeout=10)

    def _get(self, path: str) -> dict:
        connection = self._connect()
        try:
            connection.request("GET", path)
            return json.load(connection.getresponse())
        finally:
            connection.close()

    def _take_lease(self) -> None:
        connection = self._connect()
        connection.request("GET", "/-/lease")
        if connection.getresponse().status != 200:
            raise http.client.HTTPException("no lease")
        self._lease = connection

    def close(self) -> None:
        """Gives the lease back; the Hub ends a while later if nobody else holds one."""
        if self._lease:
            self._lease.close()
            self._lease = None

    def stop(self) -> None:
        """Ends the Hub now, whoever else uses it, and waits until it is gone."""
        import psutil

        def ended(seconds: float) -> bool:
            deadline = time.monotonic() + seconds
            # In a container nobody may bury the dead: a zombie has ended.
            while process.status() != psutil.STATUS_ZOMBIE:
                if time.monotonic() > deadline:
                    return False
                time.sleep(0.05)
            return True

        self.close()
        with suppress(psutil.NoSuchProcess):
            process = psutil.Process(self.pid)
            process.terminate()
            if not ended(15):
                process.kill()
                ended(15)

    def __enter__(self) -> "LocalHub":
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()
