"""The course's address and the cells made from it: `pathshala repo`, and the bootstrap cell run where it must work."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import pytest

COURSE = Path(__file__).parents[2]
BADGE, BOOTSTRAP, OTHER = (
    {"cell_type": "markdown", "id": "badge-1", "metadata": {"tags": ["badge"]}, "source": ["পুরোনো"]},
    {
        "cell_type": "code",
        "execution_count": None,
        "id": "boot-1",
        "metadata": {"tags": ["bootstrap"]},
        "outputs": [],
        "source": [],
    },
    {"cell_type": "markdown", "id": "z-9", "metadata": {}, "source": "github.com/old/old থাকুক"},
)


def repo(course: Path, *arguments: str) -> subprocess.CompletedProcess:
    """`pathshala repo` of the course in that folder."""
    command = [sys.executable, "-c", "from utils.cli import app; app()", "repo", *arguments]
    return subprocess.run(command, cwd=course, capture_output=True, text=True, encoding="utf-8")


BULKY = shutil.ignore_patterns("models", "datasets", "__pycache__")


@pytest.fixture(scope="module")
def course(tmp_path_factory) -> Path:
    """A course of three notebooks, as three editors would save them, moved to another address once."""
    folder = tmp_path_factory.mktemp("course")
    shutil.copytree(COURSE / "utils", folder / "utils", ignore=BULKY)
    for name in ("pyproject.toml", "LICENSE", "LICENSE-text"):
        shutil.copy(COURSE / name, folder)
    (folder / "README.md").write_text("# ক\n\n<!-- address -->পুরোনো<!-- /address -->\n\nশেষ\n", encoding="utf-8")
    notebook = {"metadata": {}, "cells": [BADGE, BOOTSTRAP, OTHER], "nbformat_minor": 5, "nbformat": 4}
    for path, text in {
        "chapters/01_one.ipynb": json.dumps(notebook, indent=1, ensure_ascii=False) + "\n",
        "solutions/01_one/01_one.ipynb": json.dumps(notebook, indent=4, ensure_ascii=False),
        "exercises/01_one/01_one.ipynb": json.dumps(notebook, indent=1, ensure_ascii=False).replace("\n", "\r\n"),
        "chapters/.ipynb_checkpoints/01_one-checkpoint.ipynb": "{}",
    }.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(text.encode())
    process = repo(folder, "khulna-college/pathshala.bn")
    assert process.returncode == 0, process.stderr
    assert process.stdout.startswith("khulna-college/pathshala.bn\n")
    assert process.stdout.count("বদলেছে:") == 5
    return folder


def test_the_course_itself_is_in_step(tmp_path):
    """Who edits a badge or a bootstrap cell by hand, or changes the address, runs `pathshala repo`."""
    for name in ("utils", "chapters", "exercises", "solutions"):
        shutil.copytree(COURSE / name, tmp_path / name, ignore=BULKY)
    for name in ("pyproject.toml", "README.md"):
        shutil.copy(COURSE / name, tmp_path)
    assert "বদলেছে" not in repo(tmp_path).stdout


@pytest.fixture(scope="module")
def bootstrap(course) -> str:
    """The cell as a student finds it."""
    cells = json.loads((course / "chapters/01_one.ipynb").read_bytes())["cells"]
    return "".join(cells[1]["source"])


def files(course: Path) -> dict[str, bytes]:
    kept = [*course.rglob("*.ipynb"), course / "README.md", course / "pyproject.toml"]
    return {path.relative_to(course).as_posix(): path.read_bytes() for path in kept}


def test_one_address_everywhere(course):
    colab = "https://colab.research.google.com/github/khulna-college/pathshala.bn/blob/main"
    for path, opened in {
        "chapters/01_one.ipynb": "chapters/01_one.ipynb",
        "exercises/01_one/01_one.ipynb": "exercises/01_one/01_one.ipynb",
        "solutions/01_one/01_one.ipynb": "exercises/01_one/01_one.ipynb",
    }.items():
        badge, bootstrap, other = json.loads((course / path).read_bytes())["cells"]
        picture = "https://colab.research.google.com/assets/colab-badge.svg"
        assert "".join(badge["source"]) == f"[![Colab এ খোলো]({picture})]({colab}/{opened})"
        assert '"git+https://github.com/khulna-college/pathshala.bn"' in "".join(bootstrap["source"])
        assert other == OTHER
    readme = (course / "README.md").read_text(encoding="utf-8")
    assert readme.startswith("# ক\n\n<!-- address -->\n") and readme.endswith("<!-- /address -->\n\nশেষ\n")
    assert "git clone https://github.com/khulna-college/pathshala.bn\ncd pathshala.bn\n" in readme
    assert f"{colab}/chapters/01_one.ipynb" in readme and "পুরোনো" not in readme


def test_a_second_call_changes_nothing(course):
    before = files(course)
    assert repo(course).stdout == "khulna-college/pathshala.bn\n"
    assert files(course) == before


def test_only_the_address_changes_byte_for_byte(course, tmp_path):
    copy = shutil.copytree(course, tmp_path / "course")
    before = files(copy)
    repo(copy, "rajshahi/path")
    restored = {
        name: text.replace(b"rajshahi/path", b"khulna-college/pathshala.bn").replace(b"cd path\n", b"cd pathshala.bn\n")
        for name, text in files(copy).items()
    }
    assert restored == before
    original = json.loads((course / "chapters/01_one.ipynb").read_bytes())
    assert list(original) == ["metadata", "cells", "nbformat_minor", "nbformat"], "the file's own order of keys"
    assert [cell["id"] for cell in original["cells"]] == ["badge-1", "boot-1", "z-9"]
    raw = (course / "exercises/01_one/01_one.ipynb").read_bytes()
    assert raw.count(b"\n") == raw.count(b"\r\n") and not raw.endswith(b"\n")


@pytest.mark.parametrize("wrong", ["pathshala", "https://github.com/a/b", "a/..", 'a/b"', "ক/খ"])
def test_what_is_no_address(course, wrong):
    before = files(course)
    process = repo(course, "--", wrong)
    assert process.returncode == 2 and "OWNER/NAME" in process.stderr and "Traceback" not in process.stderr
    assert files(course) == before


def python(code: str, cwd: Path, *path: Path, options: tuple[str, ...] = ()) -> str:
    """What a fresh Python prints that works in `cwd` and finds `path` before its own packages."""
    command = [sys.executable, *options, "-c", code]
    environment = {"PYTHONPATH": ":".join(map(str, path)), "PATH": ""}
    process = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=60)
    assert process.returncode == 0, process.stderr
    return process.stdout


def test_short_and_quick(bootstrap, tmp_path):
    """As in a kernel, which has importlib.metadata loaded; processor time, since other work slows the wall clock."""
    assert len(bootstrap.splitlines()) <= 15
    clock = "import importlib.metadata, time; begin = time.process_time()\n"
    assert float(python(f"{clock}{bootstrap}\nprint(time.process_time() - begin)", tmp_path)) < 0.1


@pytest.mark.parametrize("first", ["", "import utils"])
@pytest.mark.parametrize("foreign", ["utils.py", "utils/__init__.py", "utils/notebook.py"])
def test_a_foreign_utils_gives_way(bootstrap, tmp_path, foreign, first):
    (tmp_path / foreign).parent.mkdir(exist_ok=True)
    (tmp_path / foreign).write_text("foreign = True")
    code = f"{first}\n{bootstrap}\nimport utils, utils.notebook; print(utils.__file__, utils.notebook.__file__)"
    found = python(code, tmp_path).split()
    assert [Path(file) for file in found] == [COURSE / "utils/__init__.py", COURSE / "utils/notebook/__init__.py"]


def test_a_foreign_utils_gives_way_with_all_its_modules(bootstrap, tmp_path):
    (tmp_path / "utils").mkdir()
    for name in ("__init__.py", "notebook.py", "own.py"):
        (tmp_path / "utils" / name).touch()
    code = f"import utils.notebook, utils.own\n{bootstrap}\nimport utils.notebook, sys\n"
    code += "print(utils.notebook.__file__, 'utils.own' in sys.modules)"
    assert python(code, tmp_path).split() == [str(COURSE / "utils/notebook/__init__.py"), "False"]


def test_ours_keeps_its_state_when_the_cell_runs_again(bootstrap, tmp_path):
    (tmp_path / "utils.py").touch()
    code = f"{bootstrap}\nimport utils, utils.course.tree as tree; utils.state = tree\n{bootstrap}\nimport utils\n"
    code += "import utils.course.tree; print(utils.state is utils.course.tree)\n"
    code += f"import sys; print(sys.path.count({str(COURSE)!r}))"
    assert python(code, tmp_path).split() == ["True", "1"]


def test_an_ordinary_install(bootstrap, course, tmp_path):
    """As pip makes it: `utils` lies in site-packages, no link to a source tree."""
    site = tmp_path / "site packages"
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps", "--no-build-isolation"]
    subprocess.run([*pip, "--target", site, course], check=True, capture_output=True)
    (tmp_path / "utils.py").touch()
    code = f"import utils\n{bootstrap}\nimport utils.course; print(utils.__file__)"
    assert Path(python(code, tmp_path, site).strip()) == site / "utils/__init__.py"


def test_where_the_course_is_missing_pip_brings_it(bootstrap, tmp_path):
    """The course is not to be seen (-S: no site-packages), and a stand-in for pip notes what is asked of it."""
    (tmp_path / "pip").mkdir()
    (tmp_path / "pip/__init__.py").touch()
    (tmp_path / "utils.py").write_text("foreign = True")
    pip = """
        import pathlib, sys
        site = pathlib.Path(__file__).parents[1] / "site"
        (site / "utils").mkdir(parents=True)
        (site / "utils/__init__.py").touch()
        (site / "pathshala-1.dist-info").mkdir()
        (site / "pathshala-1.dist-info/METADATA").write_text("Metadata-Version: 2.1\\nName: pathshala\\nVersion: 1\\n")
        (site / "asked").write_text(" ".join(sys.argv[1:]))
        """
    (tmp_path / "pip/__main__.py").write_text(dedent(pip))
    (tmp_path / "site").mkdir()
    code = f"import utils\n{bootstrap}\nimport utils; print(utils.__file__)"
    found = python(code, tmp_path, tmp_path, tmp_path / "site", options=("-S",))
    assert found.strip() == str(tmp_path / "site/utils/__init__.py")
    asked = (tmp_path / "site/asked").read_text()
    assert asked == "install -q git+https://github.com/khulna-college/pathshala.bn"
