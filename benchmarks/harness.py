"""What the benchmarks share: a Hub process with one user, clients in processes of their own, and printed ratios.

Import it before `huggingface_hub`, which reads its environment once: no benchmark may meet the account or the cache
of whoever runs it.
"""

import hashlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

HOME = tempfile.TemporaryDirectory(prefix="hub-benchmark-")
for name in [name for name in os.environ if name.startswith(("HF_", "HUGGING")) or name.lower().endswith("_proxy")]:
    del os.environ[name]
os.environ |= {"HF_HOME": HOME.name, "HF_HUB_DISABLE_XET": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1", "NO_PROXY": "*"}

PATHSHALA = Path(sys.executable).with_name("pathshala")
USER, TOKEN = "rahim", "hf_benchmark"


@contextmanager
def serving(data: Path, fill: Callable[[], object] = lambda: None) -> Iterator[tuple[str, psutil.Process]]:
    """A Hub process with one user, and what `fill` has put into `data` before: its address and the process."""
    add = [PATHSHALA, "hub", "user", "add", USER, "--token", TOKEN, "--data", data]
    subprocess.run(add, check=True, stdout=subprocess.DEVNULL)
    fill()
    command = [PATHSHALA, "hub", "serve", "--port", "0", "--data", data]
    with subprocess.Popen(command, stdout=subprocess.PIPE, encoding="utf-8") as process:
        url = next(word for word in process.stdout.readline().split() if word.startswith("http"))
        try:
            yield url, psutil.Process(process.pid)
        finally:
            process.terminate()


def in_client(code: str, *arguments: object, url: str, xet: bool) -> str:
    """What a client prints: Python in a fresh process and a fresh cache; `xet` lets it use hf_xet."""
    with tempfile.TemporaryDirectory(prefix="home-", dir=HOME.name) as home:
        environment = os.environ | {"HF_HOME": home, "HF_ENDPOINT": url, "HF_TOKEN": TOKEN}
        if xet:
            del environment["HF_HUB_DISABLE_XET"]
        command = [sys.executable, "-c", code, *map(str, arguments)]
        return subprocess.run(command, check=True, env=environment, stdout=subprocess.PIPE, encoding="utf-8").stdout


def write_random(path: Path, size: int) -> str:
    """Fills the file and returns its sha256."""
    digest = hashlib.sha256()
    with path.open("wb") as file:
        for at in range(0, size, 1 << 20):
            block = os.urandom(min(1 << 20, size - at))
            digest.update(block)
            file.write(block)
    return digest.hexdigest()


def judged(what: str, ratio: float, *, least: float = 0, most: float = float("inf")) -> bool:
    """Prints a ratio beside what was asked of it, and says whether it is met."""
    good = least <= ratio <= most
    limit = f"at least {least}" if least else f"at most {most}"
    print(f"{what:58} ratio {ratio:6.2f}   {limit}: {'met' if good else 'MISSED'}", flush=True)
    return good
