"""How much memory the Hub needs to take in and give out a file of gigabytes: `python benchmarks/hub_memory.py [GB]`.

By LFS the file takes no room on this side (its bytes follow from their position); by Xet it lies on the disk, beside
the Hub's two copies. Exits with 1 if the Hub's resident memory grew by more than 64 MiB in any step.
"""

import hashlib
import io
import os
import random
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import psutil
from harness import TOKEN, in_client, serving, write_random
from huggingface_hub import CommitOperationAdd, HfApi

ALLOWED = 64 << 20  # bytes
# Clients with hf_xet, in processes of their own: it sends files only, so these lie on the disk.
UP = """
import sys
from huggingface_hub import HfApi
HfApi().upload_file(path_or_fileobj=sys.argv[2], path_in_repo="large.bin", repo_id=sys.argv[1])
"""
DOWN = """
import sys
from huggingface_hub import hf_hub_download
hf_hub_download(sys.argv[1], "large.bin", local_dir=sys.argv[2])
"""


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
        parts, whole, chunks = (api.create_repo(f"rahim/{name}").repo_id for name in ("parts", "whole", "chunks"))
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

        source, back = Path(folder) / "large.bin", Path(folder) / "back"

        def by_xet() -> None:
            in_client(UP, chunks, source, url=url, xet=True)

        def by_xet_back() -> None:
            in_client(DOWN, chunks, back, url=url, xet=True)
            with (back / "large.bin").open("rb") as file:
                assert hashlib.file_digest(file, "sha256").hexdigest() == digest_by_xet

        print(f"{gigabytes} GB; the Hub starts with {process.memory_info().rss / 2**20:.0f} MiB")
        grown = [
            measured("upload in parts (HfApi)", size, process, in_parts),
            measured("upload in one piece (git-lfs basic)", size, process, in_one_piece),
            measured("download (hf_hub_download)", size, process, by_the_client),
            measured("download in 4 ranges at once", size, process, by_four_at_once),
        ]
        digest_by_xet = write_random(source, size)  # no chunk of it comes twice: all of them travel
        grown += [
            measured("upload by hf_xet", size, process, by_xet),
            measured("download by hf_xet", size, process, by_xet_back),
        ]
        http.close()
    return int(max(grown) > ALLOWED)


if __name__ == "__main__":
    sys.exit(main(float(sys.argv[1]) if len(sys.argv) > 1 else 5))
