"""What the tests share."""

import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from filelock import FileLock

if "PYTEST_XDIST_WORKER" in os.environ:  # two workers with a thread a core each would wait for one another
    os.environ.setdefault("OMP_NUM_THREADS", "1")


def readers_environment() -> dict[str, str]:
    """Of a reader who has not switched Xet off, as the tests of the Hub do for themselves."""
    return {name: value for name, value in os.environ.items() if name != "HF_HUB_DISABLE_XET"}


@pytest.fixture(scope="session")
def executed(tmp_path_factory, worker_id) -> SimpleNamespace:
    """The series, run once by `pathshala run` as a reader runs it, for all workers of a session together.

    `rows` is the report, by notebook; `out` the folder with `notebooks/`, `html/` and `report.html`; `process` the
    command's exit status and output.
    """
    base = tmp_path_factory.getbasetemp()
    out = (base if worker_id == "master" else base.parent) / "executed"
    said = out.with_suffix(".json")
    with FileLock(out.with_suffix(".lock")):
        if not said.exists():
            command = [Path(sys.executable).with_name("pathshala"), "run", "--out", out]
            done = subprocess.run(command, env=readers_environment(), capture_output=True, text=True, encoding="utf-8")
            kept = {"returncode": done.returncode, "stdout": done.stdout, "stderr": done.stderr}
            said.write_text(json.dumps(kept), encoding="utf-8")
    process = SimpleNamespace(**json.loads(said.read_text(encoding="utf-8")))
    report = out / "report.json"
    rows = json.loads(report.read_text(encoding="utf-8")) if report.exists() else []
    return SimpleNamespace(out=out, process=process, rows={row["notebook"]: row for row in rows})
