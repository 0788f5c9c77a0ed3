"""How much memory the Hub needs to take in and give out a file of gigabytes: `python benchmarks/hub_memory.py [GB]`.

The file takes no room on this side (its bytes follow from their position); the Hub stores it once. Exits with 1 if the
Hub's resident memory grew by more than 64 MB in any step.
"""

import hashlib
import io
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

HOME = tempfile.TemporaryDirectory(prefix="hub-memory-")
os.environ |= {"HF_HOME": HOME.name, "HF_HUB_DISABLE_XET": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1", "NO_PROXY": "*"}

import httpx  # noqa: E402
import psutil  # noqa: E402
from huggingface_hub import CommitOperationAdd, HfApi  # noqa: E402

ALLOWED = 64 << 20  # bytes
PATHSHALA = Path(sys.executable).with_name("pathshala")
TOKEN = "hf_benchmark"


class Endless(io.RawIOBase):
    """A file of `size` bytes that nobody holds: a random megabyte that begins with its own number, again and again."""

    BLOCK = random.Random(0).randbytes(1 << 20)

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
        number, start = divmod(self.at, len(self.BLOCK))
        end = start + min(len(buffer), len(self.BLOCK) - start, self.size - self.at)
        buffer[: end - start] = (number.to_bytes(8) + self.BLOCK[8:])[start:end]
        self.at += end - start
        return end - start


def blocks(size: int) -> Iterator[bytes]:
    file = Endless(size)
    while block := file.read(1 << 20):
        yield block


@contextmanager
def serving(data: Path) -> Iterator[tuple[str, psutil.Process]]:
    """A Hub process with one user: its address and the process."""
    subprocess.run([PATHSHALA, "hub", "user", "add", "rahim", "--token", TOKEN, "--data", data], check=True)
    command = [PATHSHALA, "hub", "serve", "--port", "0", "--data", data]
    with subprocess.Popen(command, stdout=subprocess.PIPE, encoding="utf-8") as process:
        url = next(word for word in process.stdout.readline().split() if word.startswith("http"))
        try:
            yield url, psutil.Process(process.pid)
        finally:
            process.terminate()


def measured(what: str, size: int, process: psutil.Process, step: Callable[[], object]) -> int:
    """Bytes by which the process grew, at most, while `step` ran."""
    before = peak = process.memory_info().rss
    done = threading.Event()

    def watch() -> None:
        nonlocal peak
        while not done.wait(0.02):
            peak = max(peak, process.memory_info().rss)

    watcher = threading.Thread(target=watch)
    watcher.start()
    started = time.monotonic()
    try:
        step()
    finally:
        done.set()
        watcher.join()
    seconds = time.monotonic() - started
    grown = peak - before
    print(f"{what:34} {seconds:6.1f} s {size / seconds / 1e6:7.0f} MB/s   grew {grown / 2**20:5.1f} MiB", flush=True)
    return grown


def main(gigabytes: float) -> int:
    size = int(gigabytes * 10**9)
    with tempfile.TemporaryDirectory() as folder, serving(Path(folder) / "data") as (url, process):
        api = HfApi(endpoint=url, token=TOKEN)
        headers = {"Authorization": f"Bearer {TOKEN}"}
        http = httpx.Client(base_url=url, headers=headers, timeout=None, trust_env=False)
        parts, whole = (api.create_repo(f"rahim/{name}").repo_id for name in ("parts", "whole"))
        api.upload_file(repo_id=parts, path_in_repo="warm.bin", path_or_fileobj=io.BytesIO(b"\0"))

        add = CommitOperationAdd("large.bin", io.BufferedReader(Endless(size)))
        digest = add.upload_info.sha256.hex()

        def in_parts() -> None:
            api.create_commit(repo_id=parts, operations=[add], commit_message="large")

        def in_one_piece() -> None:
            wanted = {"operation": "upload", "objects": [{"oid": digest, "size": size}], "transfers": ["basic"]}
            answer = http.post(f"/{whole}.git/info/lfs/objects/batch", json=wanted).raise_for_status().json()
            href = answer["objects"][0]["actions"]["upload"]["href"]
            http.put(href, content=blocks(size), headers={"Content-Length": str(size)}).raise_for_status()

        def by_the_client() -> None:
            path = api.hf_hub_download(parts, "large.bin", local_dir=Path(folder) / "back")
            with open(path, "rb") as file:
                assert hashlib.file_digest(file, "sha256").hexdigest() == digest
            os.unlink(path)

        def by_four_at_once() -> None:
            def read(quarter: int) -> None:
                first, last = quarter * size // 4, (quarter + 1) * size // 4 - 1
                part = {"Range": f"bytes={first}-{last}"}
                with http.stream("GET", f"/{parts}/resolve/main/large.bin", headers=part) as answer:
                    assert answer.status_code == 206
                    assert sum(len(block) for block in answer.iter_raw()) == last - first + 1

            readers = [threading.Thread(target=read, args=(quarter,)) for quarter in range(4)]
            for reader in readers:
                reader.start()
            for reader in readers:
                reader.join()

        print(f"{gigabytes} GB; the Hub starts with {process.memory_info().rss / 2**20:.0f} MiB")
        grown = [
            measured("upload in parts (HfApi)", size, process, in_parts),
            measured("upload in one piece (git-lfs basic)", size, process, in_one_piece),
            measured("download (hf_hub_download)", size, process, by_the_client),
            measured("download in 4 ranges at once", size, process, by_four_at_once),
        ]
        http.close()
    return int(max(grown) > ALLOWED)


if __name__ == "__main__":
    sys.exit(main(float(sys.argv[1]) if len(sys.argv) > 1 else 2))
