"""Release exercises: the students' copy of each assignment in `solutions/`, made by nbgrader itself."""

import shutil
from collections.abc import Callable, Iterable
from pathlib import Path
from tempfile import TemporaryDirectory

from utils.course.tree import CourseError, notebooks, root


class ReleaseError(CourseError):
    """An assignment that cannot be released."""


def release(
    names: Iterable[str] | None = None, course: Path | None = None, say: Callable[[str], None] = print
) -> list[Path]:
    """Write `exercises/NAME/` from `solutions/NAME/`, for each name or for every assignment. Returns the new folders.

    What stood in `exercises/NAME/` is replaced as a whole, and only after nbgrader has succeeded. `say` hears of each.

    Raises:
        ReleaseError: there is no such assignment, or nbgrader could not make it.
    """
    course = course or root()
    known = sorted(path.name for path in course.glob("solutions/[!.]*/"))
    wanted = list(names or known)
    for name in wanted:
        if name not in known:
            raise ReleaseError(f"solutions/{name} নেই। যা আছে: {', '.join(known) or 'একটাও না'}।")
        if not (course / "solutions" / name / f"{name}.ipynb").is_file():
            raise ReleaseError(f"solutions/{name}/{name}.ipynb নেই। notebook এর নাম তার folder এর নামেই রাখো।")
    released = []
    for name in wanted:
        released.append(_release_one(name, course))
        say(f"exercises/{name} তৈরি।")
    return released


def _release_one(name: str, course: Path) -> Path:
    # Imported here: nbgrader belongs to the "grading" extra and takes four seconds to import.
    from nbgrader.converters import GenerateAssignment
    from nbgrader.coursedir import CourseDirectory
    from nbgrader.utils import capture_log
    from traitlets.config import PyFileConfigLoader

    config = PyFileConfigLoader("nbgrader_config.py", path=str(course)).load_config()
    config.SaveCells.enabled = False
    config.GenerateAssignment.no_database = True
    # nbgrader deletes the old release before it knows whether the new one works, so it gets a course root of its own.
    with TemporaryDirectory() as folder:
        workspace = Path(folder).resolve()
        shutil.copytree(course / "solutions" / name, workspace / "solutions" / name)
        coursedir = CourseDirectory(config=config, root=str(workspace), assignment_id=name)
        result = capture_log(GenerateAssignment(coursedir=coursedir, config=config))
        if not result["success"]:
            raise ReleaseError(
                f"nbgrader solutions/{name} থেকে অনুশীলন বানাতে পারেনি, তাই exercises/{name} বদলায়নি। "
                f"নিচের ERROR লাইনটা পড়ো, notebook ঠিক করে আবার চালাও।\n\n{result.get('log') or result['error']}"
            )
        target = course / "exercises" / name
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(workspace / "exercises" / name, target)
    return target


# What students get of the course: to read, run and solve it, and to make it again on their own computer.
EDITION = ("chapters", "exercises", "utils", "pyproject.toml", "environment.yml", "requirements.txt", "Makefile")
EDITION += ("README.md", "LICENSE", "LICENSE-text")
AUTHORS_ONLY = (".ipynb_checkpoints", "__pycache__", "*.pyc", ".new-*", "gradebook.db")


def student_edition(folder: Path, course: Path | None = None) -> list[str]:
    """Write the course for students into `folder`: no solutions, no hidden tests, no wrong answers.

    The exercises are made anew from solutions/ and looked through before anything is written. Returns what was written.

    Raises:
        ReleaseError: the folder is not empty, or an exercise would give something away.
    """
    course = course or root()
    if folder.exists() and any(folder.iterdir()):
        raise ReleaseError(f"{folder} খালি না। একটা নতুন folder এর নাম দাও, যাতে পুরোনো কিছু থেকে না যায়।")
    release(course=course, say=lambda _line: None)
    for notebook in notebooks(course / "exercises"):
        text = notebook.read_text(encoding="utf-8")
        if leak := next((mark for mark in ("BEGIN SOLUTION", "HIDDEN TESTS") if mark in text), None):
            raise ReleaseError(f"{notebook.relative_to(course)} এ {leak} রয়ে গেছে। solutions/ এর সেই cell টা দেখো।")
    folder.mkdir(parents=True, exist_ok=True)
    ignore = shutil.ignore_patterns(*AUTHORS_ONLY)
    for name in EDITION:
        if (course / name).is_dir():
            shutil.copytree(course / name, folder / name, ignore=ignore)
        else:
            shutil.copy(course / name, folder / name)
    return list(EDITION)
