"""What goes wrong on real machines: kills under load, a full disk, a damaged one, clients that vanish; cleaning up."""

import hashlib
import json
import os
import random
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import psutil
import pytest
from huggingface_hub import CommitOperationAdd
from huggingface_hub.errors import EntryNotFoundError, HfHubHTTPError
from sqlalchemy import select
from typer.testing import CliRunner

from tests.hub.conftest import PATHSHALA, TOKENS, Address, MortalHub
from tests.hub.test_git import GIT_LFS, Git
from tests.hub.test_xet import Client
from utils.hub import care, limits
from utils.hub.cli import app
from utils.hub.hub import Hub
from utils.hub.serve import serve
from utils.hub.tables import Repo

BUSY = 30  # seconds that a test waits for what the Hub does at once, on a machine where much else runs


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def checked(data: Path) -> tuple[int, str]:
    """Exit status of `pathshala hub check`, and all that it says."""
    done = CliRunner().invoke(app, ["check", "--data", str(data)])
    return done.exit_code, done.output


def assert_whole(data: Path) -> None:
    status, said = checked(data)
    assert status == 0 and "✗" not in said, said
    for folder in (data / "repos").iterdir():
        found = subprocess.run(["git", "fsck", "--full", "--strict"], cwd=folder, capture_output=True, text=True)
        assert found.returncode == 0, found.stderr


def incoming(data: Path) -> list[str]:
    return [name for store in ("objects", "xet/xorbs") for name in os.listdir(data / store / "incoming")]


def wait_for(condition: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + BUSY
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


def lfs_upload(http: httpx.Client, repo: str, content: bytes) -> httpx.Response:
    """Sends a large file by LFS; returns the last answer."""
    wanted = {"operation": "upload", "objects": [{"oid": sha256(content), "size": len(content)}]}
    answer = http.post(f"/{repo}.git/info/lfs/objects/batch", json=wanted)
    if answer.status_code == 200 and (actions := answer.json()["objects"][0].get("actions")):
        return http.put(actions["upload"]["href"], content=content)
    return answer


def commit(http: httpx.Client, repo: str, path: str, content: bytes, *, large: bool = False) -> httpx.Response:
    if large:
        file = ("lfsFile", {"path": path, "algo": "sha256", "oid": sha256(content), "size": len(content)})
    else:
        file = ("file", {"path": path, "content": content.decode()})
    lines = [("header", {"summary": path}), file]
    body = "\n".join(json.dumps({"key": key, "value": value}) for key, value in lines)
    return http.post(f"/api/models/{repo}/commit/main", content=body)


def clone(hub: Address, home: Path, repo: str) -> Git:
    """A clone with git-lfs at work."""
    there = shutil.which("git-lfs", path=os.pathsep.join([os.environ["PATH"], str(GIT_LFS)]))
    assert there, "git-lfs is missing: `make test` installs it, or install it yourself"
    (home / "work").mkdir(parents=True)
    git = Git(home / "work", home, hub)
    git.run("lfs", "install", "--skip-repo")
    return git.clone(repo)


# Killed under load


class Sender(threading.Thread):
    """Makes files and sends each until the Hub confirms it, through as many of its lives as it takes."""

    def __init__(self, hub: Address, home: Path, number: int, seed: int):
        super().__init__(daemon=True)
        self.hub, self.home, self.repo = hub, home, f"rahim/{type(self).__name__.lower()}-{number}"
        self.chance = random.Random(f"{self.repo} {seed}")
        self.stop = threading.Event()
        self.confirmed: dict[str, str] = {}  # path → sha256
        self.refusals: list[str] = []
        hub.api("rahim").create_repo(self.repo, exist_ok=True)
        home.mkdir()

    def run(self) -> None:
        self.open()
        try:
            while not self.stop.is_set():
                path, content = f"{len(self.confirmed)}.bin", self.chance.randbytes(self.chance.choice((100, 400_000)))
                while True:
                    try:
                        self.send(path, content)
                        break
                    except (AssertionError, RuntimeError, httpx.TransportError, subprocess.TimeoutExpired) as error:
                        self.refusals.append(str(error))
                        if self.stop.is_set():
                            return
                self.confirmed[path] = sha256(content)
        finally:
            self.close()

    def check(self) -> None:
        """All that was confirmed is there, byte for byte, and in the latest revision."""
        with self.hub.http("rahim") as http:
            for path, digest in self.confirmed.items():
                answer = http.get(f"/{self.repo}/resolve/main/{path}")
                assert answer.status_code == 200 and sha256(answer.content) == digest, (self.repo, path, answer)

    def open(self) -> None:
        pass

    def close(self) -> None:
        pass


class ByXet(Sender):
    def open(self) -> None:
        self.client = Client(self.hub.environment("rahim", self.home / "hf"), self.home / "client")
        self.shared = self.chance.randbytes(200_000)  # in every file, so that later ones refer to earlier xorbs

    def send(self, path: str, content: bytes) -> None:
        (self.home / path).write_bytes(self.shared + content)
        self.client.upload(self.repo, path, self.home / path)

    def check(self) -> None:
        shared, self.shared = self.shared, b""
        self.confirmed = {path: sha256(shared + (self.home / path).read_bytes()[200_000:]) for path in self.confirmed}
        super().check()
        self.shared = shared

    def close(self) -> None:
        self.client.close()


class ByGit(Sender):
    def open(self) -> None:
        while True:
            with suppress(AssertionError):
                self.git = clone(self.hub, self.home / str(self.chance.random()), self.repo)
                return

    def send(self, path: str, content: bytes) -> None:
        if not (self.git.folder / path).exists():
            (self.git.folder / "notes.txt").write_text(path)
            self.git.write(**{path.replace(".", "__"): content})
        self.git.run("push", "-q", "origin", "main")


class ByHttp(Sender):
    def open(self) -> None:
        self.http = self.hub.http("rahim")

    def send(self, path: str, content: bytes) -> None:
        answer = lfs_upload(self.http, self.repo, content)
        assert answer.status_code == 200, answer.text
        answer = commit(self.http, self.repo, path, content, large=True)
        assert answer.status_code == 200, answer.text

    def close(self) -> None:
        self.http.close()


@contextmanager
def sending(hub: Address, home: Path, seed: int, *kinds: type[Sender]) -> Iterator[list[Sender]]:
    """Senders at work while the block runs; each has then sent something, and all of it is checked."""
    senders = [kind(hub, home / f"{kind.__name__}-{number}", number, seed) for number, kind in enumerate(kinds)]
    for sender in senders:
        sender.start()
    try:
        yield senders
    finally:
        for sender in senders:
            sender.stop.set()
        for sender in senders:
            sender.join(60)
            assert not sender.is_alive(), f"{sender.repo} hangs"


def killed_under_load(hub: MortalHub, home: Path, lives: int, seed: int) -> None:
    chance = random.Random(seed)
    with sending(hub, home, seed, ByXet, ByGit, ByHttp) as senders:
        wait_for(lambda: all(sender.confirmed for sender in senders), "nobody sends")
        for _ in range(lives):
            hub.http().get("/-/health")
            time.sleep(chance.uniform(0, 1.5))  # from here on the moment is chance's
            hub.kill()
            hub.start()
        wait_for(lambda: hub.http().get("/-/health").is_success, "it does not come back")
    hub.kill()
    hub.start()
    for sender in senders:
        sender.check()
        assert len(sender.confirmed) > 1, sender.refusals
    assert incoming(hub.data) == []
    assert_whole(hub.data)


@pytest.mark.slow
def test_killed_under_load_it_keeps_what_xet_git_and_lfs_were_promised(mortal_hub, tmp_path):
    killed_under_load(mortal_hub, tmp_path, lives=5, seed=1)


@pytest.mark.slow
def test_killed_under_load_forty_times_it_keeps_what_was_promised(mortal_hub, tmp_path):
    killed_under_load(mortal_hub, tmp_path, lives=40, seed=2)


# A full disk


@dataclass
class SmallDisk:
    """A tmpfs that only this object's shell sees, and the Hub that runs on it."""

    shell: subprocess.Popen
    mount: Path
    hub: Address

    def run(self, command: str) -> str:
        """What a command says that runs beside the Hub, where the disk is."""
        self.shell.stdin.write(f"{{ {command} ; }} 2>&1; echo; echo '=== done'\n")
        self.shell.stdin.flush()
        lines = iter(self.shell.stdout.readline, "")
        said = []
        for line in lines:
            if line == "=== done\n":
                break
            said.append(line)
        return "".join(said)

    def fill(self, room: int) -> None:
        """Leaves so many KiB."""
        self.run(f"dd if=/dev/zero of={self.mount}/filler bs=4k; truncate -s -{room}K {self.mount}/filler")

    def make_room(self) -> None:
        self.run(f"rm {self.mount}/filler")


@pytest.fixture
def small_disk(tmp_path, people) -> Iterator[SmallDisk]:
    words = ["unshare", "-m"] if hasattr(os, "geteuid") and os.geteuid() == 0 else ["unshare", "-rm"]
    mount = tmp_path / "disk"
    mount.mkdir()
    if not shutil.which("unshare") or subprocess.run([*words, "mount", "-t", "tmpfs", "none", mount]).returncode:
        pytest.skip("mount namespaces are not to be had here")
    people(tmp_path / "data")
    shell = subprocess.Popen(
        [*words, "sh"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=tmp_path, bufsize=1
    )
    log = tmp_path / "hub.log"
    log.touch()
    disk = SmallDisk(shell, mount, Address(mount / "data", ""))
    disk.run(f"mount -t tmpfs -o size=40m none {mount} && cp -r {tmp_path}/data {mount}/data")
    disk.run(f"{PATHSHALA} hub serve --port 0 --data {mount}/data >{log} 2>&1 & echo $! >{tmp_path}/pid")
    wait_for(lambda: "http://" in log.read_text(), "no Hub")
    disk.hub.url = next(word for word in log.read_text().split() if word.startswith("http://"))
    wait_for(lambda: _answers(disk.hub), log.read_text())
    yield disk
    os.kill(int((tmp_path / "pid").read_text()), 15)
    shell.stdin.close()
    shell.wait(20)
    shell.stdout.close()


def _answers(hub: Address) -> bool:
    with suppress(httpx.TransportError):
        return hub.http().get("/-/health").is_success
    return False


@pytest.mark.slow
def test_on_a_full_disk_it_refuses_and_goes_on_reading(small_disk, tmp_path):
    hub, chance = small_disk.hub, random.Random(4)
    api, http = hub.api("rahim"), hub.http("rahim")
    repo = api.create_repo("rahim/tight").repo_id
    kept: dict[str, str] = {}
    git = clone(hub, tmp_path / "git", repo)
    xet = Client(hub.environment("rahim", tmp_path / "hf"), tmp_path / "client")

    def by_commit(path: str, content: bytes) -> bool:
        return _taken(commit(http, repo, path, content.hex().encode()))

    def by_lfs(path: str, content: bytes) -> bool:
        return _taken(lfs_upload(http, repo, content)) and _taken(commit(http, repo, path, content, large=True))

    def by_xet(path: str, content: bytes) -> bool:
        (tmp_path / path).write_bytes(content)
        try:
            xet.upload(repo, path, tmp_path / path)
        except RuntimeError as error:
            assert "507" in str(error), error
            return False
        return True

    def by_git(path: str, content: bytes) -> bool:
        git.run("pull", "-q", "--rebase")
        git.write(**{path.replace(".", "__"): content})
        try:
            git.run("push", "-q", "origin", "HEAD:main")
        except AssertionError as error:
            assert "disk is full" in str(error), error
            git.run("reset", "-q", "--hard", "origin/main")
            return False
        return True

    def by_discussion(path: str, content: bytes) -> bool:
        return _taken(
            http.post(f"/api/models/{repo}/discussions", json={"title": path, "description": content.hex()[:60_000]})
        )

    ways = {"txt": by_commit, "bin": by_lfs, "h5": by_xet, "dat": by_git}

    def reads() -> None:
        for path, digest in kept.items():
            assert sha256(http.get(f"/{repo}/resolve/main/{path}").content) == digest
        files = http.get(f"/api/models/{repo}/tree/main").raise_for_status().json()
        assert {file["path"] for file in files} == {".gitattributes", *kept}
        for path in (f"/api/models/{repo}", "/api/models?limit=5", "/api/whoami-v2", f"/api/models/{repo}/discussions"):
            assert http.get(path).status_code == 200

    def sent(name: str) -> set[str]:
        """Tries all ways; returns those that were taken."""
        taken = set()
        for ending, way in ways.items():
            path, content = f"{name}.{ending}", chance.randbytes(30_000)
            if way(path, content):
                kept[path] = sha256(content.hex().encode() if ending == "txt" else content)
                taken.add(ending)
        return taken

    assert sent("first") == set(ways) and by_discussion("first", b"")
    reads()
    token = http.get(f"/api/models/{repo}/xet-write-token/main").json()
    small_disk.fill(0)
    assert sent("none") == set()
    login = {"Authorization": f"Bearer {token['accessToken']}"}
    xorb = f"{token['casUrl']}/v1/xorbs/default/{'0' * 64}"
    assert not _taken(http.post(xorb, content=chance.randbytes(30_000), headers=login)), "also with a token from before"
    started = time.monotonic()
    with pytest.raises(HfHubHTTPError, match="disk is full"):
        api.upload_file(repo_id=repo, path_in_repo="x.txt", path_or_fileobj=b"one line")
    with pytest.raises(RuntimeError, match="Error while uploading") as refused:
        api.upload_file(repo_id=repo, path_in_repo="x.bin", path_or_fileobj=chance.randbytes(100_000))
    assert "disk is full" in str(refused.value.__cause__)
    assert time.monotonic() - started < 10, "the client tries again and again"
    assert not all(by_discussion(f"no room {n}", chance.randbytes(30_000)) for n in range(200))
    reads()
    small_disk.make_room()
    for room in (4, 24, 96, 160):
        small_disk.fill(room)
        sent(f"left-{room}")
        by_discussion(f"left {room}", chance.randbytes(30_000))
        reads()
        small_disk.make_room()
    assert sent("last") == set(ways) and by_discussion("last", b"x")
    reads()
    xet.close()
    left = small_disk.run(f"ls {hub.data}/objects/incoming {hub.data}/xet/xorbs/incoming")
    assert not [line for line in left.split() if not line.endswith(":")], left
    log = (tmp_path / "hub.log").read_text()
    # (Of its lock files dulwich says "Exception ignored" there: it cannot write what it holds back.)
    assert " failed\n" not in log and "ASGI" not in log, log
    said = small_disk.run(f"{PATHSHALA} hub check --data {hub.data}; echo status $?")
    assert "status 0" in said and "✗" not in said, said
    assert "status 0" in small_disk.run(
        f"for x in {hub.data}/repos/*; do git -C $x fsck --full --strict || exit; done; echo status $?"
    )


def _taken(answer: httpx.Response) -> bool:
    """Whether it was taken; else it was refused for want of room, in words."""
    if answer.is_success:
        return True
    assert answer.status_code == 507 and "disk is full" in answer.json()["error"], answer.text
    return False


# A damaged disk


def cut(file: Path) -> None:
    file.chmod(0o644)
    os.truncate(file, file.stat().st_size * 2 // 3)


def test_damaged_files_are_told_never_served_and_healed_by_pushing_again(mortal_hub, tmp_path):
    hub, data, chance = mortal_hub, mortal_hub.data, random.Random(5)
    api = hub.api("rahim")
    repo = api.create_repo("rahim/damaged").repo_id
    large, chunked = chance.randbytes(100_000), chance.randbytes(300_000)
    api.upload_file(repo_id=repo, path_in_repo="large.bin", path_or_fileobj=large)
    (tmp_path / "file").write_bytes(chunked)
    client = Client(hub.environment("rahim", tmp_path / "hf"), tmp_path / "client")
    client.upload(repo, "chunked.bin", tmp_path / "file")
    object_file = data / "objects" / sha256(large)[:2] / sha256(large)[2:4] / sha256(large)
    [xorb] = set((data / "xet" / "xorbs").glob("??/??/*")) - set((data / "xet" / "xorbs" / "incoming").iterdir())
    cut(object_file)
    cut(xorb)

    def damaged(path: str) -> None:
        with pytest.raises(EntryNotFoundError, match="damaged"):
            api.hf_hub_download(repo, path, cache_dir=tmp_path / "cache")
        with hub.http() as http:
            answer = http.get(f"/{repo}/resolve/main/{path}", headers={"Range": "bytes=0-9"})
            assert answer.status_code == 404 and "damaged" in answer.json()["error"]

    damaged("large.bin")
    damaged("chunked.bin")
    with pytest.raises(RuntimeError, match="damaged"):
        client.run("open(api.hf_hub_download(repo, 'chunked.bin')).read()", repo=repo)
    status, said = checked(data)
    assert status == 1
    assert sha256(large) in said and sha256(chunked) in said and f"xorb {xorb.name}" in said
    assert said.count("✗") == 3, said

    api.upload_file(repo_id=repo, path_in_repo="large.bin", path_or_fileobj=large)
    with suppress(RuntimeError):  # the client remembers the chunks, and is told to forget them
        client.upload(repo, "chunked.bin", tmp_path / "file")
    client.upload(repo, "chunked.bin", tmp_path / "file")
    with hub.http() as http:
        assert http.get(f"/{repo}/resolve/main/large.bin").content == large
        assert http.get(f"/{repo}/resolve/main/chunked.bin").content == chunked
    assert client.run("Path(api.hf_hub_download(repo, 'chunked.bin')).stat().st_size", repo=repo) == len(chunked)
    client.close()
    assert checked(data)[0] == 0


def test_damaged_git_objects_are_told_and_never_served(mortal_hub):
    hub, data = mortal_hub, mortal_hub.data
    api = hub.api("rahim")
    api.create_repo("rahim/sound")
    repo = api.create_repo("rahim/broken").repo_id
    loose, packed = b"loose " * 1000, os.urandom(3000).hex().encode()
    api.upload_file(repo_id=repo, path_in_repo="loose.txt", path_or_fileobj=loose)
    with Hub(data).db() as db:
        folder = data / "repos" / db.scalar(select(Repo.folder).where(Repo.key == repo))
    adds = [CommitOperationAdd(f"packed/{n}.txt", packed + b"%d" % n) for n in range(20)]
    api.create_branch(repo, branch="packed")
    head = api.create_commit(repo, adds, commit_message="many", revision="packed").oid
    oid = hashlib.sha1(b"blob %d\0" % len(loose) + loose).hexdigest()
    cut(folder / "objects" / oid[:2] / oid[2:])
    [pack] = (folder / "objects" / "pack").glob("*.pack")
    cut(pack)
    for _ in range(2):
        with hub.http() as http:
            for path in (f"/{repo}/resolve/main/loose.txt", f"/{repo}/raw/main/loose.txt"):
                answer = http.get(path)
                assert answer.status_code == 404 and "damaged" in answer.json()["error"], answer
            for path in (f"resolve/{head}/packed/0.txt", f"resolve/{head}/packed/19.txt"):
                answer = http.get(f"/{repo}/{path}")
                assert answer.status_code == 404 or answer.content == packed + path.split("/")[-1][:-4].encode()
            assert http.get(f"/{repo}/resolve/main/.gitattributes").status_code == 200
            assert http.get("/rahim/sound/resolve/main/.gitattributes").status_code == 200
        status, said = checked(data)
        assert status == 1 and oid in said and head in said and "rahim/sound" not in said, said
        hub.stop()
        hub.start()


# Clients that vanish


def impatient(data: Path, listener: socket.socket) -> None:
    """A Hub that lets who falls silent go after a second, not a minute."""
    limits.SILENCE = 1
    serve(data, listener)


class ImpatientHub(MortalHub):
    def start(self) -> None:
        self.process = self.lives.Process(target=impatient, args=(self.data, self.listener), daemon=True)
        self.process.start()


def held_open(process: psutil.Process) -> tuple[list[str], list[str]]:
    """(files below `incoming` that a process has open, also those that are deleted; its sockets)."""
    found = []
    for descriptor in Path(f"/proc/{process.pid}/fd").iterdir():
        with suppress(FileNotFoundError):
            found.append(os.readlink(descriptor))
    return [name for name in found if "/incoming/" in name], [name for name in found if name.startswith("socket:")]


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="looks into /proc")
@pytest.mark.parametrize("leave", [True, False], ids=["leaves", "stalls"])
def test_who_vanishes_in_the_middle_leaves_nothing(tmp_path, people, leave):
    people(tmp_path / "data")
    hub = ImpatientHub(tmp_path / "data")
    try:
        api, http = hub.api("rahim"), hub.http("rahim")
        repo = api.create_repo("rahim/half").repo_id
        head = api.model_info(repo).sha
        content = os.urandom(3 << 20)
        wanted = {"operation": "upload", "objects": [{"oid": sha256(content), "size": len(content)}]}
        batch = http.post(f"/{repo}.git/info/lfs/objects/batch", json=wanted).json()
        token = http.get(f"/api/models/{repo}/xet-write-token/main").json()
        old = f"{head} {'1' * 40} refs/heads/main\0report-status side-band-64k\n"
        head_line = f"{len(old) + 4:04x}{old}0000".encode()
        line = json.dumps({"key": "header", "value": {"summary": "half"}}).encode() + b"\n"
        mine = f"Bearer {TOKENS['rahim']}"
        requests = [
            ("PUT", batch["objects"][0]["actions"]["upload"]["href"], mine, content[: 2 << 20]),
            ("POST", f"{token['casUrl']}/v1/xorbs/default/{'0' * 64}", f"Bearer {token['accessToken']}", content[:-9]),
            ("POST", f"{hub.url}/{repo}/git-receive-pack", mine, head_line + b"PACK" + content[: 2 << 20]),
            ("POST", f"{hub.url}/api/models/{repo}/commit/main", mine, line + content[:9000]),
        ]
        process = psutil.Process(hub.process.pid)
        open_before = len(held_open(process)[1])
        sockets = []
        for method, url, login, body in requests * 8:
            parts = urlsplit(url)
            connection = socket.create_connection((parts.hostname, parts.port))
            start = f"{method} {parts.path} HTTP/1.1\r\nHost: x\r\nAuthorization: {login}\r\n"
            connection.sendall(f"{start}Content-Length: {len(content)}\r\n\r\n".encode() + body)
            sockets.append(connection)
        wait_for(lambda: len(incoming(hub.data)) >= 20, "nothing comes in")
        if leave:
            for connection in sockets:
                connection.close()
        wait_for(lambda: incoming(hub.data) == [], "half uploads stay")
        for connection in sockets:
            connection.close()
        wait_for(lambda: not held_open(process)[0], "half files stay open")
        wait_for(lambda: len(held_open(process)[1]) <= open_before + 1, "connections stay")
        wait_for(lambda: process.num_threads() < 40, "threads stay")
        assert api.model_info(repo).sha == head
        assert lfs_upload(http, repo, content).status_code == 200, "the same, whole, is taken"
    finally:
        hub.kill()
        hub.listener.close()


# Cleaning up


@pytest.fixture
def made(mortal_hub, tmp_path) -> Iterator[tuple[MortalHub, Client]]:
    client = Client(mortal_hub.environment("rahim", tmp_path / "hf"), tmp_path / "client")
    yield mortal_hub, client
    client.close()


def gc(data: Path, *options: str) -> str:
    done = CliRunner().invoke(app, ["gc", "--data", str(data), *options])
    assert done.exit_code == 0, done.output
    return done.output


def bytes_of(data: Path) -> set[str]:
    return {file.name for store in ("objects", "xet/xorbs") for file in (data / store).glob("??/??/*")}


def test_gc_removes_what_nobody_uses_and_keeps_the_rest(made, tmp_path):
    (hub, client), chance = made, random.Random(6)
    api, data = hub.api("rahim"), hub.data
    kept, gone = api.create_repo("rahim/kept").repo_id, api.create_repo("rahim/gone").repo_id
    born = bytes_of(data)
    contents = {name: chance.randbytes(200_000) for name in ("plain", "chunked", "lost", "lost chunks", "shared")}
    for name in ("chunked", "lost chunks"):
        (tmp_path / name).write_bytes(contents[name])
    api.upload_file(repo_id=kept, path_in_repo="plain.bin", path_or_fileobj=contents["plain"])
    api.upload_file(repo_id=kept, path_in_repo="shared.bin", path_or_fileobj=contents["shared"])
    client.upload(kept, "chunked.bin", tmp_path / "chunked")
    used = bytes_of(data)
    api.upload_file(repo_id=gone, path_in_repo="lost.bin", path_or_fileobj=contents["lost"])
    api.upload_file(repo_id=gone, path_in_repo="shared.bin", path_or_fileobj=contents["shared"])
    client.upload(gone, "lost.bin", tmp_path / "lost chunks")
    folders = set(os.listdir(data / "repos"))
    everything = bytes_of(data)
    assert len(everything - born) == 5 and len(everything - used) == 2
    api.delete_repo(gone)
    gc(data)
    assert bytes_of(data) == everything and set(os.listdir(data / "repos")) == folders, "all is young"
    assert "3" in gc(data, "--hours", "0")
    assert bytes_of(data) == used and len(set(os.listdir(data / "repos"))) == len(folders) - 1
    with hub.http("rahim") as http:
        for name in ("plain", "shared", "chunked"):
            assert http.get(f"/{kept}/resolve/main/{name}.bin").content == contents[name]
    client.upload(kept, "again.bin", tmp_path / "lost chunks")  # who remembers the chunks is not misled
    with hub.http("rahim") as http:
        assert http.get(f"/{kept}/resolve/main/again.bin").content == contents["lost chunks"]
    assert_whole(data)


def test_a_file_that_came_both_ways_needs_one_copy(made, tmp_path):
    (hub, client), content = made, random.Random(7).randbytes(200_000)
    api, data = hub.api("rahim"), hub.data
    repo, other = api.create_repo("rahim/one").repo_id, api.create_repo("rahim/two").repo_id
    (tmp_path / "file").write_bytes(content)
    api.upload_file(repo_id=repo, path_in_repo="a.bin", path_or_fileobj=content)
    client.upload(other, "a.bin", tmp_path / "file")
    plain = data / "objects" / sha256(content)[:2] / sha256(content)[2:4] / sha256(content)
    assert plain.exists()
    [xorb] = (data / "xet" / "xorbs").glob("??/??/*")
    whole = xorb.read_bytes()
    cut(xorb)
    with hub.http() as http:
        assert http.get(f"/{other}/resolve/main/a.bin").content == content, "the other copy serves"
        gc(data, "--hours", "0")
        assert plain.exists(), "the last good copy stays"
        xorb.write_bytes(whole)
        gc(data, "--hours", "0")
        assert not plain.exists()
        for name in (repo, other):
            assert http.get(f"/{name}/resolve/main/a.bin").content == content
    assert checked(data)[0] == 0


def test_a_kill_between_forgetting_and_discarding_loses_nothing(made, tmp_path):
    (hub, client), chance = made, random.Random(8)
    api, data = hub.api("rahim"), hub.data
    repo = api.create_repo("rahim/forgetful").repo_id
    plain, chunked = chance.randbytes(1000), chance.randbytes(100_000)
    (tmp_path / "file").write_bytes(chunked)
    api.upload_file(repo_id=repo, path_in_repo="a.bin", path_or_fileobj=plain)
    client.upload(repo, "b.bin", tmp_path / "file")
    hub.kill()
    there = bytes_of(data)
    dead = Hub(data)
    with dead.db() as db:
        row = db.scalar(select(Repo).where(Repo.key == repo))
        dead.forget(db, row, {sha256(plain), sha256(chunked)})
    dead.close()
    hub.start()
    assert bytes_of(data) == there
    status, said = checked(data)
    assert status == 0 and said.count("was deleted") == 2, said
    gc(data, "--hours", "0")
    assert len(there - bytes_of(data)) == 2
    api.upload_file(repo_id=repo, path_in_repo="a.bin", path_or_fileobj=plain)
    client.upload(repo, "b.bin", tmp_path / "file")
    with hub.http() as http:
        assert http.get(f"/{repo}/resolve/main/a.bin").content == plain
        assert http.get(f"/{repo}/resolve/main/b.bin").content == chunked
    assert_whole(data)


@pytest.mark.slow
def test_gc_beside_uploads_takes_nothing_that_was_acknowledged(mortal_hub, tmp_path):
    hub = mortal_hub
    store = Hub(hub.data)
    rounds, copies = 0, []
    with sending(hub, tmp_path, 9, ByXet, ByGit, ByHttp, ByHttp) as senders, ThreadPoolExecutor(1) as pool:
        wait_for(lambda: all(sender.confirmed for sender in senders), "nobody sends")
        api = hub.api("rahim")
        start = time.monotonic()

        def churn() -> None:
            while (spent := time.monotonic() - start) < 8 or not copies and spent < 90:
                made = api.create_repo(f"rahim/short-{time.monotonic_ns()}").repo_id
                try:
                    copies.append(api.duplicate_repo(made, f"{made}-copy").repo_id)
                except HfHubHTTPError as error:  # with no hour of grace a copy that is being made may be swept away
                    assert error.response.status_code == 503, error
                api.delete_repo(made)

        churning = pool.submit(churn)
        while not churning.done() or rounds < 5:
            care.collect(store, 0)
            rounds += 1
        churning.result()
    store.close()
    assert copies and all(hub.api().list_repo_files(copy) for copy in copies)
    for sender in senders:
        sender.check()
        assert sender.confirmed, sender.refusals
    assert_whole(hub.data)
