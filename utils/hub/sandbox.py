"""A room with one door for code that is not the Hub's: bubblewrap, where the machine has it.

On loopback the code belongs to the one student whose machine it is, and runs with his rights as his notebooks do. On
any other address it comes from others, and runs in here or not at all: it sees the interpreter and its packages, can
write to its own folder alone, sees no process but its own, has no capability, and no network but an empty one of its
own: what it may reach is handed to it as a socket.
"""

import functools
import shutil
import subprocess
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path

ROOM = 256 << 20  # bytes of each folder that is in memory
SHUT = """
--unshare-all --unshare-user --disable-userns --die-with-parent --new-session --cap-drop ALL
""".split()  # noqa: SIM905 - a line to read
SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/etc/alternatives", "/etc/fonts", "/etc/ssl")


class NoSandbox(Exception):
    """This machine cannot hold code in; the message says why."""


@dataclass(frozen=True)
class Sandbox:
    """How to hold code in. `readable` and `writable` are places that it has beside the interpreter and its folder."""

    readable: tuple[Path, ...] = ()
    writable: tuple[Path, ...] = ()

    def wrap(self, command: list[str], folder: Path) -> list[str]:
        """The command that runs `command` in `folder` inside, all else but `writable` shut. Raises NoSandbox."""
        reason = why_not()
        if reason:
            raise NoSandbox(reason)
        return self._wrap(command, folder)

    def _wrap(self, command: list[str], folder: Path) -> list[str]:
        flags = [*SHUT]
        for path in SYSTEM:
            if Path(path).is_symlink() and Path(path).is_dir():
                flags += ["--symlink", str(Path(path).readlink()), path]
            else:
                flags += ["--ro-bind-try", path, path]
        flags += ["--proc", "/proc", "--dev", "/dev"]
        for place in ("/tmp", "/root", "/home", "/var/tmp"):
            flags += ["--size", str(ROOM), "--tmpfs", place]
        for path in (*interpreter(), *self.readable):
            flags += ["--ro-bind", str(path), str(path)]
        for path in (folder, *self.writable):
            flags += ["--bind", str(path.resolve()), str(path.resolve())]
        return ["bwrap", *flags, "--chdir", str(folder.resolve()), "--", *command]


def interpreter() -> list[Path]:
    """The folders of this Python and of its packages, those outside of the system's own."""
    found = {Path(sys.prefix), Path(sys.base_prefix), Path(sys.executable).resolve().parents[1]}
    found |= {Path(sysconfig.get_paths()[name]) for name in ("stdlib", "purelib", "platlib")}
    kept = [path for path in sorted(found) if not path.is_relative_to("/usr")]
    return [path for path in kept if not any(other in path.parents for other in kept)]


@functools.cache
def why_not() -> str | None:
    """Why code cannot be held in here, or None: tried out once, with a process that should see and reach nothing."""
    if not shutil.which("bwrap"):
        return "bubblewrap (bwrap) is not installed: apt install bubblewrap"
    import tempfile

    with tempfile.TemporaryDirectory() as inside, tempfile.TemporaryDirectory() as outside:
        secret = Path(outside) / "secret"
        secret.write_text("seen")
        command = Sandbox()._wrap([sys.executable, "-I", "-c", PROBE, str(secret), inside], Path(inside))
        try:
            said = subprocess.run(command, capture_output=True, text=True, timeout=30)
        except (OSError, subprocess.TimeoutExpired) as error:
            return f"bubblewrap does not work here: {error}"
    if said.returncode or said.stdout.strip() != "held":
        reason = (said.stderr or said.stdout).strip().splitlines()[-1:] or ["no answer"]
        return f"bubblewrap does not hold here: {reason[0]}"
    return None


# What code inside tries; it says "held" when none of it worked but writing to its own folder.
PROBE = """
import os, pathlib, socket, sys
secret, own = map(pathlib.Path, sys.argv[1:])
escapes = []
if secret.exists():
    escapes.append("a file outside can be read")
try:
    secret.parent.mkdir(parents=True, exist_ok=True)
    (pathlib.Path(sys.prefix) / "escaped").write_text("")
    escapes.append("the interpreter can be written to")
except OSError:
    pass
if [name for name in os.listdir("/proc") if name.isdigit() and int(name) > 3]:
    escapes.append("other processes can be seen")
if [name for _, name in socket.if_nameindex() if name != "lo"]:
    escapes.append("there is a network")
(own / "written").write_text("")
print(", ".join(escapes) or "held")
"""
