"""What the tests share."""

import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest


@pytest.fixture(scope="session")
def executed(tmp_path_factory) -> SimpleNamespace:
    """The series, run once by `pathshala run` as a reader runs it.

    `rows` is the report, by notebook; `out` the folder with `notebooks/`, `html/` and `report.html`; `process` the
    command's exit status and output.
    """
    out = tmp_path_factory.mktemp("executed")
    command = [Path(sys.executable).with_name("pathshala"), "run", "--out", out]
    process = subprocess.run(command, capture_output=True, text=True, encoding="utf-8")
    report = out / "report.json"
    rows = json.loads(report.read_text(encoding="utf-8")) if report.exists() else []
    return SimpleNamespace(out=out, process=process, rows={row["notebook"]: row for row in rows})
