"""`pathshala run` as its user meets it: a process, its output, its exit status and the files it leaves."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import nbformat
import psutil
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

PATHSHALA = Path(sys.executable).with_name("pathshala")
# An address, so that no local Hub is started: these notebooks ask for none.
PLAIN = ("--hub", "https://huggingface.co")
BUDGET = "<!-- budget -->\nমাপা হয়নি\n<!-- /budget -->\n\nতারপর কাজ।"


def write(folder: Path, name: str, *sources: str, tags: dict[int, str] | None = None) -> None:
    """A notebook of code cells; `tags` names one for a cell, by index."""
    parameters = new_code_cell('HUB = "local"\nDEVICE = "auto"', metadata={"tags": ["parameters"]})
    code = [new_code_cell(source) for source in sources]
    for index, tag in (tags or {}).items():
        code[index].metadata["tags"] = [tag]
    notebook = new_notebook(cells=[new_markdown_cell(f"# {name}"), new_markdown_cell(BUDGET), parameters, *code])
    nbformat.write(notebook, folder / f"{name}.ipynb")


def call(*arguments: str | Path, cwd: Path) -> subprocess.CompletedProcess:
    command = [PATHSHALA, "run", *arguments]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, encoding="utf-8", timeout=120)


@pytest.fixture(scope="module")
def series(tmp_path_factory) -> SimpleNamespace:
    """One run of four notebooks: a failing cell, a kernel that dies, one that hangs, and then a good one."""
    folder = tmp_path_factory.mktemp("series")
    chapters = folder / "chapters"
    chapters.mkdir()
    write(chapters, "01_bad", "x = 1", "# এখানে ভুল\nraise ValueError('[bold]না[/bold]')", "print('never')")
    write(chapters, "02_dead", "import os, signal\nos.write(2, b'last words')\nos.kill(os.getpid(), signal.SIGKILL)")
    write(chapters, "03_hang", "while True:\n    pass")
    write(
        chapters,
        "04_good",
        "1 / 0",
        "import os, pathlib\nprint(f'after {HUB} {DEVICE}')\npathlib.Path('left behind').touch()",
        "cache = pathlib.Path(os.environ['PATHSHALA_HOME'], 'hf')\ncache.mkdir()\n"
        "(cache / 'weights').write_bytes(bytes(12_000_000))\n(cache / 'link').symlink_to(cache / 'weights')",
        'import subprocess, sys\nhold = "import time; hold = 300_000_000 * bytes([1]); time.sleep(0.5)"\n'
        "subprocess.run([sys.executable, '-c', hold])",
        tags={0: "raises-exception"},
    )
    before = {path.name: path.read_text() for path in chapters.iterdir()}
    process = call("--chapters", chapters, *PLAIN, "--timeout", "5", "--write-budget", cwd=folder)
    rows = {row["notebook"]: row for row in json.loads((folder / "build/report.json").read_text())}
    return SimpleNamespace(folder=folder, chapters=chapters, before=before, process=process, rows=rows)


def test_failures_do_not_stop_the_rest(series):
    assert series.process.returncode == 1
    states = {name: row["state"] for name, row in series.rows.items()}
    assert states == {"01_bad": "failed", "02_dead": "failed", "03_hang": "failed", "04_good": "ok"}


def test_a_failed_cell_is_shown_with_its_number_source_and_error(series):
    failure = series.rows["01_bad"]["failure"]
    # As Jupyter would number it: the parameters are cell 1, what papermill injects is not counted.
    assert (failure["cell"], failure["source"]) == (3, "# এখানে ভুল\nraise ValueError('[bold]না[/bold]')")
    assert failure["error"].endswith("ValueError: [bold]না[/bold]")
    for said in ("01_bad — cell 3", "# এখানে ভুল", "ValueError: [bold]না[/bold]"):
        assert said in series.process.stdout
    executed = nbformat.read(series.folder / "build/notebooks/01_bad.ipynb", 4)
    assert executed.cells[-1].outputs == []


def test_a_dead_or_hanging_kernel_is_a_failed_row(series):
    dead, hang = series.rows["02_dead"]["failure"], series.rows["03_hang"]["failure"]
    assert dead["cell"] == hang["cell"] == 2
    assert "kernel বন্ধ হয়ে গেছে" in dead["error"]
    assert dead["error"].endswith("last words")
    assert "5 s এও" in hang["error"]


def test_a_deliberate_error_is_no_failure_and_parameters_arrive(series):
    executed = nbformat.read(series.folder / "build/notebooks/04_good.ipynb", 4)
    text = json.dumps(executed)
    assert "ZeroDivisionError" in text
    assert "after https://huggingface.co cpu" in text
    assert "An Exception was encountered" not in text


def test_what_is_measured(series):
    good = series.rows["04_good"]
    assert good["cells"] == 5
    assert 1 < good["seconds"] < 60
    assert 300 < good["peak_mb"] < 900, "the kernel and the process it started"
    assert 12 <= good["download_mb"] < 13, "a link in the cache takes no room"


def test_the_budget_line_alone_changes_and_only_where_all_passed(series):
    good = (series.chapters / "04_good.ipynb").read_text()
    line = re.search(r"\*\*চালাতে.*লাগে না", good)[0]
    half = series.rows["04_good"]["peak_mb"] / 500
    memory = f"{-(-half // 1) / 2:g}"
    assert line == f"**চালাতে সময়:** ১ মিনিট · **download:** 20 MB · **RAM:** {memory} GB · **GPU:** লাগে না"
    assert good.replace(line, "মাপা হয়নি") == series.before["04_good.ipynb"]
    for name in ("01_bad", "02_dead", "03_hang"):
        assert (series.chapters / f"{name}.ipynb").read_text() == series.before[f"{name}.ipynb"]


def test_nothing_is_left_beside_the_chapters(series):
    assert sorted(path.name for path in series.chapters.iterdir()) == sorted(series.before)
    assert (series.folder / "build/workspaces/04_good/cwd/left behind").exists()


def test_the_page_says_it_all_and_needs_nothing_else(series):
    page = (series.folder / "build/report.html").read_text()
    assert '<html lang="bn">' in page and '<meta charset="utf-8">' in page and "prefers-color-scheme" in page
    links = re.findall(r'(?:href|src)="([^"]+)"', page)
    assert set(links) == {f"html/{name}.html" for name in series.rows}
    assert all((series.folder / "build" / link).exists() for link in links)
    assert "ValueError: [bold]না[/bold]" in page and "01_bad.html" in page and "— cell 3" in page
    assert "after https://huggingface.co cpu" in (series.folder / "build/html/04_good.html").read_text()


def test_no_terminal_no_bar(series):
    assert "✓ ঠিক আছে: 04_good" in series.process.stdout
    assert "\x1b" not in series.process.stdout and "━━━━━━━━━━━━━━━━━" not in series.process.stdout.split("┏")[0]
    assert series.process.stderr == ""


@pytest.mark.slow
def test_ctrl_c_stops_the_kernel_and_reports_what_has_run(tmp_path):
    write(tmp_path, "01_quick", "x = 1")
    write(tmp_path, "02_endless", "import os, time\nopen('pid', 'w').write(str(os.getpid()))", "time.sleep(600)")
    write(tmp_path, "03_never", "x = 1")
    process = subprocess.Popen(
        [PATHSHALA, "run", "--chapters", tmp_path, "--out", tmp_path / "out", *PLAIN],
        stdout=subprocess.PIPE,
        text=True,
        # A shell gives its background jobs a SIGINT that is ignored; a terminal does not.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    pid = tmp_path / "out/workspaces/02_endless/cwd/pid"
    deadline = time.monotonic() + 60
    while not (pid.exists() and pid.read_text()) and time.monotonic() < deadline:
        time.sleep(0.1)
    time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=30)
    assert process.returncode == 130
    assert not psutil.pid_exists(int(pid.read_text()))
    rows = json.loads((tmp_path / "out/report.json").read_text())
    assert [(row["notebook"], row["state"]) for row in rows] == [("01_quick", "ok"), ("02_endless", "interrupted")]
    assert "02_endless" in output and "03_never" not in output
    assert (tmp_path / "out/report.html").exists()


def test_a_wrong_word_gets_a_sentence_and_no_traceback(tmp_path):
    write(tmp_path, "01_one", "x = 1")
    for arguments, said in {
        ("02_two",): "আছে এগুলো:\n  01_one",
        ("--device", "tpu"): "auto, cpu অথবা cuda",
        ("--hub", "huggingface.co"): "http:// বা https://",
        ("--write-budget", "--device", "cuda"): "--device cuda বাদ দাও",
    }.items():
        process = call("--chapters", tmp_path, *arguments, cwd=tmp_path)
        assert process.returncode == 2
        assert said in process.stderr and "Traceback" not in process.stderr
    empty = tmp_path / "empty"
    empty.mkdir()
    assert "কোনো notebook নেই" in call("--chapters", empty, cwd=tmp_path).stderr


def test_help_is_quick():
    """An import of a heavy package at the top of the command would cost seconds; 0.5 s of processor time is usual."""
    before = os.times()
    text = subprocess.run([PATHSHALA, "--help"], capture_output=True, text=True, encoding="utf-8", check=True).stdout
    after = os.times()
    spent = after.children_user + after.children_system - before.children_user - before.children_system
    assert spent < 1.5
    for verb in ("run", "lab", "reset", "repo", "release", "hub"):
        assert f" {verb} " in text
