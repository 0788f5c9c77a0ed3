"""The Hub as a process: what it refuses in words, and what it has kept when it comes back, however it went."""

import hashlib
import json
import os
import random
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from huggingface_hub import CommitOperationAdd
from typer.testing import CliRunner

from utils.hub.cli import app

PATHSHALA = Path(sys.executable).with_name("pathshala")


@pytest.fixture(scope="module", autouse=True)
def rival(hub) -> Iterator[subprocess.Popen]:
    """A second Hub on the same data, started before all tests here: it waits 10 s for the first to end."""
    command = [PATHSHALA, "hub", "serve", "--port", "0", "--data", hub.data]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8")
    yield process
    process.kill()


def test_everything_is_there_after_a_restart(mortal_hub):
    hub, api, repos = mortal_hub, mortal_hub.api("rahim"), mortal_hub.data / "repos"
    api.whoami()
    born = set(os.listdir(repos))  # starter repos
    repo = api.create_repo("rahim/kept", private=True).repo_id
    adds = [CommitOperationAdd(path, content) for path, content in (("a.txt", b"a"), ("b.bin", b"\0b"))]
    api.create_commit(repo_id=repo, operations=adds, commit_message="both")
    api.create_branch(repo, branch="dev")
    api.create_tag(repo, tag="v1")
    api.move_repo(repo, "rahim/renamed")
    before = json.dumps([api.model_info(repo).__dict__, api.list_repo_refs(repo).__dict__], default=str)
    with hub.http() as http, http.stream("GET", "/-/lease") as lease:
        assert lease.status_code == 200
        started = time.monotonic()
        hub.stop()
        assert time.monotonic() - started < 5, "an open lease holds nothing up"

    [folder] = set(os.listdir(repos)) - born
    for lock in ("refs/heads/main.lock", "HEAD.lock", "packed-refs.lock", "objects/aa/bb.lock", "config.lock"):
        (repos / folder / lock).parent.mkdir(exist_ok=True)
        (repos / folder / lock).touch()
    (repos / "half-made").mkdir()
    (hub.data / "objects" / "incoming" / "half").write_bytes(b"half of it")

    hub.start()
    assert json.dumps([api.model_info(repo).__dict__, api.list_repo_refs(repo).__dict__], default=str) == before
    with hub.http("rahim") as http:
        assert http.get("/rahim/renamed/resolve/v1/b.bin").content == b"\0b"
    assert not hub.api("karim").repo_exists(repo)
    api.upload_file(repo_id=repo, path_in_repo="c", path_or_fileobj=b"c")
    api.create_branch(repo, branch="dev2")
    assert os.listdir(hub.data / "objects" / "incoming") == []
    assert set(os.listdir(repos)) == born | {folder}


class Writer:
    """Pushes one commit after the other and notes each that the Hub has confirmed."""

    def __init__(self, hub, number: int, seed: int):
        self.hub, self.number = hub, number
        self.chance = random.Random(seed * 100 + number)
        self.repo = f"rahim/mortal-{number}"
        self.confirmed: list[tuple[str, dict[str, str]]] = []  # (commit, {path: id of the content})
        self.made: set[str] = set()
        self.deleted: set[str] = set()

    def request(self, method: str, path: str, **options) -> httpx.Response:
        """An answer of the Hub, asked again for as many of its lives as it takes."""
        while True:
            try:
                answer = self.http.request(method, path, **options)
            except httpx.TransportError:
                continue
            assert answer.status_code < 500, answer.text
            return answer

    def run(self, stop: threading.Event) -> None:
        with self.hub.http("rahim") as self.http:
            self.create(self.repo)
            step = 0
            while not stop.is_set():
                self.commit(step)
                if step % 5 == 4:
                    self.create(f"{self.repo}-{step}")
                if step % 10 == 9:
                    self.delete(f"{self.repo}-{step - 5}")
                step += 1

    def create(self, repo: str) -> None:
        answer = self.request("POST", "/api/repos/create", json={"name": repo})
        assert answer.status_code in (200, 409)  # an answer that was cut off may have been a yes
        self.made.add(repo)

    def delete(self, repo: str) -> None:
        namespace, name = repo.split("/")
        answer = self.request("DELETE", "/api/repos/delete", json={"organization": namespace, "name": name})
        assert answer.status_code in (200, 404)
        self.deleted.add(repo)

    def commit(self, step: int) -> None:
        """Some small files, at times so many that they become a pack, and one large file."""
        count = self.chance.choice((1, 3, 20))
        files = {f"{step}/{i}.txt": f"{self.number} {step} {i}".encode() for i in range(count)}
        large = self.chance.randbytes(self.chance.choice((10, 300_000)))
        digest = hashlib.sha256(large).hexdigest()
        lines = [("header", {"summary": f"step {step}"})]
        lines += [("file", {"path": path, "content": content.decode()}) for path, content in files.items()]
        lines.append(("lfsFile", {"path": f"{step}/large.bin", "algo": "sha256", "oid": digest, "size": len(large)}))
        wanted = {"operation": "upload", "objects": [{"oid": digest, "size": len(large)}]}
        answer = self.request("POST", f"/{self.repo}.git/info/lfs/objects/batch", json=wanted).json()
        if actions := answer["objects"][0].get("actions"):
            assert self.request("PUT", actions["upload"]["href"], content=large).status_code == 200
        body = "\n".join(json.dumps({"key": key, "value": value}) for key, value in lines)
        answer = self.request("POST", f"/api/models/{self.repo}/commit/main", content=body)
        assert answer.status_code == 200, answer.text
        oids = {
            path: hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest() for path, content in files.items()
        }
        self.confirmed.append((answer.json()["commitOid"], oids | {f"{step}/large.bin": digest}))


def every(http: httpx.Client, path: str) -> list[dict]:
    found, answer = [], http.get(path)
    while True:
        found += answer.raise_for_status().json()
        if "next" not in answer.links:
            return found
        answer = http.get(answer.links["next"]["url"])


def killed_again_and_again(hub, lives: int, seed: int) -> None:
    chance, stop = random.Random(seed), threading.Event()
    writers = [Writer(hub, number, seed) for number in range(4)]

    def of_use() -> bool:
        return sum(len(writer.confirmed) for writer in writers) > lives

    with ThreadPoolExecutor(4) as pool:
        running = [pool.submit(writer.run, stop) for writer in writers]
        try:
            for life in range(5 * lives):
                if life >= lives and of_use():  # a busy machine gets less done in a life, so it lives a few more
                    break
                hub.http().get("/-/health")  # it lives: from here on the moment is chance's
                time.sleep(chance.uniform(0, 0.5))
                hub.kill()
                hub.start()
        finally:
            stop.set()
        for done in running:
            done.result()
    hub.kill()
    hub.start()
    with hub.http("rahim") as http:
        for writer in writers:
            check(http, writer)
        rows = every(http, "/api/models")
        expected = set.union(*(writer.made for writer in writers)) - set.union(*(w.deleted for w in writers))
        assert {row["id"] for row in rows if row["author"] == "rahim"} == expected
        known = len(rows) + sum(len(every(http, f"/api/{kind}")) for kind in ("datasets", "spaces"))
        assert len(os.listdir(hub.data / "repos")) == known, "no folder without a repo, no repo without a folder"
        assert os.listdir(hub.data / "objects" / "incoming") == []
    assert of_use(), "the Hub lived long enough to be of use"
    for folder in (hub.data / "repos").iterdir():
        found = subprocess.run(["git", "fsck", "--full", "--strict"], cwd=folder, capture_output=True, text=True)
        assert found.returncode == 0, found.stderr


def check(http: httpx.Client, writer: Writer) -> None:
    """Each confirmed commit is there, all that is visible is whole, and work goes on."""
    repo = writer.repo
    history = [commit["id"] for commit in every(http, f"/api/models/{repo}/commits/main")]
    assert {commit for commit, _ in writer.confirmed} <= set(history)
    assert http.get(f"/api/models/{repo}").json()["sha"] == history[0]
    for commit, files in writer.confirmed:
        folder = next(iter(files)).split("/")[0]
        entries = http.get(f"/api/models/{repo}/tree/{commit}/{folder}").json()
        assert {entry["path"]: entry.get("lfs", entry)["oid"] for entry in entries} == files
    for entry in every(http, f"/api/models/{repo}/tree/main?recursive=true"):  # files only came, none went
        if "lfs" in entry:
            content = http.get(f"/{repo}/resolve/main/{entry['path']}").content
            assert hashlib.sha256(content).hexdigest() == entry["lfs"]["oid"]
    writer.http = http
    writer.commit(10_000)
    answer = http.post(f"/api/models/{repo}/tag/main", json={"tag": "alive"})
    assert answer.status_code == 200


@pytest.mark.slow
def test_killed_at_any_moment_it_loses_nothing(mortal_hub):
    killed_again_and_again(mortal_hub, lives=12, seed=1)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [2, 3])
def test_killed_a_hundred_times_it_loses_nothing(mortal_hub, seed):
    killed_again_and_again(mortal_hub, lives=50, seed=seed)


def test_a_second_hub_on_the_same_data_is_refused_in_words(hub, rival):
    _, said = rival.communicate(timeout=60)
    assert rival.returncode == 1
    assert "আরেকটা Hub চলছে" in said and "Traceback" not in said
    assert hub.api("rahim").whoami()["name"] == "rahim", "the first one goes on"


def test_a_port_that_is_taken_is_refused_in_words(hub, tmp_path):
    port = hub.url.rpartition(":")[2]
    refused = CliRunner().invoke(app, ["serve", "--port", port, "--data", str(tmp_path / "other")])
    assert refused.exit_code == 1 and "--port দিয়ে অন্য port দাও" in refused.stderr
    assert not (tmp_path / "other").exists()
