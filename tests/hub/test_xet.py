"""Xet: large files as chunks, sent and fetched by the client's own hf_xet; what is refused, and who may use what."""

import hashlib
import json
import os
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from struct import pack
from types import SimpleNamespace
from urllib.parse import urlsplit

import httpx
import lz4.frame
import numpy
import pytest
from huggingface_hub import HfFileSystem
from itsdangerous import TimestampSigner, URLSafeTimedSerializer
from safetensors.numpy import save
from sqlalchemy import delete

from tests.hub.test_git import Git
from utils.hub import tables
from utils.hub.xet import hashing, shard

MIB = 1 << 20


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def weights(seed: int) -> dict[str, numpy.ndarray]:
    """Eight tensors of 4 MiB: numbers as of a model, and one that packs well."""
    random = numpy.random.default_rng(seed)
    tensors = {f"layer.{n}": random.normal(size=MIB).astype("float32") for n in range(7)}
    return tensors | {"table": random.integers(0, 4, size=MIB // 2)}


# Clients: processes of their own, since hf_xet is switched off in this one

LOOP = """
import json, sys, traceback
from pathlib import Path
from huggingface_hub import HfApi
api = HfApi()
for line in sys.stdin:
    asked = json.loads(line)
    try:
        code = compile("def run(**given):\\n    globals().update(given)\\n" + asked["code"], "test", "exec")
        scope = globals().copy()
        exec(code, scope)
        said = {"value": scope["run"](**asked["given"])}
    except Exception as error:
        said = {"error": f"{type(error).__name__}: {error}", "trace": traceback.format_exc()}
    sys.__stdout__.write(json.dumps(said) + "\\n")
    sys.__stdout__.flush()
"""


class Client:
    """A Python process with Xet on, in which one person's code runs."""

    def __init__(self, environment: dict[str, str], home: Path):
        home.mkdir()
        del environment["HF_HUB_DISABLE_XET"]
        self.process = subprocess.Popen(
            [sys.executable, "-c", LOOP],
            cwd=home,
            env=environment | {"HF_XET_CLIENT_RETRY_MAX_ATTEMPTS": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            encoding="utf-8",
        )

    def run(self, code: str, **given):
        """What the lines return, the last of them. Raises RuntimeError with the client's error."""
        lines = code.strip().splitlines()
        body = [*lines[:-1], f"return {lines[-1]}"]
        self.process.stdin.write(json.dumps({"code": "\n".join(f"    {x}" for x in body), "given": given}) + "\n")
        self.process.stdin.flush()
        said = json.loads(self.process.stdout.readline())
        if "error" in said:
            raise RuntimeError(said["error"] + "\n" + said["trace"])
        return said["value"]

    def upload(self, repo: str, path: str, file: Path) -> str:
        """Returns the commit."""
        return self.run(
            "api.upload_file(repo_id=repo, path_in_repo=path, path_or_fileobj=file).oid",
            repo=repo,
            path=path,
            file=str(file),
        )

    def close(self) -> None:
        self.process.stdin.close()
        self.process.wait(20)
        self.process.stdout.close()


class Proxy:
    """A port before the Hub that counts what goes to it."""

    def __init__(self, url: str):
        self.hub = (urlsplit(url).hostname, urlsplit(url).port)
        self.sent = 0
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, hub = self.listener.accept()[0], socket.create_connection(self.hub)
                for one, other, counts in ((client, hub, True), (hub, client, False)):
                    threading.Thread(target=self._pass, args=(one, other, counts), daemon=True).start()

    def _pass(self, one: socket.socket, other: socket.socket, counts: bool) -> None:
        with suppress(OSError):
            while block := one.recv(1 << 16):
                self.sent += len(block) if counts else 0
                other.sendall(block)
        with suppress(OSError):
            other.shutdown(socket.SHUT_WR)

    @contextmanager
    def counting(self) -> Iterator[SimpleNamespace]:
        count, before = SimpleNamespace(sent=None), self.sent
        yield count
        count.sent = self.sent - before


@pytest.fixture(scope="module")
def proxy(hub) -> Iterator[Proxy]:
    proxy = Proxy(hub.url)
    yield proxy
    proxy.listener.close()


@pytest.fixture(scope="module")
def clients(hub, proxy, tmp_path_factory) -> Iterator[Callable[[str], Client]]:
    """Starts a client of a person with an empty home."""
    started = []

    def start(who: str) -> Client:
        home = tmp_path_factory.mktemp("home") / "home"
        started.append(Client(hub.environment(who, home) | {"HF_ENDPOINT": proxy.url}, home))
        return started[-1]

    yield start
    for client in started:
        client.close()


@pytest.fixture(scope="module")
def rahim(clients) -> Client:
    return clients("rahim")


@dataclass
class Model:
    """A file of 32 MiB that rahim uploaded with Xet."""

    repo: str
    tensors: dict[str, numpy.ndarray]
    content: bytes
    sent: int


@pytest.fixture(scope="module")
def model(hub, rahim, proxy, tmp_path_factory) -> Model:
    repo = hub.api("rahim").create_repo("rahim/xet").repo_id
    file = tmp_path_factory.mktemp("model") / "model.safetensors"
    tensors = weights(0)
    file.write_bytes(save(tensors))
    with proxy.counting() as count:
        rahim.upload(repo, "model.safetensors", file)
    return Model(repo, tensors, file.read_bytes(), count.sent)


def xorbs(hub) -> dict[str, int]:
    """What lies in the folder of xorbs, checked or not, by name."""
    return {path.name: path.stat().st_size for path in (hub.data / "xet").rglob("*") if path.is_file()}


# With the real client


def test_a_file_of_chunks_is_fetched_as_it_was_sent(hub, rahim, model, tmp_path):
    got = rahim.run(
        "api.hf_hub_download(repo, 'model.safetensors', local_dir=folder)", repo=model.repo, folder=str(tmp_path)
    )
    assert Path(got).read_bytes() == model.content
    name = sha256(model.content)
    assert not (hub.data / "objects" / name[:2] / name[2:4] / name).exists(), "it came as chunks"
    schemes = {scheme for path in (hub.data / "xet").glob("xorbs/??/??/*") for scheme in schemes_of(path)}
    assert schemes >= {1, 2}, "LZ4 and byte-grouped LZ4 were used"
    assert model.sent < len(model.content) * 0.95


def test_what_a_notebook_counts_is_what_travels(hub, rahim, proxy, tmp_path):
    """`watch_xet` beside the wire: for a new file, for the same one under another name, for an upload that fails."""
    repo = hub.api("rahim").create_repo("rahim/watched").repo_id
    file = tmp_path / "one.bin"
    file.write_bytes(os.urandom(3_000_000))
    watched = """
from utils.notebook.storage import watch_xet
with watch_xet() as traffic:
    api.upload_file(repo_id=repo, path_in_repo=path, path_or_fileobj=file)
vars(traffic)
"""
    with proxy.counting() as count:
        first = rahim.run(watched, repo=repo, path="one.bin", file=str(file))
    assert first["size"] == file.stat().st_size and first["new"] == first["chunks"] > 20
    assert first["sent"] == pytest.approx(count.sent, rel=0.02)

    again = rahim.run(watched, repo=repo, path="two.bin", file=str(file))
    assert (again["chunks"], again["new"]) == (first["chunks"], 0)
    assert again["sent"] < 10_000
    with pytest.raises(RuntimeError, match="404"):
        rahim.run(watched, repo="rahim/not-there", path="one.bin", file=str(file))


def schemes_of(path: Path) -> Iterator[int]:
    xorb, at = path.read_bytes(), 0
    while at < len(xorb):
        yield xorb[at + 4]
        at += 8 + int.from_bytes(xorb[at + 1 : at + 4], "little")


@pytest.mark.parametrize("where", ["same repo", "another repo", "another home", "another account"])
def test_what_the_hub_has_is_not_sent_again(hub, proxy, clients, rahim, model, tmp_path, where):
    """One of eight tensors is new: an eighth of the bytes travels."""
    who = "karim" if where == "another account" else "rahim"
    client = rahim if where in ("same repo", "another repo") else clients(who)
    repo = model.repo if where == "same repo" else hub.api(who).create_repo(f"{who}/{where.replace(' ', '-')}").repo_id
    new = numpy.random.default_rng([ord(letter) for letter in where]).normal(size=MIB).astype("float32")
    (tmp_path / "new.safetensors").write_bytes(save(model.tensors | {"layer.3": new}))
    with proxy.counting() as count:
        client.upload(repo, "changed.safetensors", tmp_path / "new.safetensors")
    assert count.sent < len(model.content) / 8 * 1.15
    served = hub.http().get(f"/{repo}/resolve/main/changed.safetensors")
    assert served.content == (tmp_path / "new.safetensors").read_bytes()


def test_what_the_account_cannot_read_is_sent(hub, proxy, clients, rahim, new_repo, tmp_path):
    """The very file that lies in a private repo of somebody else. Two accounts share a cache, and yet it works."""
    (tmp_path / "secret.bin").write_bytes(os.urandom(2 * MIB))
    rahim.upload(new_repo(private=True), "secret.bin", tmp_path / "secret.bin")
    hub.api("karim").create_repo("karim/same-bytes")
    with proxy.counting() as count:
        rahim.run(
            "HfApi(token=token).upload_file(repo_id=repo, path_in_repo='x.bin', path_or_fileobj=file).oid",
            token="hf_karim_writes",
            repo="karim/same-bytes",
            file=str(tmp_path / "secret.bin"),
        )
    assert count.sent > 2 * MIB
    served = hub.http().get("/karim/same-bytes/resolve/main/x.bin")
    assert served.content == (tmp_path / "secret.bin").read_bytes()


def test_a_folder_of_many_kinds(hub, rahim, new_repo, tmp_path):
    """Through the pipeline that `upload_folder` takes with Xet, and back through `snapshot_download`."""
    pieces = [os.urandom(400_000) for _ in range(4)]
    files = {
        "empty.bin": b"",
        "one.bin": b"x",
        "zeros.bin": bytes(3 * MIB + 1000),
        "repeats.bin": b"".join(pieces[n] for n in (0, 1, 0, 0, 2, 1, 2, 0, 1, 3)) + pieces[2][:99_000],
        "text.csv": b"id,text\n" * 200_000,
        "same/one.bin": b"x",
        "README.md": "# বাংলা\n".encode(),
    }
    for name, content in files.items():
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "in" / name).write_bytes(content)
    repo = new_repo("dataset")
    rahim.run(
        "api.upload_folder(repo_id=repo, repo_type='dataset', folder_path=f).oid", repo=repo, f=str(tmp_path / "in")
    )
    rahim.run("api.snapshot_download(repo, repo_type='dataset', local_dir=f)", repo=repo, f=str(tmp_path / "out"))
    for name, content in files.items():
        assert (tmp_path / "out" / name).read_bytes() == content, name
        assert hub.http().get(f"/datasets/{repo}/resolve/main/{name}").content == content, name


def test_a_pull_request_by_who_may_only_read(hub, clients, model, tmp_path):
    (tmp_path / "better.bin").write_bytes(os.urandom(MIB))
    opened = clients("karim").run(
        "api.upload_file(repo_id=repo, path_in_repo='better.bin', path_or_fileobj=f, create_pr=True).pr_revision",
        repo=model.repo,
        f=str(tmp_path / "better.bin"),
    )
    pull = opened.replace("/", "%2F")
    assert hub.http().get(f"/{model.repo}/resolve/{pull}/better.bin").content == (tmp_path / "better.bin").read_bytes()
    assert hub.http().get(f"/{model.repo}/resolve/main/better.bin").status_code == 404


# Without hf_xet


def test_head_says_where_the_chunks_are(hub, api, stranger, model):
    answer = stranger.head(f"/{model.repo}/resolve/main/model.safetensors")
    info = api.get_paths_info(model.repo, ["model.safetensors"], expand=True)[0]
    commit = answer.headers["X-Repo-Commit"]
    assert (answer.status_code, answer.content) == (200, b"")
    assert answer.headers["Content-Length"] == answer.headers["X-Linked-Size"] == str(len(model.content))
    assert answer.headers["ETag"] == f'"{sha256(model.content)}"'
    assert answer.headers["X-Xet-Hash"] == info.xet_hash
    assert answer.links["xet-auth"]["url"] == f"{hub.url}/api/models/{model.repo}/xet-read-token/{commit}"
    listed = {file.path: file for file in api.list_repo_tree(model.repo)}
    assert listed["model.safetensors"].xet_hash == info.xet_hash
    assert listed[".gitattributes"].xet_hash is None


PARTS = {
    "0-0": slice(0, 1),
    "7-70000": slice(7, 70_001),
    "5000003-9000000": slice(5_000_003, 9_000_001),
    "-1": slice(-1, None),
    "31000000-": slice(31_000_000, None),
}


@pytest.mark.parametrize("wanted", PARTS)
def test_every_part_of_it_by_plain_http(stranger, model, wanted):
    answer = stranger.get(f"/{model.repo}/resolve/main/model.safetensors", headers={"Range": f"bytes={wanted}"})
    assert (answer.status_code, answer.content) == (206, model.content[PARTS[wanted]])


def test_clients_without_xet_see_it_whole(hub, api, http, model, tmp_path):
    path = api.hf_hub_download(model.repo, "model.safetensors", local_dir=tmp_path)
    assert Path(path).read_bytes() == model.content
    with HfFileSystem(endpoint=hub.url, token=False).open(f"{model.repo}/model.safetensors", block_size=MIB) as file:
        file.seek(10 * MIB)
        assert file.read(1000) == model.content[10 * MIB : 10 * MIB + 1000]
    assert http.get(f"/{model.repo}/raw/main/model.safetensors").text.startswith("version https://git-lfs")
    wanted = {"operation": "download", "objects": [{"oid": sha256(model.content), "size": len(model.content)}]}
    link = http.post(f"/{model.repo}.git/info/lfs/objects/batch", json=wanted).json()["objects"][0]
    href = link["actions"]["download"]["href"]
    assert http.get(href).content == model.content
    assert http.get(href, headers={"Range": "bytes=100-199"}).content == model.content[100:200]
    assert api.get_safetensors_metadata(model.repo).parameter_count == {"F32": 7 * MIB, "I64": MIB // 2}


def test_sent_by_lfs_and_by_xet(hub, api, rahim, new_repo, commit, tmp_path):
    """In either order, in one repo or two: both work."""
    for first, second in (("lfs", "xet"), ("xet", "lfs")):
        content = os.urandom(300_000)
        (tmp_path / first).write_bytes(content)
        here, there = new_repo(), new_repo()
        for repo, way in ((here, first), (here, second), (there, second)):
            client = (
                rahim.upload
                if way == "xet"
                else lambda repo, path, file: api.upload_file(repo_id=repo, path_in_repo=path, path_or_fileobj=file)
            )
            client(repo, f"{way}.bin", tmp_path / first)
            assert hub.http().get(f"/{repo}/resolve/main/{way}.bin").content == content
            got = rahim.run(
                "api.hf_hub_download(repo, file, local_dir=folder)",
                repo=repo,
                file=f"{way}.bin",
                folder=str(tmp_path / repo),
            )
            assert Path(got).read_bytes() == content
        told = [api.get_paths_info(repo, [f"{second}.bin"])[0].xet_hash for repo in (here, there)]
        assert [bool(xet_hash) for xet_hash in told] == [True, second == "xet"], "of chunks who sent chunks is told"


def test_deleted_for_good(hub, api, rahim, new_repo, tmp_path):
    """A large file that no repo holds any more is gone, also for who knows its hashes; then it can be sent again."""
    (tmp_path / "x.bin").write_bytes(os.urandom(MIB))
    repo = new_repo()
    rahim.upload(repo, "x.bin", tmp_path / "x.bin")
    xet_hash = api.get_paths_info(repo, ["x.bin"])[0].xet_hash
    api.permanently_delete_lfs_files(repo, api.list_lfs_files(repo))
    assert hub.http().get(f"/{repo}/resolve/main/x.bin").status_code == 404
    store = Store(hub, "rahim", repo)
    assert store.get(f"/v1/reconstructions/{xet_hash}").status_code == 404
    rahim.upload(repo, "x.bin", tmp_path / "x.bin")
    assert hub.http().get(f"/{repo}/resolve/main/x.bin").content == (tmp_path / "x.bin").read_bytes()


def test_git_lfs_reads_it(hub, model, tmp_path):
    (tmp_path / "home").mkdir()
    git = Git(tmp_path, tmp_path / "home", hub, who=None)
    git.run("lfs", "install", "--skip-repo")
    there = git.clone(model.repo)
    assert (there.folder / "model.safetensors").read_bytes() == model.content


# By hand: the store's own routes


def hexed(digest: bytes) -> str:
    return hashing.to_hex(digest)


def packed(chunk: bytes, scheme: int = 0, size: int | None = None, version: int = 0) -> bytes:
    content = chunk if scheme == 0 or size is not None else lz4.frame.compress(chunk)
    size = len(chunk) if size is None else size
    return (
        bytes([version]) + len(content).to_bytes(3, "little") + bytes([scheme]) + size.to_bytes(3, "little") + content
    )


class Xorb:
    """Chunks as a client sends them."""

    def __init__(self, *chunks: bytes):
        self.chunks = chunks
        self.nodes = [(hashing.chunk_hash(chunk), len(chunk)) for chunk in chunks]
        self.raw = hashing.xorb_hash(self.nodes)
        self.hash = hexed(self.raw)
        self.bytes = b"".join(packed(chunk) for chunk in chunks)


def record(digest: bytes, *numbers: int) -> bytes:
    return digest + pack("<4I", *numbers, *[0] * (4 - len(numbers)))


def file_of(*terms: tuple[Xorb, int, int], **lies) -> bytes:
    """A file's records in a shard: all is true but for what is said otherwise."""
    nodes = [node for xorb, first, end in terms for node in xorb.nodes[first:end]]
    content = b"".join(chunk for xorb, first, end in terms for chunk in xorb.chunks[first:end])
    name = lies.get("sha256", sha256(content))
    rows = [record(lies.get("hash", hashing.file_hash(nodes)), 3 << 30, lies.get("count", len(terms)))]
    for xorb, first, end in terms:
        size = sum(size for _, size in xorb.nodes[first:end])
        rows.append(record(lies.get("xorb", xorb.raw), 0, lies.get("size", size), first, lies.get("end", end)))
    for xorb, first, end in terms:
        voucher = hashing.range_hash([digest for digest, _ in xorb.nodes[first:end]])
        rows.append(record(lies.get("voucher", voucher)))
    return b"".join([*rows, record(hashing.from_hex(name))])


END = b"\xff" * 32 + bytes(16)


def shard_of(*files: bytes, new: tuple[Xorb, ...] = ()) -> bytes:
    rows = []
    for xorb in new:
        rows.append(record(xorb.raw, 0, len(xorb.nodes), sum(size for _, size in xorb.nodes), len(xorb.bytes)))
        rows += [record(digest, 0, size) for digest, size in xorb.nodes]
    return shard.TAG + pack("<2Q", 2, 0) + b"".join([*files, END, *rows, END])


class Store:
    """The store as one person reaches it with a token for one repo."""

    def __init__(self, hub, who: str | None, repo: str, right: str = "write", query: str = ""):
        with hub.http(who) as http:
            answer = http.get(f"/api/models/{repo}/xet-{right}-token/main{query}")
            assert answer.status_code == 200, answer.text
            self.token = answer.json()
        assert answer.headers["X-Xet-Cas-Url"] == self.token["casUrl"]
        assert answer.headers["X-Xet-Access-Token"] == self.token["accessToken"]
        assert answer.headers["X-Xet-Token-Expiration"] == str(self.token["exp"])
        assert time.time() + 60 < self.token["exp"] < time.time() + 3600
        self.http = httpx.Client(trust_env=False, verify=False, timeout=60)
        self.bearer = self.token["accessToken"]

    def request(self, method: str, path: str, **options) -> httpx.Response:
        headers = options.pop("headers", {}) | {"Authorization": f"Bearer {self.bearer}"}
        return self.http.request(method, self.token["casUrl"] + path, headers=headers, **options)

    def get(self, path: str, **options) -> httpx.Response:
        return self.request("GET", path, **options)

    def send(self, xorb: Xorb) -> httpx.Response:
        return self.request("POST", f"/v1/xorbs/default/{xorb.hash}", content=xorb.bytes)

    def register(self, *files: bytes, new: tuple[Xorb, ...] = ()) -> httpx.Response:
        return self.request("POST", "/v1/shards", content=shard_of(*files, new=new))


@pytest.fixture
def store(hub, repo) -> Store:
    return Store(hub, "rahim", repo)


def named(content: bytes) -> tuple[str, dict]:
    """The operation of a commit that adds a large file."""
    return "lfsFile", {"path": "x.bin", "algo": "sha256", "oid": sha256(content), "size": len(content)}


def test_by_hand(hub, store, stranger, commit, repo):
    """A file of two xorbs: sent, committed, and fetched by the parts that the store tells."""
    one, two = Xorb(*(os.urandom(1000) for _ in range(5))), Xorb(os.urandom(70_000), os.urandom(10))
    content = b"".join(one.chunks[1:4] + two.chunks + one.chunks[:1])
    terms = (one, 1, 4), (two, 0, 2), (one, 0, 1)
    assert [store.send(xorb).json() for xorb in (one, two)] == [{"was_inserted": True}] * 2
    assert store.send(two).json() == {"was_inserted": False}
    assert commit(repo, named(content)).status_code == 400, "no file is made of them yet"
    assert store.register(file_of(*terms), new=(one, two)).json() == {"result": 1}
    assert commit(repo, named(content)).status_code == 200
    assert stranger.get(f"/{repo}/resolve/main/x.bin").content == content
    name = stranger.head(f"/{repo}/resolve/main/x.bin").headers["X-Xet-Hash"]

    reader = Store(hub, None, repo, "read")
    for first, last in ((0, len(content) - 1), (0, 0), (999, 1000), (2999, 73_010), (1500, 1600), (73_010, 10**20 - 1)):
        answer = reader.get(f"/v1/reconstructions/{name}", headers={"Range": f"bytes={first}-{last}"}).json()
        found = b""
        for term in answer["terms"]:
            wanted = term["range"]
            [info] = [
                info
                for info in answer["fetch_info"][term["hash"]]
                if info["range"]["start"] <= wanted["start"] and wanted["end"] <= info["range"]["end"]
            ]
            span = f"bytes={info['url_range']['start']}-{info['url_range']['end']}"
            part = stranger.get(info["url"], headers={"Range": span})
            assert part.status_code == 206
            before = info["range"]["start"]
            chunks = unpacked(part.content)[wanted["start"] - before : wanted["end"] - before]
            assert sum(map(len, chunks)) == term["unpacked_length"]
            found += b"".join(chunks)
        offset = answer["offset_into_first_range"]
        assert found[offset : offset + last + 1 - first] == content[first : last + 1]
        assert len(found) <= min(last, len(content) - 1) + 1 - first + 2 * 70_000, "no more than the chunks it is in"
        later = reader.get(f"/v2/reconstructions/{name}", headers={"Range": f"bytes={first}-{last}"}).json()
        assert (later["terms"], later["offset_into_first_range"]) == (answer["terms"], offset)
        for xorb_hash, infos in answer["fetch_info"].items():
            ranges = [entry["ranges"] for entry in later["xorbs"].pop(xorb_hash)]
            assert ranges == [[{"chunks": info["range"], "bytes": info["url_range"]}] for info in infos]
        assert not later["xorbs"]
    beyond = reader.get(f"/v1/reconstructions/{name}", headers={"Range": f"bytes={len(content)}-{len(content) + 9}"})
    assert beyond.status_code == 416
    for version in (1, 2):
        assert reader.get(f"/v{version}/reconstructions/{'0' * 64}").status_code == 404


def test_as_the_javascript_client_does_it(hub, api, http, stranger, commit, new_repo):
    """It is offered Xet by git-lfs's batch API, and asks for a file's chunks by what it accepts."""
    repo = new_repo(private=True)
    xorb = Xorb(os.urandom(70_000), os.urandom(1000))
    content = b"".join(xorb.chunks)

    def batch(client: httpx.Client, *transfers: str) -> dict:
        wish = {"operation": "upload", "hash_algo": "sha_256", "transfers": ["basic", "multipart", *transfers]}
        wish["objects"] = [{"oid": sha256(content), "size": len(content)}]
        return client.post(f"/{repo}.git/info/lfs/objects/batch", json=wish).json()

    assert batch(http)["transfer"] == "basic"
    answer = batch(http, "xet")
    upload = answer["objects"][0]["actions"].pop("upload")
    assert answer["transfer"] == "xet" and answer["objects"][0]["actions"] == {}
    header, renewed = upload["header"], http.get(upload["href"]).json()
    assert header["X-Xet-Cas-Url"] == renewed["casUrl"]
    for token in (header["X-Xet-Access-Token"], renewed["accessToken"]):
        bearer = {"Authorization": f"Bearer {token}"}
        sent = stranger.post(f"{renewed['casUrl']}/v1/xorbs/default/{xorb.hash}", content=xorb.bytes, headers=bearer)
        assert sent.status_code == 200, sent.text
    described = shard_of(file_of((xorb, 0, 2)), new=(xorb,))
    stranger.post(f"{renewed['casUrl']}/v1/shards", content=described, headers=bearer).raise_for_status()
    assert "actions" not in batch(http, "xet")["objects"][0], "it is there"
    assert commit(repo, named(content)).status_code == 200

    accept = {"Accept": "application/vnd.xet-fileinfo+json, */*", "Range": "bytes=0-0"}
    info = http.get(f"/{repo}/resolve/main/x.bin", headers=accept)
    assert info.headers["Content-Type"] == "application/vnd.xet-fileinfo+json"
    assert (info.status_code, info.headers["X-Linked-Size"]) == (200, str(len(content)))
    about = info.json()
    assert about["hash"] == info.headers["X-Xet-Hash"] and about["size"] == len(content)
    assert info.links["xet-auth"]["url"] == about["refreshUrl"]
    assert info.links["xet-reconstruction-info"]["url"] == about["reconstructionUrl"]
    token = http.get(about["refreshUrl"]).json()["accessToken"]
    found = stranger.get(about["reconstructionUrl"], headers={"Authorization": f"Bearer {token}"}).json()
    assert [term["hash"] for term in found["terms"]] == [xorb.hash]
    assert http.get(f"/{repo}/resolve/main/.gitattributes", headers=accept).status_code == 206, "no chunks of this"
    assert stranger.get(f"/{repo}/resolve/main/x.bin", headers=accept).status_code == 404
    assert "error" in batch(stranger, "xet") and "error" in batch(hub.http("karim"), "xet")

    api.update_repo_settings(repo, private=False)
    content += b"more"
    offered = batch(hub.http("karim"), "xet")["objects"][0]["actions"]["upload"]
    assert offered["href"].endswith("?create_pr=1"), "to propose is all that he may"
    assert hub.http("karim").get(offered["href"]).status_code == 200
    assert "error" in batch(hub.http("rahim, read-only"), "xet")


def unpacked(xorb: bytes) -> list[bytes]:
    ends, at = [0], 0
    while at < len(xorb):
        at += 8 + int.from_bytes(xorb[at + 1 : at + 4], "little")
        ends.append(at)
    return [xorb[start + 8 : end] for start, end in pairwise(ends)]


def test_a_link_opens_the_part_it_was_made_for(hub, store, stranger, commit, repo):
    """Other chunks of the xorb may belong to other people's files."""
    xorb = Xorb(*(os.urandom(1000) for _ in range(5)))
    store.send(xorb)
    store.register(file_of((xorb, 1, 3)))
    name = hexed(hashing.file_hash(xorb.nodes[1:3]))
    info = store.get(f"/v1/reconstructions/{name}").json()["fetch_info"][xorb.hash][0]
    assert info["url_range"] == {"start": 1008, "end": 3023}
    for wanted, status in (("1008-3023", 206), ("1100-1200", 206), ("1007-3023", 416), ("1008-3024", 416), ("0-", 416)):
        answer = stranger.get(info["url"], headers={"Range": f"bytes={wanted}"})
        assert answer.status_code == status, wanted
    assert stranger.get(info["url"]).status_code == 416, "not the whole xorb"
    assert stranger.get(info["url"][:-1]).status_code == 403
    assert stranger.get(f"{hub.url}/-/xet/xorb/{store.bearer}").status_code == 403


def test_what_the_hub_does_not_have_is_404(hub, store, stranger):
    """To the client each of these means: take the older way."""
    assert store.request("POST", "/v2/shards", content=b"").status_code == 404
    assert store.request("POST", f"/v1/xorb-grants/default/{'0' * 64}", json={}).status_code == 404
    assert store.get(f"/v1/chunks/default/{'0' * 64}").status_code == 404
    assert stranger.post("/v1/telemetry", json={}).status_code == 404


# Tokens


def test_who_gets_a_token(hub, new_repo):
    public, private = new_repo(), new_repo(private=True)
    gated = new_repo()
    hub.api("rahim").update_repo_settings(gated, gated="manual")
    for repo, right, who, status in (
        (public, "read", None, 200),
        (public, "write", None, 401),
        (public, "write", "karim", 403),
        (public, "write", "rahim, read-only", 403),
        (public, "write?create_pr=1", "karim", 200),
        (public, "write?create_pr=1", "rahim, read-only", 403),
        (private, "read", None, 404),
        (private, "read", "karim", 404),
        (private, "write", "karim", 404),
        (private, "write?create_pr=1", "karim", 404),
        (private, "read", "rahim, read-only", 200),
        (gated, "read", "karim", 403),
        (gated, "write?create_pr=1", "karim", 403),
        ("rahim/nothing", "read", "rahim", 404),
    ):
        right, _, query = right.partition("?")
        answer = hub.http(who).get(f"/api/models/{repo}/xet-{right}-token/main?{query}")
        assert answer.status_code == status, (repo, right, who)
    answer = hub.http().get(f"/api/models/{public}/xet-read-token/nowhere")
    assert (answer.status_code, answer.headers["X-Error-Code"]) == (404, "RevisionNotFound")


def test_what_a_token_opens(hub, store, new_repo, repo):
    """Its repo, for what it was given for, as long as its holder may."""
    xorb = Xorb(os.urandom(100))
    store.send(xorb)
    store.register(file_of((xorb, 0, 1)))
    url = f"/v1/reconstructions/{hexed(hashing.file_hash(xorb.nodes))}"
    reader = Store(hub, "rahim", repo, "read")
    assert reader.get(url).status_code == store.get(url).status_code == 200
    assert reader.send(xorb).status_code == reader.register().status_code == 403
    assert reader.get(f"/v1/chunks/default/{hexed(xorb.nodes[0][0])}").status_code == 403
    assert Store(hub, "rahim", new_repo(), "read").get(url).status_code == 404, "that repo does not hold it"

    visitor = Store(hub, "karim", repo, "read")
    proposer = Store(hub, "karim", repo, "write", "?create_pr=1")
    assert visitor.get(url).status_code == proposer.get(url).status_code == 200
    hub.api("rahim").update_repo_settings(repo, private=True)
    for other in (visitor, proposer):
        answer = other.get(url)
        assert (answer.status_code, answer.headers["X-Error-Code"]) == (404, "RepoNotFound")
    assert proposer.send(xorb).status_code == 404
    hub.api("rahim").delete_repo(repo)
    assert store.get(url).status_code == store.send(xorb).status_code == 404


def test_tokens_that_open_nothing(hub, store):
    xorb = Xorb(os.urandom(100))
    secret = (
        sqlite3.connect(hub.data / "hub.db").execute("SELECT value FROM settings WHERE name = 'secret'").fetchone()[0]
    )

    class Earlier(TimestampSigner):
        def get_timestamp(self) -> int:
            return int(time.time()) - 901

    payload = URLSafeTimedSerializer(secret, salt="upload").loads(store.bearer)
    old = URLSafeTimedSerializer(secret, salt="upload", signer=Earlier).dumps(payload)
    upload = URLSafeTimedSerializer(secret, salt="upload").dumps(["upload", 1, "0" * 64, 1, 0])
    good = store.bearer
    for bearer in (old, upload, good[:-1], good + "x", "hf_rahim_writes", ".", "%00", "a.b.c"):
        store.bearer = bearer
        answer = store.send(xorb)
        assert answer.status_code == 401, bearer
        assert store.get(f"/v1/reconstructions/{'0' * 64}").status_code == 401


def test_a_revoked_token_takes_its_xet_tokens_with_it(hub, repo):
    from utils.hub import accounts
    from utils.hub.hub import Hub

    beside = Hub(hub.data)
    with beside.db() as db:
        name = accounts.add_token(db, accounts.find(db, "rahim"), "for a day")
    store = Store(SimpleNamespace(http=lambda _who: bearer(hub, name)), "rahim", repo)
    assert store.send(Xorb(b"x")).status_code == 200
    with beside.db() as db:
        accounts.revoke(db, accounts.find(db, "rahim"), "for a day")
        accounts.add_token(db, accounts.find(db, "rahim"), "next day")  # it may get the other one's number
    assert store.send(Xorb(b"x")).status_code == 401
    beside.engine.dispose()


def bearer(hub, token: str) -> httpx.Client:
    return httpx.Client(base_url=hub.url, headers={"Authorization": f"Bearer {token}"}, trust_env=False, verify=False)


# What is refused, and leaves nothing

GOOD = Xorb(b"first" * 100, b"second" * 100)
ZEROS = bytes(100_000)
CORRUPT = {
    "nothing": b"",
    "half a header": GOOD.bytes[:5],
    "half a chunk": GOOD.bytes[:-1],
    "one chunk less": packed(GOOD.chunks[0]),
    "another order": packed(GOOD.chunks[1]) + packed(GOOD.chunks[0]),
    "another byte": GOOD.bytes[:-1] + b"!",
    "more at the end": GOOD.bytes + b"x",
    "another version": packed(GOOD.chunks[0], version=1),
    "an unknown scheme": packed(GOOD.chunks[0], 3),
    "not LZ4": packed(b"nothing of the kind", 1, 500),
    "an LZ4 frame cut short": packed(lz4.frame.compress(ZEROS)[:-9], 1, len(ZEROS)),
    "two LZ4 frames": packed(2 * lz4.frame.compress(ZEROS), 1, len(ZEROS)),
    "a bomb": packed(lz4.frame.compress(bytes(64 * MIB))[: 1 << 17], 1, 1 << 17),
    "a bomb that says little": packed(lz4.frame.compress(ZEROS), 1, 1000),
    "an LZ4 frame that holds less": packed(lz4.frame.compress(ZEROS), 2, 1 << 17),
    "a chunk of nothing": packed(b""),
    "a chunk too large": packed(bytes(131_073)),
    "a size that lies": packed(b"xxxx", 0, 5),
    "too many chunks": packed(b"x") * 8193,
}


@pytest.mark.parametrize("what", CORRUPT)
def test_corrupt_xorbs(hub, untouched, what):
    store, before = Store(hub, "rahim", untouched), xorbs(hub)
    answer = store.request("POST", f"/v1/xorbs/default/{GOOD.hash}", content=CORRUPT[what])
    assert (answer.status_code, xorbs(hub)) == (400, before), answer.text


def test_odd_xorbs_that_are_right(hub, store):
    """As many chunks as may be, of the largest and the smallest size, packed in each way."""
    odd = bytes(range(250)) * 400 + b"xyz"
    for chunks, content in (
        ([b"x"] * 8192, packed(b"x") * 8192),
        ([bytes(131_072)], packed(bytes(131_072))),
        ([odd], packed(odd, 1)),
        ([odd], packed(lz4.frame.compress(b"".join(odd[i::4] for i in range(4))), 2, len(odd))),
    ):
        xorb = Xorb(*chunks)
        xorb.bytes = content
        answer = store.send(xorb)
        assert answer.status_code == 200, answer.text
    assert store.register(file_of((xorb, 0, 1))).status_code == 200, "the last one was unpacked rightly"


def test_xorbs_that_are_too_large(hub, untouched):
    store, before = Store(hub, "rahim", untouched), xorbs(hub)
    url, limit = f"/v1/xorbs/default/{GOOD.hash}", (64 << 20) + 8192 * 8
    with suppress(httpx.WriteError):  # the Hub may hang up before it was told all
        assert store.request("POST", url, content=(bytes(MIB) for _ in range(65))).status_code == 413
    with socket.create_connection((urlsplit(hub.url).hostname, urlsplit(hub.url).port)) as line:
        path = urlsplit(store.token["casUrl"]).path + url
        head = f"POST {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {store.bearer}\r\n"
        line.sendall((head + f"Content-Length: {limit + 1}\r\n\r\n").encode())
        assert b" 413 " in line.recv(100), "refused before it is sent"
    assert xorbs(hub) == before


def test_a_name_that_is_no_hash(store):
    for name in ("x", "A" * 64, "..%2F..%2Fhub.db", "0" * 63, "0" * 65):
        assert store.request("POST", f"/v1/xorbs/default/{name}", content=GOOD.bytes).status_code in (400, 404)
        assert store.get(f"/v1/reconstructions/{name}").status_code in (400, 404)
        assert store.get(f"/v1/chunks/default/{name}").status_code in (400, 404)


LIES = {
    "sha256": "0" * 64,
    "hash": bytes(32),
    "voucher": bytes(32),
    "size": 1099,
    "end": 3,
    "xorb": b"\x01" * 32,
    "count": 1 << 31,
}


@pytest.mark.parametrize("lie", LIES)
def test_shards_that_lie(store, commit, repo, lie):
    content = b"".join(GOOD.chunks)
    store.send(GOOD)
    assert store.register(file_of((GOOD, 0, 2), **{lie: LIES[lie]})).status_code == 400
    assert commit(repo, named(content)).status_code == 400, "no such file came to be"
    if lie == "sha256":
        assert commit(repo, ("lfsFile", {"path": "x", "oid": "0" * 64})).status_code == 400
    assert store.register(file_of((GOOD, 0, 2)), new=(GOOD,)).status_code == 200
    answer = store.register(file_of((GOOD, 0, 2), **{lie: LIES[lie]}))
    assert answer.status_code == 400, "nor is it believed of a file that is there"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"x" * 48,
        shard_of(file_of((GOOD, 0, 2)))[:-48],
        shard_of(file_of((GOOD, 0, 2)))[:-49],
        shard_of(file_of((GOOD, 0, 2))).replace(b"\x02", b"\x03", 1),
        shard_of(file_of((GOOD, 1, 1))),
        shard_of(file_of((GOOD, 1, 0))),
        shard_of(new=(Xorb(b"never sent"),)),
        shard_of(*[file_of(*[(GOOD, 0, 2)] * 1000)] * 101),
        shard_of(*[file_of()] * 25_001),
        shard_of(file_of((GOOD, 0, 2), size=2**32 - 1), *[file_of((GOOD, 0, 2), size=2**32 - 1)] * 12),
    ],
    ids=[
        "empty",
        "no tag",
        "no end",
        "cut",
        "version",
        "no chunks",
        "backwards",
        "no xorb",
        "many terms",
        "many files",
        "huge",
    ],
)
def test_corrupt_shards(hub, untouched, content):
    store = Store(hub, "rahim", untouched)
    store.send(GOOD)
    answer = store.request("POST", "/v1/shards", content=content)
    assert answer.status_code == 400, answer.text


def test_a_shard_that_is_too_large(hub, untouched):
    store = Store(hub, "rahim", untouched)
    with suppress(httpx.WriteError):
        assert store.request("POST", "/v1/shards", content=bytes(shard.LARGEST + 1)).status_code == 413


def test_an_upload_that_breaks_off_leaves_nothing(hub, store):
    before = xorbs(hub)
    with socket.create_connection((urlsplit(hub.url).hostname, urlsplit(hub.url).port)) as line:
        path = urlsplit(store.token["casUrl"]).path
        head = (
            f"POST {path}/v1/xorbs/default/{GOOD.hash} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {store.bearer}\r\n"
        )
        line.sendall(f"{head}Content-Length: 4000000\r\n\r\n".encode() + bytes(2_000_000))
        assert wait_for(lambda: xorbs(hub) != before)
    assert wait_for(lambda: xorbs(hub) == before)


def wait_for(condition, patience: float = 60) -> bool:
    deadline = time.monotonic() + patience
    while not (met := condition()) and time.monotonic() < deadline:
        time.sleep(0.02)
    return met


def test_what_was_acknowledged_survives_a_kill(mortal_hub):
    """And what was only begun is swept away."""
    repo = mortal_hub.api("rahim").create_repo("rahim/mortal").repo_id
    store = Store(mortal_hub, "rahim", repo)
    content = b"".join(GOOD.chunks)
    assert store.send(GOOD).status_code == 200
    mortal_hub.kill()
    (mortal_hub.data / "xet" / "xorbs" / "incoming" / "half").write_bytes(b"half")
    mortal_hub.start()
    assert store.register(file_of((GOOD, 0, 2))).status_code == 200
    mortal_hub.kill()
    mortal_hub.start()
    with mortal_hub.http("rahim") as http:
        lines = [{"key": "header", "value": {"summary": "x"}}, dict(zip(("key", "value"), named(content), strict=True))]
        url = f"/api/models/{repo}/commit/main"
        http.post(url, content="\n".join(json.dumps(line) for line in lines)).raise_for_status()
        assert http.get(f"/{repo}/resolve/main/x.bin").content == content
    assert not (mortal_hub.data / "xet" / "xorbs" / "incoming" / "half").exists()


# Who may use which chunk


@pytest.fixture
def karim(hub) -> Store:
    with suppress(Exception):
        hub.api("karim").create_repo("karim/claims")
    return Store(hub, "karim", "karim/claims")


def test_hashes_alone_open_nothing(hub, karim, new_repo):
    """Who knows every hash of a private file gets neither the file nor a word about it."""
    secret = Xorb(os.urandom(1000), os.urandom(1000))
    owner = Store(hub, "rahim", new_repo(private=True))
    owner.send(secret)
    assert owner.register(file_of((secret, 0, 2))).status_code == 200
    chunk = f"/v1/chunks/default/{hexed(secret.nodes[0][0])}"
    assert owner.get(chunk).status_code == 200
    name = f"/v1/reconstructions/{hexed(hashing.file_hash(secret.nodes))}"
    unknown = Xorb(os.urandom(1000), os.urandom(1000))

    refusals = [karim.register(file_of((xorb, 0, 2))) for xorb in (secret, unknown)]
    assert [answer.status_code for answer in refusals] == [400, 400]
    assert refusals[0].text.replace(secret.hash, "") == refusals[1].text.replace(unknown.hash, "")
    assert karim.register(new=(secret,)).status_code == 400
    assert karim.get(chunk).status_code == 404
    assert karim.get(name).status_code == 404
    assert karim.send(secret).json() == {"was_inserted": True}, "as if he were the first"
    assert karim.register(file_of((secret, 0, 2))).status_code == 200, "now he has shown that he has it"
    assert karim.get(name).status_code == 200


def test_of_a_shared_xorb_one_may_use_what_one_may_read(hub, karim, new_repo, repo):
    """A public file is made of the middle of a xorb, whose ends are private."""
    xorb = Xorb(*(os.urandom(1000) for _ in range(6)))
    owner = Store(hub, "rahim", repo)
    owner.send(xorb)
    assert owner.register(file_of((xorb, 1, 3)), file_of((xorb, 3, 4))).status_code == 200
    answer = karim.get(f"/v1/chunks/default/{hexed(xorb.nodes[1][0])}")
    assert answer.status_code == 200
    for digest, _ in xorb.nodes:
        assert digest not in answer.content, "hashes are told under a key only"
    key = answer.content[-200 + 72 : -200 + 104]
    told = [hashing.keyed(key, digest) in answer.content for digest, _ in xorb.nodes]
    assert told == [False, True, True, False, False, False], "the file's own chunks, none beside them"
    for first, end, status in (
        (1, 3, 200),
        (2, 3, 200),
        (1, 4, 200),
        (0, 3, 400),
        (1, 5, 400),
        (4, 6, 400),
        (5, 6, 400),
    ):
        assert karim.register(file_of((xorb, first, end))).status_code == status, (first, end)


def test_the_same_xorb_packed_otherwise(hub, store, karim, commit, repo):
    """The first one stays: the places of its chunks were given to readers."""
    chunk = b"many times the same " * 1000
    plain, small = Xorb(chunk), Xorb(chunk)
    small.bytes = packed(chunk, 1)
    assert store.send(small).status_code == karim.send(plain).status_code == 200
    assert (
        store.register(file_of((small, 0, 1))).status_code == karim.register(file_of((plain, 0, 1))).status_code == 200
    )
    assert commit(repo, named(chunk)).status_code == 200
    assert hub.http().get(f"/{repo}/resolve/main/x.bin").content == chunk
    assert xorbs(hub)[small.hash] == len(small.bytes)


def test_each_account_has_an_address_of_its_own(hub, rahim, new_repo, proxy, tmp_path):
    """Clients remember chunks by it; where some were removed it is another one, and what is needed is sent again."""
    from utils.hub.hub import Hub

    def address(who: str | None, repo: str, right: str = "read") -> str:
        return Store(hub, who, repo, right).token["casUrl"]

    one, other = new_repo(), new_repo()
    before = address("rahim", one)
    assert address("rahim", other, "write") == before
    assert len({before, address("karim", one), address(None, one)}) == 3
    (tmp_path / "x.bin").write_bytes(os.urandom(MIB))
    rahim.upload(one, "x.bin", tmp_path / "x.bin")
    xet_hash = hub.api("rahim").get_paths_info(one, ["x.bin"])[0].xet_hash
    [lost] = {term["hash"] for term in Store(hub, "rahim", one).get(f"/v1/reconstructions/{xet_hash}").json()["terms"]}
    hub.api("rahim").permanently_delete_lfs_files(one, hub.api("rahim").list_lfs_files(one))
    beside = Hub(hub.data)
    with beside.db() as db:
        db.execute(delete(tables.Xorb).where(tables.Xorb.hash == lost))
        beside.xet.renew(db)
        beside.xet.xorbs.remove(lost)
    beside.engine.dispose()
    assert address("rahim", one) != before
    rahim.upload(other, "x.bin", tmp_path / "x.bin")
    assert hub.http().get(f"/{other}/resolve/main/x.bin").content == (tmp_path / "x.bin").read_bytes()
