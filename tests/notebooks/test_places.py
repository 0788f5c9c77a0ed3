"""A chapter runs wherever a reader may run it: in a used workspace, against a class Hub, not on a missing GPU."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import readers_environment

CHAPTERS = sorted((Path(__file__).parents[2] / "chapters").glob("*.ipynb"))
BIN = Path(sys.executable).parent


def run(out: Path, *options: str, **variables: str) -> tuple[subprocess.CompletedProcess, list[dict]]:
    """`pathshala run` on the first chapter: the process, and the rows of its report."""
    command = [BIN / "pathshala", "run", CHAPTERS[0].stem, "--out", out, *options]
    process = subprocess.run(command, env=os.environ | variables, capture_output=True, text=True, encoding="utf-8")
    return process, json.loads((out / "report.json").read_text(encoding="utf-8"))


@pytest.mark.slow
@pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda path: path.stem)
def test_passes_again_in_the_same_workspace(executed, chapter, tmp_path):
    used = executed.out / "workspaces" / chapter.stem
    assert (used / "hub" / "hub.db").exists() and any((used / "hf" / "hub").iterdir())
    again = subprocess.run(
        [BIN / "jupyter", "execute", "--kernel_name=python3", f"--output={tmp_path / 'again.ipynb'}", chapter],
        env=readers_environment() | {"PATHSHALA_HOME": str(used)},
        capture_output=True,
        text=True,
    )
    assert again.returncode == 0, again.stderr


@pytest.mark.slow
def test_runs_against_a_class_hub_without_login(tmp_path):
    command = [BIN / "pathshala", "hub", "serve", "--port", "0", "--data", tmp_path / "class"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, encoding="utf-8") as hub:
        try:
            address = re.search(r"http://\S+", hub.stdout.readline())[0]
            process, (row,) = run(tmp_path / "out", "--hub", address, "--device", "cpu")
        finally:
            hub.terminate()
    assert process.returncode == 0 and row["state"] == "ok", process.stdout
    assert not (tmp_path / "out" / "workspaces" / CHAPTERS[0].stem / "hub").exists()  # no local Hub beside it


@pytest.mark.slow
def test_asking_for_a_missing_gpu_fails_in_words(tmp_path):
    process, (row,) = run(tmp_path, "--device", "cuda", CUDA_VISIBLE_DEVICES="-1")
    assert process.returncode == 1 and row["state"] == "failed"
    assert "CUDA GPU পাওয়া যায়নি" in row["failure"]["error"]
