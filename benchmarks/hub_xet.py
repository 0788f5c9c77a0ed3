"""How much hf_xet sends when a file changes a little: `python benchmarks/hub_xet.py`.

Into a repo that holds a file of 32 MB goes its next version: one tensor of eight trained anew, a part put in, a part
put on. What is sent is counted on the wire, by a proxy that hands on bytes as they are: xorbs, shards and all requests
and answers of the commit. Each case is a repo of its own and a client in a process of its own, with no memory of the
first upload.

Exits with 1 where more than 1.1 times the changed bytes were sent.
"""

import hashlib
import json
import random
import socket
import struct
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from harness import in_client, judged, serving

MOST = 1.1
TENSORS, TENSOR = 8, 4_000_000  # bytes each
PART = 4_000_000  # bytes put in or on

UPLOAD = """
import sys
from huggingface_hub import HfApi
api = HfApi()
api.create_repo(sys.argv[1], exist_ok=True)
api.upload_file(path_or_fileobj=sys.argv[2], path_in_repo="model.safetensors", repo_id=sys.argv[1])
"""
CHECK = """
import hashlib, sys
from huggingface_hub import hf_hub_download
with open(hf_hub_download(sys.argv[1], "model.safetensors"), "rb") as file:
    print(hashlib.file_digest(file, "sha256").hexdigest())
"""


def safetensors(tensors: list[bytes]) -> bytes:
    """A file of F32 tensors (https://huggingface.co/docs/safetensors)."""
    header, at = {}, 0
    for number, content in enumerate(tensors):
        place = {"dtype": "F32", "shape": [len(content) // 4], "data_offsets": [at, at + len(content)]}
        header[f"layer.{number}"] = place
        at += len(content)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + b"".join(tensors)


class Proxy:
    """Hands on every connection to the Hub and counts the bytes that clients send."""

    def __init__(self, url: str):
        host, _, port = url.removeprefix("http://").partition(":")
        self.target = (host, int(port))
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        self.sent = 0
        self._lock = threading.Lock()
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            hub = socket.create_connection(self.target)
            for source, sink, counts in ((client, hub, True), (hub, client, False)):
                threading.Thread(target=self._hand_on, args=(source, sink, counts), daemon=True).start()

    def _hand_on(self, source: socket.socket, sink: socket.socket, counts: bool) -> None:
        try:
            while block := source.recv(1 << 16):
                if counts:
                    with self._lock:
                        self.sent += len(block)
                sink.sendall(block)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            for end in (source, sink):
                end.close()


@contextmanager
def counting(url: str) -> Iterator[Proxy]:
    proxy = Proxy(url)
    try:
        yield proxy
    finally:
        proxy.listener.close()


def main() -> int:
    chance = random.Random(0)
    tensors = [chance.randbytes(TENSOR) for _ in range(TENSORS)]
    before = safetensors(tensors)
    middle = len(before) // 2
    cases: dict[str, Callable[[], bytes]] = {
        "one tensor of eight": lambda: safetensors([*tensors[:3], chance.randbytes(TENSOR), *tensors[4:]]),
        "an insertion in the middle": lambda: before[:middle] + chance.randbytes(PART) + before[middle:],
        "an append": lambda: before + chance.randbytes(PART),
    }
    good = True
    with tempfile.TemporaryDirectory(prefix="hub-xet-") as folder:
        file = Path(folder) / "model.safetensors"
        with serving(Path(folder) / "data") as (url, _process), counting(url) as proxy:
            for number, (what, change) in enumerate(cases.items()):
                repo = f"rahim/case-{number}"
                # No chunk of one case may be known from another: each begins with bytes of its own.
                tensors[:] = [chance.randbytes(TENSOR) for _ in range(TENSORS)]
                before = safetensors(tensors)
                sent = []
                for content in (before, change()):
                    file.write_bytes(content)
                    begun = proxy.sent
                    in_client(UPLOAD, repo, file, url=proxy.url, xet=True)
                    sent.append(proxy.sent - begun)
                shown = in_client(CHECK, repo, url=proxy.url, xet=True).strip()
                assert shown == hashlib.sha256(file.read_bytes()).hexdigest(), f"{what}: not the same bytes"
                print(f"{what}: {sent[0]:,} bytes sent at first, then {sent[1]:,} for {PART:,} changed")
                good &= judged(f"{what}: sent to changed", sent[1] / PART, most=MOST)
    return int(not good)


if __name__ == "__main__":
    sys.exit(main())
