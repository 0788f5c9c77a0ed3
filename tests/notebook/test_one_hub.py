"""One Hub for all notebooks of a workspace: it starts once, outlives any of them, and ends after the last."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import requests

from utils.hub.leases import GRACE

# A user of the Hub without a notebook's weight: it opens it, says where it is and stays until its stdin ends.
USER = """
import json, sys
from pathlib import Path
from utils.hub.local import LocalHub
hub = LocalHub.open(Path(sys.argv[1]))
print(json.dumps([hub.url, hub.pid, hub.token]), flush=True)
sys.stdin.read()
"""
START = "from utils.notebook import start; here = start()"


def user(home: Path) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-c", USER, home], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
    )


def health(url: str) -> dict:
    return requests.get(f"{url}/-/health", timeout=10).json()


def lives(pid: int) -> bool:
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


@pytest.fixture(scope="module")
def shared(workspaces):
    """A workspace that six processes opened at the same moment: the processes and what each was told."""
    home = workspaces()
    users = [user(home) for _ in range(6)]
    yield home, users, [json.loads(process.stdout.readline()) for process in users]
    for process in users:
        process.kill()
        process.communicate()


def test_all_who_come_at_once_get_the_same_hub(shared):
    _, users, told = shared
    url, pid, _ = told[0]

    assert told == [told[0]] * 6
    assert health(url) == {"status": "ok", "pid": pid, "leases": 6}


def test_the_hub_is_cut_off_from_who_started_it(shared):
    home, users, told = shared
    pid = told[0][1]
    descriptors = [os.readlink(f"/proc/{pid}/fd/{number}") for number in range(3)]

    assert descriptors == ["/dev/null", str(home / "hub.log"), str(home / "hub.log")]
    assert os.getsid(pid) == pid != os.getsid(users[0].pid)
    assert Path(f"/proc/{pid}/cwd/utils/hub").is_dir(), "it would import whatever lies beside the notebook"


def test_only_its_owner_may_read_the_token(shared):
    home, _, told = shared

    assert json.loads((home / "hub.json").read_text())["token"] == told[0][2]
    assert (home / "hub.json").stat().st_mode & 0o077 == 0
    assert (home / "student.token").stat().st_mode & 0o077 == 0


def test_a_killed_users_lease_is_given_back_at_once(shared, wait):
    home, _, told = shared
    url, _, _ = told[0]
    extra = user(home)
    extra.stdout.readline()
    held = health(url)["leases"]

    extra.kill()
    extra.communicate()

    wait(lambda: health(url)["leases"] == held - 1, 2)


def test_a_crashed_hub_is_started_anew_where_it_was(shared, wait):
    home, _, told = shared
    url, pid, token = told[0]
    os.kill(pid, signal.SIGKILL)
    wait(lambda: not lives(pid), 5)

    again = user(home)
    try:
        found = json.loads(again.stdout.readline())
        name = requests.get(f"{url}/api/whoami-v2", headers={"Authorization": f"Bearer {token}"}, timeout=10).json()

        assert found == [url, found[1], token] and found[1] != pid
        assert name["name"] == "student"
    finally:
        again.kill()
        again.communicate()


def test_who_comes_while_the_hub_ends_gets_a_new_one(shared, wait):
    """The old process still lives, but a lease on it would be worth nothing."""
    home = shared[0]
    first = user(home)
    _, pid, token = json.loads(first.stdout.readline())
    first.kill()
    first.communicate()
    os.kill(pid, signal.SIGTERM)

    second = user(home)
    try:
        url, new, same = json.loads(second.stdout.readline())
        wait(lambda: not lives(pid), 10)

        assert new != pid and same == token
        assert health(url)["leases"] == 1
        assert json.loads((home / "hub.json").read_text())["pid"] == new
    finally:
        second.kill()
        second.communicate()


@pytest.mark.slow
def test_four_notebooks_share_one_hub_until_the_last_is_gone(kernels, environment, workspaces, wait):
    home = workspaces()
    four = [kernels(home.parent, environment(PATHSHALA_HOME=home)) for _ in range(4)]
    for kernel, cell in [(kernel, kernel.send(START)) for kernel in four]:
        kernel.receive(cell)
    urls = {kernel.value("here.hub") for kernel in four}
    url = urls.pop()
    pid = health(url)["pid"]

    assert urls == set(), "one address for all"
    assert [p.pid for p in psutil.process_iter(["cmdline"]) if str(home) in (p.info["cmdline"] or [])] == [pid]
    assert health(url)["leases"] == 4

    asleep = four[0].send("import time\ntry: time.sleep(60)\nexcept KeyboardInterrupt: print('interrupted')")
    time.sleep(0.5)
    four[0].manager.interrupt_kernel()  # Jupyter's button: a SIGINT to the kernel's process group

    assert four[0].receive(asleep) == "interrupted\n"
    assert health(url) == {"status": "ok", "pid": pid, "leases": 4}

    os.kill(pid, signal.SIGKILL)
    wait(lambda: not lives(pid), 5)
    four[1].run("here = start()")
    pid = health(url)["pid"]

    assert four[1].value("here.hub") == url
    assert four[2].value("__import__('huggingface_hub').whoami()['name']") == "student", "a kernel that did nothing"

    four[2].run("start()")
    for kernel in (four[0], four[1], four[3]):
        kernel.kill()
    time.sleep(GRACE + 3)

    assert health(url)["leases"] == 1, "it stays while one lives"

    four[2].kill()
    gone = wait(lambda: not lives(pid), GRACE + 5)

    assert gone > GRACE - 1
    assert not (home / "hub.json").exists()


@pytest.mark.slow
def test_an_interrupt_in_the_middle_of_start_leaves_the_next_one_whole(kernels, environment, workspaces, wait):
    home = workspaces()
    kernel = kernels(home.parent, environment(PATHSHALA_HOME=home))
    cell = kernel.send(f"try:\n    {START}\nexcept KeyboardInterrupt:\n    print('interrupted')")
    wait((home / "hub.log").exists, 60)
    kernel.manager.interrupt_kernel()
    kernel.receive(cell)

    try:
        kernel.run(START)
    except kernel.Failed as refusal:  # the interrupt came while torch was imported, which torch allows once a process
        assert "Kernel → Restart" in str(refusal)
        kernel = kernels(home.parent, environment(PATHSHALA_HOME=home))
        kernel.run(START)

    assert health(kernel.value("here.hub"))["leases"] == 1
