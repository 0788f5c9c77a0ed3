"""One click on a chapter's badge: Colab has the notebook and public packages, not the course; the notebook fetches it.

Imitated with a fresh environment of the pinned packages, a folder with nothing but the notebook and a foreign `utils`,
and git, which is told that the course's address is a clone of this working tree. No network is used.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from utils.hub.local import LocalHub

pytestmark = pytest.mark.slow

COURSE = Path(__file__).parents[2]
CHAPTER = min((COURSE / "chapters").glob("*.ipynb"))
REPOSITORY = tomllib.loads((COURSE / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["pathshala"]["repository"]
FOREIGN = "print('the foreign utils')\n"


def run(*command: str | Path, **options) -> str:
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **options)
    assert done.returncode == 0, done.stdout
    return done.stdout


@pytest.fixture(scope="module")
def github(tmp_path_factory) -> dict[str, str]:
    """Environment in which git finds the course's address on this disk, with all that the working tree holds now."""
    folder = tmp_path_factory.mktemp("github")
    mirror = folder / REPOSITORY
    run("git", "init", "--quiet", "--bare", "--initial-branch=main", mirror)
    # A repository and an index of its own: the course's own .git is only read.
    listed = run("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", cwd=COURSE).split("\0")
    there = [name for name in dict.fromkeys(listed) if name and (COURSE / name).is_file()]
    git = ("git", f"--git-dir={mirror}", f"--work-tree={COURSE}", "-c", "user.name=x", "-c", "user.email=x@x")
    paths = ("--pathspec-from-file=-", "--pathspec-file-nul")
    run(*git, "--literal-pathspecs", "add", "--force", *paths, input="\0".join(there), cwd=COURSE)
    run(*git, "commit", "--quiet", "--message=The working tree", cwd=COURSE)
    return {
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": f"url.{folder.as_uri()}/.insteadOf",
        "GIT_CONFIG_VALUE_0": "https://github.com/",
    }


@pytest.fixture(scope="module")
def uv() -> str:
    found = shutil.which("uv") or shutil.which(COURSE / ".tools" / "bin" / "uv")
    assert found, "uv is neither on PATH nor where `make` puts it"
    return found


@pytest.fixture(scope="module")
def colab(uv, tmp_path_factory) -> Path:
    """The Python of a fresh environment that holds the pinned packages, and not the course."""
    folder = tmp_path_factory.mktemp("colab") / "venv"
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    run(uv, "venv", "--quiet", "--python", sys.executable, folder)
    # What `make TORCH=cpu` installed, if that was how.
    cpu = Path(sys.prefix) / "cpu.txt"
    pins = ["--torch-backend", "cpu", "-r", cpu] if cpu.exists() else ["-r", COURSE / "requirements.txt"]
    install = [uv, "pip", "install", "--quiet", "--python", python, *pins]
    if subprocess.run([*install, "--offline"], capture_output=True).returncode != 0:
        run(*install)
    return python


@pytest.mark.parametrize("foreign", ["a folder", "a file, imported before"])
def test_the_unmodified_chapter_runs_where_only_the_notebook_is(colab, uv, github, environment, tmp_path, foreign):
    subprocess.run([uv, "pip", "uninstall", "--quiet", "--python", colab, "pathshala"], check=True)
    place, home = tmp_path / "content", tmp_path / "home"
    place.mkdir()
    notebook = Path(shutil.copy(CHAPTER, place))
    if foreign == "a folder":
        (place / "utils").mkdir()
        (place / "utils" / "__init__.py").write_text(FOREIGN)
        (place / "utils" / "notebook.py").write_text(FOREIGN)
    else:
        (place / "utils.py").write_text(FOREIGN)
        startup = home / ".ipython" / "profile_default" / "startup"
        startup.mkdir(parents=True)
        (startup / "first.py").write_text("import utils")
    nobody = "http://127.0.0.1:9"
    variables = environment(**github, HOME=home, HTTP_PROXY=nobody, HTTPS_PROXY=nobody)
    # pip would fetch the build backend, which is there. It reads "no" as: build isolation? no.
    variables |= {"PIP_NO_BUILD_ISOLATION": "no", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    variables["PIP_CONFIG_FILE"] = os.devnull  # Colab knows nothing of what this machine tells its pip
    for name in ("PYTHONPATH", "VIRTUAL_ENV", "NO_PROXY", "no_proxy"):
        variables.pop(name, None)

    execute = ("-m", "jupyter", "execute", "--kernel_name=python3", "--timeout=600", f"--output={tmp_path}/out")
    try:
        run(colab, *execute, notebook, cwd=place, env=variables)
    finally:
        if hub := LocalHub.running(place / ".pathshala"):
            hub.stop()

    executed = json.loads((tmp_path / "out.ipynb").read_text(encoding="utf-8"))
    shown = json.dumps([cell.get("outputs") for cell in executed["cells"]], ensure_ascii=False)
    assert re.search(r"✓ local Hub: http://127\.0\.0\.1:\d+ · তুমি: student", shown)
    assert "{'label': 'POSITIVE'" in shown
    assert "the foreign utils" not in shown
    assert notebook.read_bytes() == CHAPTER.read_bytes()
    assert "pathshala" in run(uv, "pip", "list", "--python", colab)
