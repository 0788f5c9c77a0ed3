"""How long a student waits for the first result, beside the bare imports that no course can avoid.

    python benchmarks/start_ratio.py [RUNS]

Each run opens three fresh kernels in turn and takes the seconds from their first cell to the last one's result:
the bare imports; `start()` and the seed's three lines in an empty workspace; the same in one whose Hub runs and whose
cache is full. Medians are printed with their ratio to the imports, which must not pass 1.5 (exit status 1).
"""

import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

from jupyter_client.manager import start_new_kernel

from utils.hub.local import LocalHub

LIMIT = 1.5
IMPORTS = "import torch\nfrom transformers import pipeline"
START = 'from utils.notebook import start\nhere = start(hub="local", device="auto")'
SEED = """\
from transformers import pipeline
pipe = pipeline("sentiment-analysis")
result = pipe("I love backend engineering")"""
RESULT = "print(result[0]['label'])"


def seconds(cells: list[str], home: Path) -> float:
    """From the first cell to the end of the last, in a kernel that was ready before."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
    manager, client = start_new_kernel(cwd=str(home.parent), env=environment | {"PATHSHALA_HOME": str(home)})
    shown: list[str] = []
    try:
        begin = time.perf_counter()
        for cell in cells:
            reply = client.execute_interactive(
                cell, timeout=600, output_hook=lambda message: shown.append(message["content"].get("text", ""))
            )
            if reply["content"]["status"] != "ok":
                raise SystemExit(f"{cell}\n{reply['content']['evalue']}")
        taken = time.perf_counter() - begin
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
    if RESULT in cells and "POSITIVE" not in "".join(shown):
        raise SystemExit(f"no POSITIVE in {shown}")
    return taken


def main(runs: int) -> int:
    taken: dict[str, list[float]] = {"imports": [], "empty workspace": [], "workspace in use": []}
    chapter = [START, SEED, RESULT]
    seconds([IMPORTS], Path(tempfile.gettempdir()) / "unused")  # files come into memory; bytecode is written
    for _ in range(runs):
        with tempfile.TemporaryDirectory() as folder:
            home = Path(folder) / "workspace"
            taken["imports"].append(seconds([IMPORTS], home))
            taken["empty workspace"].append(seconds(chapter, home))
            with LocalHub.open(home) as hub:
                taken["workspace in use"].append(seconds(chapter, home))
                hub.stop()
    bare = statistics.median(taken["imports"])
    worst = 0.0
    for name, values in taken.items():
        median = statistics.median(values)
        worst = max(worst, median / bare)
        print(f"{name:17} {median:6.2f} s  ratio {median / bare:4.2f}   {' '.join(f'{value:.2f}' for value in values)}")
    return int(worst > LIMIT)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 5))
