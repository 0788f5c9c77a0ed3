"""The GitHub workflow, as far as it can be checked without GitHub: actionlint, and what the course promises to run."""

import subprocess
import sys
from pathlib import Path

import yaml

COURSE = Path(__file__).parents[2]
FILE = COURSE / ".github/workflows/notebooks.yml"
# YAML 1.1 reads the key `on` as true.
WORKFLOW = yaml.safe_load(FILE.read_text(encoding="utf-8").replace("\non:", '\n"on":'))
JOBS = WORKFLOW["jobs"]


def commands(job: str) -> str:
    return "\n".join(step.get("run", "") for step in JOBS[job]["steps"])


def test_actionlint_finds_nothing():
    linter = Path(sys.executable).with_name("actionlint")
    process = subprocess.run([linter, "-no-color", FILE], capture_output=True, text=True, encoding="utf-8")
    assert process.returncode == 0, process.stdout + process.stderr


def test_it_runs_when_it_should_and_may_do_little():
    assert {"push", "pull_request", "schedule", "workflow_dispatch"} <= set(WORKFLOW["on"])
    assert WORKFLOW["permissions"] == {"contents": "read"}
    assert WORKFLOW["concurrency"]["cancel-in-progress"] is True
    assert all("timeout-minutes" in job for job in JOBS.values())


def test_the_chapters_run_on_three_systems_with_conda_and_on_a_gpu():
    systems = {(entry["os"], entry["python"]) for entry in JOBS["cpu"]["strategy"]["matrix"]["include"]}
    assert systems == {("ubuntu-latest", "3.11"), ("windows-latest", "3.12"), ("macos-latest", "3.13")}
    for job, device in {"cpu": "cpu", "conda": "cpu", "gpu": "cuda"}.items():
        assert f"pathshala run --device {device}" in commands(job)
    assert "make test" in commands("test")


def test_what_ran_is_kept_also_when_it_failed():
    for job in ("cpu", "conda", "gpu"):
        (upload,) = [step for step in JOBS[job]["steps"] if "upload-artifact" in step.get("uses", "")]
        assert upload["if"] == "${{ !cancelled() }}"
        assert upload["with"]["path"].split() == ["build/report.*", "build/html", "build/notebooks"]


def test_without_a_gpu_runner_it_says_so():
    assert JOBS["gpu"]["runs-on"] == "${{ vars.GPU_RUNNER }}"
    assert "vars.GPU_RUNNER != ''" in JOBS["gpu"]["if"] and "vars.GPU_RUNNER == ''" in JOBS["no-gpu"]["if"]
    assert "::notice" in commands("no-gpu") and "No GPU was used" in commands("no-gpu")
