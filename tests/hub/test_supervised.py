"""A process tree under limits: whatever it does, it ends, whole, and the reason is told."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from utils.hub import sandbox
from utils.hub.sandbox import NoSandbox, Sandbox
from utils.hub.supervised import Limits, Supervised

ENVIRONMENT = {"PATH": os.environ["PATH"]}
contained = pytest.mark.skipif(bool(sandbox.why_not()), reason=str(sandbox.why_not()))
posix = pytest.mark.skipif(os.name != "posix", reason="needs signals and sessions")


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., Supervised]:
    """Starts a Python program, or with `shell` a bash one, in a folder of its own."""
    started = []
    (tmp_path / "own").mkdir()

    def start(code: str, *, shell: bool = False, **options) -> Supervised:
        command = ["bash", "-c", code] if shell else [sys.executable, "-c", code]
        place = {"folder": tmp_path / "own", "environment": ENVIRONMENT, "log": tmp_path / "log"}
        started.append(Supervised.start(command, **(place | options)))
        return started[-1]

    yield start
    for one in started:
        one.stop()


def processes_with(word: str) -> list[psutil.Process]:
    return [p for p in psutil.process_iter(["cmdline", "status"]) if word in (p.info["cmdline"] or ())]


@pytest.mark.parametrize(
    ("code", "why"),
    [
        ("print('done')", "exit 0"),
        ("import sys; sys.exit(3)", "exit 3"),
        ("import os; os._exit(4)", "exit 4"),
        pytest.param("import os; os.kill(os.getpid(), 11)", "signal 11", marks=posix),
    ],
)
def test_how_a_program_ended_is_told(run, code, why):
    program = run(code)
    assert program.wait(20)
    assert not program.alive
    assert program.why_ended == why


def test_what_the_system_cannot_start_is_told(run):
    program = run("pass", environment=ENVIRONMENT | {f"V{n}": "x" * 100_000 for n in range(60)})
    assert program.wait(20)
    assert program.why_ended.startswith("not started")


def test_a_program_that_does_not_exist_says_so(tmp_path):
    missing = Supervised.start(["/no/such"], folder=tmp_path, environment={}, log=tmp_path / "log")
    assert missing.wait(20)
    assert missing.why_ended.startswith("not started")


def test_it_gets_its_own_environment_only(run, tmp_path, monkeypatch):
    monkeypatch.setenv("HUB_SECRET", "leaked")
    assert run("import os; print(sorted(os.environ))", environment=ENVIRONMENT | {"ONE": "1"}).wait(20)
    said = (tmp_path / "log").read_text()
    assert "ONE" in said
    assert "HUB_SECRET" not in said


@pytest.mark.parametrize(
    ("code", "limits", "why"),
    [
        ("held = []\nwhile True: held.append(bytearray(1 << 20))", Limits(memory=200 << 20), "memory"),
        ("while True: pass", Limits(busy=1), "busy"),
        # None of the processes alone is busy for long.
        (
            "import subprocess, sys\nwhile True: subprocess.run([sys.executable, '-c', 'sum(range(3 * 10**7))'])",
            Limits(busy=3),
            "busy",
        ),
        (
            "import os, time\nfor _ in range(40): os.fork() or time.sleep(60)\ntime.sleep(60)",
            Limits(processes=20),
            "processes",
        ),
    ],
)
@posix
def test_over_a_limit_the_tree_is_ended(run, code, limits, why):
    program = run(code, limits=limits)
    assert program.wait(30), "it still runs"
    assert program.why_ended == why


@posix
def test_memory_of_several_processes_is_counted_together(run):
    code = "import os, time\nfor _ in range(4):\n  if not os.fork(): break\nx = b'1' * (80 << 20)\ntime.sleep(60)"
    program = run(code, limits=Limits(memory=300 << 20))
    assert program.wait(30)
    assert program.why_ended == "memory"


def test_one_that_rests_now_and_then_is_not_busy(run):
    program = run(
        "import time\nend = time.time() + 3\nwhile time.time() < end:\n"
        "  until = time.time() + .4\n  while time.time() < until: pass\n  time.sleep(.3)",
        limits=Limits(busy=1),
    )
    assert program.wait(20)
    assert program.why_ended == "exit 0"


@posix
def test_a_fork_bomb_is_ended(run):
    bomb = run("bomb() { bomb | bomb & }; bomb; sleep 1001", shell=True)
    assert bomb.wait(60), "it still forks"
    assert bomb.why_ended == "processes"
    assert not processes_with("1001")


@posix
def test_daemons_end_with_the_tree(run):
    """Orphans that began sessions of their own are found too: when the program ends, and when it is stopped."""
    program = run("setsid setsid sleep 1002 & (setsid sleep 1002 &) ; sleep 0.5", shell=True)
    assert program.wait(20)
    assert program.why_ended == "exit 0"
    assert not processes_with("1002")
    program = run("trap '' TERM HUP INT; (setsid sleep 1003 &) ; while true; do sleep 1003; done", shell=True)
    for _ in range(100):
        if len(processes_with("1003")) == 2:
            break
        time.sleep(0.05)
    assert len(processes_with("1003")) == 2
    program.stop()
    assert program.why_ended == "stopped"
    assert not processes_with("1003")


@posix
def test_a_killed_hub_leaves_nothing(tmp_path):
    """The process that started the tree is killed with no chance to say goodbye."""
    starts = (
        "import sys, time; from pathlib import Path; from utils.hub.supervised import Supervised\n"
        f"here = Path({str(tmp_path)!r})\n"
        "Supervised.start(['bash', '-c', '(setsid sleep 1004 &); sleep 1004'], folder=here, environment=dict("
        f"PATH={os.environ['PATH']!r}), log=here / 'log')\nprint('started', flush=True); time.sleep(100)"
    )
    hub = subprocess.Popen([sys.executable, "-c", starts], stdout=subprocess.PIPE)
    assert hub.stdout.readline() == b"started\n"
    for _ in range(100):
        if len(processes_with("1004")) == 2:
            break
        time.sleep(0.05)
    assert len(processes_with("1004")) == 2
    hub.send_signal(signal.SIGKILL)  # and not yet waited for: it stays a zombie
    for _ in range(100):
        if not processes_with("1004"):
            break
        time.sleep(0.05)
    assert not processes_with("1004")
    hub.wait()
    hub.stdout.close()


def test_a_farewell_is_said_however_it_ended(run, tmp_path):
    said = tmp_path / "said"
    farewell = [sys.executable, "-c", f"open({str(said)!r}, 'w').write('bye')"]
    program = run("import time; print('here', flush=True); time.sleep(60)", farewell=farewell)
    for _ in range(200):
        if (tmp_path / "log").exists() and (tmp_path / "log").read_text():
            break
        time.sleep(0.05)
    program.stop()
    assert said.read_text() == "bye"
    said.unlink()
    assert run("import os; os.kill(os.getpid(), 9)", farewell=farewell).wait(20)
    assert said.read_text() == "bye"


def test_a_flood_keeps_its_beginning_and_its_end(run, tmp_path):
    code = "print('first')\nfor n in range(300_000): print(n, 'x' * 20)\nprint('last', flush=True)"
    assert run(code).wait(60)
    said = (tmp_path / "log").read_text()
    assert said.startswith("first\n0 ")
    assert said.endswith("last\n")
    assert len(said) < 2 << 20


def test_a_file_cannot_grow_without_end(run, tmp_path):
    program = run("open('big', 'wb').write(bytes(10 << 20))", limits=Limits(file_size=1 << 20))
    assert program.wait(20)
    assert program.why_ended != "exit 0"
    assert (tmp_path / "own" / "big").stat().st_size <= 1 << 20


def test_pipes_belong_to_the_caller(run, tmp_path):
    program = run(
        "import sys\nfor line in sys.stdin: print(line.strip()[::-1], flush=True)\nprint('bye', file=sys.stderr)",
        pipes=True,
    )
    program.stdin.write(b"abc\n")
    assert program.stdout.readline() == b"cba\n"
    program.stdin.close()
    assert program.stdout.read() == b""
    assert program.wait(20)
    assert program.why_ended == "exit 0"
    assert (tmp_path / "log").read_text() == "bye\n"


@contained
def test_in_the_sandbox_only_its_own_folder_is_there(run, tmp_path):
    (tmp_path / "secret").write_text("secret")
    # The interpreter itself may lie below the home.
    homely = [str(path) for path in Path.home().iterdir() if path.is_file()]
    outside = [str(tmp_path / "secret"), *homely, *map(str, Path("/etc").glob("*shadow"))]
    attempt = f"""
import os, pathlib, socket, sys
for what in {outside!r}:
    assert not os.path.exists(what), what
try:
    pathlib.Path(sys.prefix, 'escaped').write_text('')
except OSError:
    pathlib.Path('own').write_text('mine')
try:
    socket.create_connection(('127.0.0.1', {{}}), 2)
except OSError:
    print('held')
"""
    with socket_listening() as port:
        program = run(attempt.format(port), sandbox=Sandbox())
        assert program.wait(20)
        assert (tmp_path / "log").read_text() == "held\n"
        assert (tmp_path / "own" / "own").read_text() == "mine"


def socket_listening():
    import contextlib
    import socket

    @contextlib.contextmanager
    def open_port():
        with socket.create_server(("127.0.0.1", 0)) as listener:
            yield listener.getsockname()[1]

    return open_port()


@contained
def test_in_the_sandbox_the_limits_hold_too(run):
    program = run("import os\nwhile True: os.fork()", sandbox=Sandbox())
    assert program.wait(60)
    assert program.why_ended == "processes"


def test_without_bubblewrap_nothing_runs(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    sandbox.why_not.cache_clear()
    try:
        with pytest.raises(NoSandbox, match="bubblewrap"):
            Supervised.start(["true"], folder=tmp_path, environment={}, log=tmp_path / "log", sandbox=Sandbox())
    finally:
        sandbox.why_not.cache_clear()
