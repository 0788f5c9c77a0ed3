"""The course's address on GitHub: written once, in pyproject.toml; every badge and bootstrap cell is made from it."""

import re
import tomllib
from pathlib import Path

from utils.course import cells
from utils.course.tree import CourseError, notebooks, root

# GitHub's own rules for an owner and for a repo's name.
FORM = re.compile(r"[A-Za-z0-9](-?[A-Za-z0-9]){0,38}/(?!\.{1,2}$)[A-Za-z0-9._-]{1,100}")
KEY = re.compile(r'(\[tool\.pathshala\]\s+repository = )"[^"]*"')
README_BLOCK = re.compile(r"<!-- address -->.*?<!-- /address -->", re.DOTALL)

BOOTSTRAP = """\
# course টা না থাকলে (Colab, Kaggle) install হয়। তারপর utils মানে সব সময় এই course এর utils।
import importlib.metadata, os, subprocess, sys
if not list(importlib.metadata.distributions(name="pathshala")):
    subprocess.run([sys.executable, "-m", "pip", "install", "-q", "git+https://github.com/{repository}"], check=True)
    importlib.invalidate_caches()
course = importlib.metadata.distribution("pathshala")
link = [file for file in course.files or [] if file.suffix == ".pth"]
folder = os.path.realpath(link[0].read_text().strip() if link else course.locate_file(""))
sys.path[:] = [folder, *(path for path in sys.path if path != folder)]
ours = os.path.join(folder, "utils", "__init__.py")
loaded = getattr(sys.modules.get("utils"), "__file__", None) or ""
if os.path.realpath(loaded) != ours:
    for name in [name for name in sys.modules if name.split(".")[0] == "utils"]:
        del sys.modules[name]"""


def repository() -> str:
    """The address as OWNER/NAME."""
    return tomllib.loads((root() / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["pathshala"]["repository"]


def badge(notebook: str) -> str:
    """Markdown of the badge that opens a notebook in Colab, named by its path in the repo.

    A solution's badge opens the exercise, which nbgrader makes from it cell by cell.
    """
    path = re.sub("^solutions/", "exercises/", notebook)
    page = f"https://colab.research.google.com/github/{repository()}/blob/main/{path}"
    return f"[![Colab এ খোলো](https://colab.research.google.com/assets/colab-badge.svg)]({page})"


def bootstrap() -> str:
    """Source of the cell that makes `utils` the course's own, on Colab and Kaggle as on a laptop.

    Where the course is not installed the cell installs it. Then it puts the installed course (of an editable install,
    the source tree that its .pth file names) first on sys.path and forgets a foreign `utils`: a folder or file beside
    the notebook, imported or not. Ours stays imported with its state, so the cell can run twice.
    """
    return BOOTSTRAP.format(repository=repository())


def rewrite(new: str | None = None) -> list[str]:
    """Write the badge and bootstrap cells of all notebooks, and README's lines, anew; move to a new address first.

    The cells are known by their tags `badge` and `bootstrap`, README's lines by `<!-- address -->` comments. Nothing
    else in a file changes, and a second call changes nothing.

    Returns:
        the paths of the changed files, relative to the course.

    Raises:
        CourseError: `new` is not of the form OWNER/NAME.
    """
    course = root()
    changed = []
    if new is not None:
        if not FORM.fullmatch(new):
            raise CourseError(f'"{new}" ঠিকানা না। GitHub এর মতো করে লেখো: OWNER/NAME, যেমন pathshala-bn/pathshala।')
        if _substitute(course / "pyproject.toml", KEY, rf'\g<1>"{new}"'):
            changed.append("pyproject.toml")
    for path in (path for folder in ("chapters", "exercises", "solutions") for path in notebooks(course / folder)):
        name = path.relative_to(course).as_posix()
        if cells.edit(path, lambda notebook, name=name: _fill(notebook, name)):
            changed.append(name)
    if _substitute(course / "README.md", README_BLOCK, _readme(course).replace("\\", r"\\")):
        changed.append("README.md")
    return changed


def _fill(notebook: dict, name: str) -> None:
    for cell in cells.tagged(notebook, "badge"):
        cells.set_source(cell, badge(name))
    for cell in cells.tagged(notebook, "bootstrap"):
        cells.set_source(cell, bootstrap())


def _readme(course: Path) -> str:
    """README's badges (the notebooks' last run; the first chapter in Colab) and the lines that clone the course."""
    home = f"https://github.com/{repository()}"
    workflow = f"{home}/actions/workflows/notebooks.yml"
    first = [badge(path.relative_to(course).as_posix()) for path in notebooks(course / "chapters")[:1]]
    badges = "\n".join([f"[![notebook গুলো চলে কি না]({workflow}/badge.svg)]({workflow})", *first])
    return f"""<!-- address -->
{badges}

```bash
git clone {home}
cd {repository().split("/")[1]}
```
<!-- /address -->"""


def _substitute(path: Path, pattern: re.Pattern, replacement: str) -> bool:
    """Replace in a file, its line ends kept; returns whether it changed."""
    text = path.read_bytes().decode()
    new = pattern.sub(replacement, text)
    if new != text:
        path.write_bytes(new.encode())
    return new != text
