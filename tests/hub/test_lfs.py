"""Large files: git-lfs's batch API, uploads in one piece and in parts, and what is refused and leaves nothing."""

import hashlib
import io
import os
import random
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from huggingface_hub import CommitOperationAdd

MEDIA_TYPE = "application/vnd.git-lfs+json"


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def batch(http, repo: str, content: bytes, operation: str = "upload", *, size: int | None = None, **more) -> dict:
    """The Hub's answer for one file."""
    wanted = {"oid": sha256(content), "size": len(content) if size is None else size}
    answer = http.post(
        f"/{repo}.git/info/lfs/objects/batch",
        json={"operation": operation, "objects": [wanted], "transfers": ["basic", "multipart"], **more},
        headers={"Accept": MEDIA_TYPE, "Content-Type": MEDIA_TYPE},
    )
    assert answer.status_code == 200, answer.text
    assert answer.headers["Content-Type"] == MEDIA_TYPE
    return answer.json()["objects"][0]


def upload(http, repo: str, content: bytes) -> None:
    actions = batch(http, repo, content)["actions"]
    http.put(actions["upload"]["href"], content=content).raise_for_status()
    verify = {"oid": sha256(content), "size": len(content)}
    http.post(actions["verify"]["href"], json=verify).raise_for_status()


def kept(hub) -> set[str]:
    """What lies in the folder of large files, checked or not."""
    return {path.name for path in (hub.data / "objects").rglob("*") if path.is_file()}


@pytest.mark.parametrize("prefix", ["", "datasets/", "spaces/"])
def test_upload_verify_download(hub, http, stranger, new_repo, prefix):
    kind = prefix.rstrip("s/") or "model"
    repo, content = prefix + new_repo(kind), os.urandom(3_000_001)
    assert batch(http, repo, content, "download")["error"]["code"] == 404
    upload(http, repo, content)
    assert "actions" not in batch(http, repo, content), "what is there is not sent again"
    down = batch(stranger, repo, content, "download")["actions"]["download"]
    answer = stranger.get(down["href"])
    assert (answer.content, answer.headers["ETag"]) == (content, f'"{sha256(content)}"')
    part = stranger.get(down["href"], headers={"Range": "bytes=2999999-"})
    assert (part.status_code, part.content) == (206, content[2_999_999:])
    assert (hub.data / "objects" / sha256(content)[:2] / sha256(content)[2:4] / sha256(content)).read_bytes() == content


def test_headers_of_a_large_file(api, http, repo):
    """What `hf_hub_download` reads before it decides whether to download."""
    content = b"\0" + os.urandom(1000)
    oid = api.upload_file(repo_id=repo, path_in_repo="w.bin", path_or_fileobj=content).oid
    answer = http.head(f"/{repo}/resolve/main/w.bin")
    assert answer.status_code == 200 and answer.content == b""
    assert answer.headers["X-Repo-Commit"] == oid
    assert answer.headers["X-Linked-Etag"] == answer.headers["ETag"] == f'"{sha256(content)}"'
    assert answer.headers["X-Linked-Size"] == answer.headers["Content-Length"] == "1001"
    pointer = http.get(f"/{repo}/raw/main/w.bin").text
    assert pointer == f"version https://git-lfs.github.com/spec/v1\noid sha256:{sha256(content)}\nsize 1001\n"


@pytest.mark.parametrize(
    ("announced", "sent"),
    [
        (b"what was announced", b"something else!!!!"),
        (b"what was announced", b"what was announce"),
        (b"what was announced", b"what was announced and more"),
        (b"what was announced", b""),
        (b"", b"something"),
    ],
)
def test_what_is_not_what_was_announced_is_refused(hub, http, repo, announced, sent):
    before = kept(hub)
    actions = batch(http, repo, announced)["actions"]
    assert http.put(actions["upload"]["href"], content=sent).status_code == 422
    assert kept(hub) == before, "a refused upload leaves nothing"
    verify = {"oid": sha256(announced), "size": len(announced)}
    assert http.post(actions["verify"]["href"], json=verify).status_code == 404
    assert http.put(actions["upload"]["href"], content=announced).status_code == 200
    assert http.post(actions["verify"]["href"], json=verify).status_code == 200


def test_a_size_that_lies_is_refused(hub, http, repo):
    content = os.urandom(100)
    before = kept(hub)
    for size in (0, 99, 101):
        href = batch(http, repo, content, size=size)["actions"]["upload"]["href"]
        assert http.put(href, content=content).status_code == 422
    assert kept(hub) == before


def test_a_sha256_alone_opens_nothing(hub, api, http, commit, new_repo):
    """Who knows the sha256 of another repo's file gets it neither by LFS, nor by a commit, nor by a pointer's text."""
    secret = os.urandom(500)
    private, mine = new_repo(private=True), new_repo()
    upload(http, private, secret)
    pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{sha256(secret)}\nsize 500\n"

    assert batch(http, mine, secret, "download")["error"]["code"] == 404
    assert "upload" in batch(http, mine, secret)["actions"], "it has to be sent, although the Hub has it"
    refused = commit(mine, ("lfsFile", {"path": "x", "algo": "sha256", "oid": sha256(secret), "size": 500}))
    assert (refused.status_code, refused.json()["error"].partition(":")[0]) == (
        400,
        "LFS pointer pointed to a file that does not exist",
    )
    assert commit(mine, ("file", {"path": "x", "content": pointer})).status_code == 400
    assert not api.file_exists(mine, "x")
    href = batch(http, mine, secret)["actions"]["verify"]["href"]
    assert http.post(href, json={"oid": sha256(secret), "size": 500}).status_code == 404

    upload(http, mine, secret)
    assert commit(mine, ("file", {"path": "x", "content": pointer.replace("size 500", "size 7")})).status_code == 200
    assert http.get(f"/{mine}/resolve/main/x").content == secret
    assert api.get_paths_info(mine, ["x"])[0].size == 500, "the size is what the file has, not what the pointer says"


def test_links_open_what_they_were_made_for(http, stranger, new_repo, hub):
    first, second = os.urandom(64), os.urandom(64)
    repo = new_repo()
    actions = batch(http, repo, first)["actions"]
    base, _, link = actions["upload"]["href"].rpartition("/")
    assert stranger.put(actions["upload"]["href"], content=second).status_code == 422
    other = batch(http, repo, second)["actions"]["upload"]["href"].rpartition("/")[2]
    for forged in (link[:-1], link + "x", "x", other.rpartition(".")[0] + link[link.rindex(".") :], "%00", "é"):
        assert stranger.put(f"{base}/{forged}", content=first).status_code == 403, forged
    for purpose in ("part", "complete", "verify", "download"):
        method = {"part": "PUT", "download": "GET"}.get(purpose, "POST")
        body = {"oid": sha256(first), "size": 64}
        assert stranger.request(method, f"{hub.url}/-/lfs/{purpose}/{link}", json=body).status_code == 403
    assert stranger.put(actions["upload"]["href"], content=first).status_code == 200, "the link is the permission"
    verify = actions["verify"]["href"]
    assert stranger.post(verify, json={"oid": sha256(second), "size": 64}).status_code == 400


def test_links_end_with_their_repo(api, http, stranger, new_repo):
    """Also when a new repo comes in its place."""
    content = os.urandom(64)
    old = new_repo()
    link = batch(http, old, content)["actions"]["upload"]["href"]
    api.delete_repo(old)
    new = new_repo()
    assert stranger.put(link, content=content).status_code == 404
    assert batch(http, new, content, "download")["error"]["code"] == 404


def test_batch_answers_each_object_by_itself(http, repo):
    here, missing = os.urandom(10), os.urandom(10)
    upload(http, repo, here)
    objects = [
        {"oid": sha256(here), "size": 10},
        {"oid": sha256(missing), "size": 10},
        {"oid": "not a sha256", "size": 10},
        {"oid": sha256(here).upper(), "size": 10},
        {"oid": sha256(missing), "size": 10**30},
        {"oid": "../../../hub.db", "size": 10},
    ]
    url = f"/{repo}.git/info/lfs/objects/batch"
    down = http.post(url, json={"operation": "download", "objects": objects}).json()
    assert down["transfer"] == "basic"
    assert [row.get("error", {}).get("code", "ok") for row in down["objects"]] == ["ok", 404, 422, 422, 404, 422]
    up = http.post(url, json={"operation": "upload", "objects": objects}).json()["objects"]
    assert [row.get("error", {}).get("code", "ok") for row in up] == ["ok", "ok", 422, 422, 422, 422]
    assert [("actions" in row) for row in up] == [False, True, False, False, False, False]
    assert [row["oid"] for row in up] == [row["oid"] for row in objects]


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"operation": "delete", "objects": []},
        {"operation": "upload"},
        {"operation": "upload", "objects": [{"oid": "x"}]},
        {"operation": "upload", "objects": [{"oid": "x", "size": -1}]},
        {"operation": "upload", "objects": [{"oid": "x", "size": "many"}]},
        {"operation": "upload", "objects": [{"oid": "x", "size": 1.5}]},
        {"operation": "upload", "objects": [{"oid": None, "size": 1}]},
        {"operation": "upload", "objects": [{"oid": "x", "size": 1}] * 10_001},
        {"operation": "upload", "objects": {}},
        [],
    ],
)
def test_malformed_batches_are_refused(http, untouched, body):
    answer = http.post(f"/{untouched}.git/info/lfs/objects/batch", json=body)
    assert answer.status_code == 400 and answer.headers["X-Error-Message"]


def test_another_hash_is_refused(http, untouched):
    body = {"operation": "upload", "objects": [], "hash_algo": "sha512"}
    assert http.post(f"/{untouched}.git/info/lfs/objects/batch", json=body).status_code == 409


def test_the_javascript_clients_name_of_sha256(http, untouched):
    """It offers transfers and a ref that are left alone, too."""
    more = {"hash_algo": "sha_256", "transfers": ["basic", "multipart", "xet"], "ref": {"name": "main"}}
    assert batch(http, untouched, b"content", **more)["actions"]["upload"]


def test_the_same_file_from_many_at_once(hub, api, http, new_repo):
    content = os.urandom(2_000_000)
    repos = [new_repo() for _ in range(3)] * 3

    def send(repo: str) -> None:
        with hub.http("rahim") as mine:
            href = batch(mine, repo, content).get("actions", {}).get("upload", {}).get("href")
            if href:
                mine.put(href, content=content).raise_for_status()

    with ThreadPoolExecutor(9) as pool:
        list(pool.map(send, repos))
    for repo in set(repos):
        href = batch(http, repo, content, "download")["actions"]["download"]["href"]
        assert http.get(href).content == content


def test_an_upload_that_breaks_off_leaves_nothing(hub, http, repo):
    content = os.urandom(4_000_000)
    before = kept(hub)

    href = urlsplit(batch(http, repo, content)["actions"]["upload"]["href"])
    # By hand: an HTTP client may keep the line open until its garbage is collected.
    with socket.create_connection((href.hostname, href.port)) as line:
        line.sendall(f"PUT {href.path} HTTP/1.1\r\nHost: hub\r\nContent-Length: 4000000\r\n\r\n".encode())
        line.sendall(content[:2_000_000])
        assert wait_for(lambda: kept(hub) != before)
    assert wait_for(lambda: kept(hub) == before)


def wait_for(condition, patience: float = 60) -> bool:
    deadline = time.monotonic() + patience
    while not (met := condition()) and time.monotonic() < deadline:
        time.sleep(0.02)
    return met


class Counting(io.RawIOBase):
    """A file of any size that takes no room: its bytes follow from their position."""

    BLOCK = random.Random(1).randbytes(1 << 20)

    def __init__(self, size: int):
        self.size, self.at = size, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self.at

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self.at = offset + {os.SEEK_SET: 0, os.SEEK_CUR: self.at, os.SEEK_END: self.size}[whence]
        return self.at

    def readinto(self, buffer) -> int:
        start = self.at % len(self.BLOCK)
        number = (self.at // len(self.BLOCK)).to_bytes(8)
        block = (number + self.BLOCK[8:])[start : start + min(len(buffer), self.size - self.at)]
        buffer[: len(block)] = block
        self.at += len(block)
        return len(block)


@pytest.mark.slow
def test_multipart(hub, api, http, repo, tmp_path):
    """Just above the size from which the Hub wants parts: a part refused, one sent again, all put together."""
    size = (512 << 20) + 1
    file = io.BufferedReader(Counting(size))
    add = CommitOperationAdd("big.bin", file)
    digest = add.upload_info.sha256.hex()
    wanted = {"operation": "upload", "objects": [{"oid": digest, "size": size}], "transfers": ["basic", "multipart"]}
    answer = http.post(f"/{repo}.git/info/lfs/objects/batch", json=wanted).json()
    assert answer["transfer"] == "multipart"
    upload = answer["objects"][0]["actions"]["upload"]
    parts = {int(name): href for name, href in upload["header"].items() if name.isdigit()}
    assert sorted(parts) == list(range(1, 10)) and int(upload["header"]["chunk_size"]) * 8 == size - 1

    def complete() -> int:
        return http.post(upload["href"], json={}).status_code

    before = kept(hub)
    assert complete() == 422, "nothing was sent yet"
    assert http.put(parts[9], content=b"xx").status_code == 422, "one byte too many"
    assert http.put(parts[9], content=b"").status_code == 422
    assert http.put(parts[9], content=b"x").headers["ETag"] == f'"{hashlib.md5(b"x").hexdigest()}"'
    assert complete() == 422, "the right size, but not the content"
    assert kept(hub) == before, "what is refused is gone"

    slow = HTTPConnection(urlsplit(hub.url).netloc)
    slow.putrequest("PUT", urlsplit(parts[9]).path)
    slow.putheader("Content-Length", "1")
    slow.endheaders()
    while kept(hub) == before:
        time.sleep(0.01)
    assert http.put(parts[9], content=b"x").status_code == 200
    assert complete() == 422, "who has the file open could still change it"
    slow.close()

    done = api.create_commit(repo_id=repo, operations=[add], commit_message="big")
    assert complete() == 200, "a client that missed the answer asks again"
    assert not [name for name in kept(hub) if name.endswith(".parts")]
    path = api.hf_hub_download(repo, "big.bin", revision=done.oid, local_dir=tmp_path)
    with Path(path).open("rb") as back:
        assert hashlib.file_digest(back, "sha256").hexdigest() == digest


def test_parts_are_only_for_who_can_send_them(http, untouched):
    """git-lfs offers `basic` alone: it gets one link, however large the file is."""
    row = batch(http, untouched, b"x", size=600 << 20, transfers=["basic"])
    assert "chunk_size" not in row["actions"]["upload"]["header"]
