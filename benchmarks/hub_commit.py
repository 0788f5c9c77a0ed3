"""How long a commit of many small files takes, beside `git fast-import`: `python benchmarks/hub_commit.py [FILES]`.

The same files three ways, in turn, each round into a fresh repo; of seven rounds the best counts.
- `git fast-import` into a bare repo, with all that it writes on the disk at the end (`core.fsync=all`);
- the Hub alone: one commit request that was made ready before;
- the whole way of a user: `HfApi.create_commit`, which reads and encodes the files, asks how each should travel, and
  sends that request. The client's own processor time is printed beside it.

Exits with 1 where the Hub alone, or the whole way, takes more than twice as long as git.
"""

import base64
import hashlib
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from harness import TOKEN, judged, serving

import httpx  # isort: skip
from huggingface_hub import CommitOperationAdd, HfApi  # isort: skip

MOST = 2
ROUNDS = 7
IDENTITY = b"rahim <rahim@example.org> 1700000000 +0000"


def small_files(count: int) -> dict[str, bytes]:
    """Texts of 1 kB, each another one, in folders of a hundred."""
    return {
        f"folder{number // 100}/{number:05}.txt": "".join(
            hashlib.sha256(b"%d %d" % (number, line)).hexdigest() + "\n" for line in range(16)
        ).encode()
        for number in range(count)
    }


def as_stream(files: dict[str, bytes]) -> bytes:
    """What `git fast-import` reads (git-fast-import(1))."""
    parts = [b"commit refs/heads/main\ncommitter %s\ndata 5\nmany\n\n" % IDENTITY]
    for path, content in files.items():
        parts.append(b"M 100644 inline %s\ndata %d\n%s\n" % (path.encode(), len(content), content))
    return b"".join(parts)


def as_request(files: dict[str, bytes]) -> bytes:
    lines = [{"key": "header", "value": {"summary": "many"}}]
    for path, content in files.items():
        value = {"path": path, "content": base64.b64encode(content).decode(), "encoding": "base64"}
        lines.append({"key": "file", "value": value})
    return b"\n".join(json.dumps(line).encode() for line in lines)


def seconds(step: Callable[[], object]) -> float:
    started = time.perf_counter()
    step()
    return time.perf_counter() - started


def main(count: int) -> int:
    files = small_files(count)
    stream, request = as_stream(files), as_request(files)
    taken: dict[str, list[float]] = {"git fast-import": [], "the Hub alone": [], "HfApi.create_commit": []}
    own = float("inf")  # seconds of the client's processor
    with tempfile.TemporaryDirectory(prefix="hub-commit-") as folder, serving(Path(folder) / "data") as (url, _process):
        api = HfApi(endpoint=url, token=TOKEN)
        headers = {"Authorization": f"Bearer {TOKEN}"}
        http = httpx.Client(base_url=url, headers=headers, timeout=None, trust_env=False)
        for number in range(ROUNDS + 1):
            bare = Path(folder) / f"{number}.git"
            subprocess.run(["git", "init", "--quiet", "--bare", bare], check=True)
            alone, whole = (api.create_repo(f"rahim/{name}-{number}").repo_id for name in ("alone", "whole"))
            adds = [CommitOperationAdd(path, content) for path, content in files.items()]
            command = ["git", "-C", str(bare), "-c", "core.fsync=all", "fast-import", "--quiet"]
            ways: list[Callable[[], object]] = [
                lambda: subprocess.run(command, input=stream, check=True),  # noqa: B023 - called at once
                lambda: http.post(f"/api/models/{alone}/commit/main", content=request).raise_for_status(),  # noqa: B023
                lambda: api.create_commit(repo_id=whole, operations=adds, commit_message="many"),  # noqa: B023
            ]
            for times, way in zip(taken.values(), ways, strict=True):
                busy = time.process_time()
                times.append(seconds(way))
                own = min(own, time.process_time() - busy) if way is ways[-1] else own
            for repo in (alone, whole):
                assert len(api.list_repo_files(repo)) == count + 1
        http.close()
    print(f"{count} files of 1 kB, best of {ROUNDS}")
    for name, times in taken.items():
        del times[0]  # everything is used for the first time
        print(f"{name:20} {min(times) * 1000:6.0f} ms   {' '.join(f'{1000 * second:.0f}' for second in times)}")
    print(f"of create_commit the client itself works {own * 1000:.0f} ms")
    git, alone_best, whole_best = (min(times) for times in taken.values())
    good = judged("the Hub alone, to git fast-import", alone_best / git, most=MOST)
    good &= judged("HfApi.create_commit, to git fast-import", whole_best / git, most=MOST)
    return int(not good)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 1000))
