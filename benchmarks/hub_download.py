"""How fast a large file comes, beside `curl` of the same file from nginx: `python benchmarks/hub_download.py [GB]`.

Five ways over loopback to the same disk, from files in memory, in turn; of three rounds the best counts.
- curl from nginx, by which the others are measured;
- curl from the Hub, of a file that came by LFS: what the Hub itself gives out;
- the client's own plain-HTTP code (`huggingface_hub.file_download.http_get`) from nginx: no Hub can be faster than
  this ceiling is for a client without Xet;
- `hf_hub_download` without Xet of a file that came by LFS;
- `hf_hub_download` with hf_xet of a file that came by Xet.

Exits with 1 where the Hub stays under 0.7 of what the same client gets from nginx, or hf_xet under 0.7 of curl; with 2
where nginx or curl is missing.
"""

import hashlib
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from harness import in_client, judged, serving, write_random

LEAST = 0.7
ROUNDS = 3

UPLOAD = """
import sys
from huggingface_hub import HfApi
api = HfApi()
repo = api.create_repo(sys.argv[1]).repo_id
api.upload_file(path_or_fileobj=sys.argv[2], path_in_repo="large.bin", repo_id=repo)
"""
BARE = """
import sys, time
from huggingface_hub.file_download import http_get
started = time.perf_counter()
with open(sys.argv[2], "wb") as file:
    http_get(sys.argv[1], file)
print(time.perf_counter() - started)
"""
DOWNLOAD = """
import sys, time
from huggingface_hub import hf_hub_download
started = time.perf_counter()
hf_hub_download(sys.argv[1], "large.bin", local_dir=sys.argv[2])
print(time.perf_counter() - started)
"""


@contextmanager
def nginx(folder: Path) -> Iterator[str]:
    """Serves a folder as a package of nginx does by default: its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with tempfile.TemporaryDirectory(prefix="nginx-") as home:
        user = "user root;" if os.geteuid() == 0 else ""
        places = " ".join(f"{kind}_temp_path {home}/{kind};" for kind in ("client_body", "proxy", "fastcgi"))
        places += f" uwsgi_temp_path {home}/uwsgi; scgi_temp_path {home}/scgi;"
        config = Path(home) / "nginx.conf"
        config.write_text(f"""
            {user} daemon off; pid {home}/pid; error_log stderr error; worker_processes auto;
            events {{ worker_connections 64; }}
            http {{ access_log off; sendfile on; tcp_nopush on; {places}
                    server {{ listen 127.0.0.1:{port}; root {folder}; }} }}
        """)
        with subprocess.Popen(["nginx", "-p", home, "-e", "stderr", "-c", config]) as process:
            for _ in range(100):
                with socket.socket() as probe:
                    if probe.connect_ex(("127.0.0.1", port)) == 0:
                        break
                time.sleep(0.05)
            try:
                yield f"http://127.0.0.1:{port}"
            finally:
                process.terminate()


def by_curl(url: str, target: Path) -> float:
    started = time.perf_counter()
    subprocess.run(["curl", "--fail", "--silent", "--show-error", "--output", target, url], check=True)
    return time.perf_counter() - started


def main(gigabytes: float) -> int:
    for program in ("nginx", "curl"):
        if shutil.which(program) is None:
            print(f"{program} is missing: install it first (on Debian: apt-get install nginx-light curl)")
            return 2
    size = int(gigabytes * 10**9)
    with tempfile.TemporaryDirectory(prefix="hub-download-") as folder:
        root, back = Path(folder), Path(folder) / "back"
        source = root / "large.bin"
        digest = write_random(source, size)
        with serving(root / "data") as (url, _process), nginx(root) as plain:
            for repo, xet in (("rahim/lfs", False), ("rahim/xet", True)):
                in_client(UPLOAD, repo, source, url=url, xet=xet)
            address, target = f"{plain}/large.bin", back / "large.bin"
            ways: dict[str, Callable[[], float]] = {
                "curl from nginx": lambda: by_curl(address, target),
                "curl from the Hub, LFS": lambda: by_curl(f"{url}/rahim/lfs/resolve/main/large.bin", target),
                "the client's http_get from nginx": lambda: float(in_client(BARE, address, target, url=url, xet=False)),
                "hf_hub_download, LFS": lambda: float(in_client(DOWNLOAD, "rahim/lfs", back, url=url, xet=False)),
                "hf_hub_download, Xet": lambda: float(in_client(DOWNLOAD, "rahim/xet", back, url=url, xet=True)),
            }
            taken: dict[str, list[float]] = {name: [] for name in ways}
            for _ in range(ROUNDS):
                for name, way in ways.items():
                    back.mkdir()
                    taken[name].append(way())
                    with target.open("rb") as file:
                        assert hashlib.file_digest(file, "sha256").hexdigest() == digest, f"{name}: not the same bytes"
                    shutil.rmtree(back)
    print(f"{gigabytes} GB of random bytes, best of {ROUNDS}")
    best = {name: min(seconds) for name, seconds in taken.items()}
    for name, seconds in taken.items():
        rounds = " ".join(f"{second:.2f}" for second in seconds)
        print(f"{name:34} {best[name]:6.2f} s {size / best[name] / 1e6:6.0f} MB/s   {rounds}")
    curl, hub, ceiling, lfs, xet = best.values()
    judged("the client's http_get from nginx, to curl (the ceiling)", curl / ceiling, least=LEAST)
    judged("hf_hub_download by LFS, to curl", curl / lfs, least=LEAST)
    good = judged("hf_hub_download by LFS, to http_get from nginx", ceiling / lfs, least=LEAST)
    good &= judged("curl from the Hub, to curl from nginx", curl / hub, least=LEAST)
    good &= judged("hf_hub_download by Xet, to curl", curl / xet, least=LEAST)
    return int(not good)


if __name__ == "__main__":
    sys.exit(main(float(sys.argv[1]) if len(sys.argv) > 1 else 1))
