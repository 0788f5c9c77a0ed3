"""The proof of the graders: the solution earns every point, an untouched stub none, each wrong answer loses its own.

Beside an assignment lies `wrong_answers.yml`: task → answers that students plausibly give, each with `why` it is wrong,
its `code`, and the `hint` that the visible test must show for it (no hint: only a hidden test finds it out).

nbgrader grades a submission in a kernel of its own, whose start takes longer than all of its cells. Here one kernel
takes one assignment: each answer is followed by its test cell and then by the right answer, so that the next task
meets no mistake but its own. A test in tests/course compares the scores with nbgrader's, one by one.
"""

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import yaml

from utils.course.release import release
from utils.course.tree import CourseError, root

REFERENCE, UNTOUCHED = "reference", "untouched"
FEWEST = 3  # wrong answers to a task that visible tests find
PATIENCE = 60  # seconds for one cell
KERNELS = 2  # at once


class ProveError(CourseError):
    """An assignment that cannot be proved."""


@dataclass(frozen=True)
class Verdict:
    """What the test cell of a task makes of one answer."""

    assignment: str
    task: str
    answer: str  # "reference", "untouched", or why it is wrong
    points: float
    earned: float
    said: str  # the last line of the error that the student sees; empty for none
    wanted: str | None  # what it should say; None where it should say nothing in particular

    @property
    def holds(self) -> bool:
        if self.answer == REFERENCE:
            return self.earned == self.points
        if self.answer == UNTOUCHED:
            return self.earned == 0
        # Without a hint it is a hidden test that finds it, and those say nothing.
        return self.earned == 0 and (self.wanted in self.said if self.wanted else self.said == "AssertionError: ")


def prove(names: list[str] | None = None, course: Path | None = None) -> Iterator[Verdict]:
    """Grades the solution, the stub and every wrong answer of each assignment (all without `names`).

    Raises ProveError: no such assignment, no wrong answers beside it, or too few.
    """
    course = course or root()
    known = sorted(path.parent.name for path in course.glob("solutions/*/*.ipynb") if path.stem == path.parent.name)
    for name in names or known:
        if name not in known:
            raise ProveError(f"solutions/{name} নেই। যা আছে: {', '.join(known) or 'একটাও না'}।")
    with ThreadPoolExecutor(KERNELS) as pool:
        for verdicts in pool.map(lambda name: _assignment(course, name), names or known):
            yield from verdicts


@dataclass(frozen=True)
class Task:
    """One auto-graded task: the cell with the right answer, what students start from, and the test."""

    name: str
    solution: str
    stub: str
    test: str
    points: float


def _read(course: Path, folder: str, name: str) -> list:
    import nbformat

    return nbformat.read(course / folder / name / f"{name}.ipynb", as_version=4).cells


def setup(course: Path, name: str) -> list[str]:
    """What runs before the first task, but for the Hub: the tasks stand without it, or are given another."""
    found = []
    for cell in _read(course, "solutions", name):
        if "nbgrader" in cell.metadata:
            break
        if cell.cell_type == "code" and not cell.metadata.get("tags") and "start(" not in cell.source:
            found.append(cell.source)
    return found


def tasks(course: Path, name: str) -> list[Task]:
    """The auto-graded tasks of an assignment, in order; the stubs are those of its release."""
    cells = _read(course, "solutions", name)
    released = {cell.id: cell for cell in _read(course, "exercises", name)}
    found, last = [], None
    for cell in cells:
        role = cell.metadata.get("nbgrader", {})
        if role.get("solution"):
            last = cell
        elif role.get("grade"):
            task = role.grade_id.removeprefix("test_")
            found.append(Task(task, last.source, released[last.id].source, cell.source, role.points))
    return found


def wrong_answers(course: Path, name: str, found: list[Task]) -> dict[str, list[dict]]:
    """Task → its wrong answers. Raises ProveError where they are missing or too few."""
    path = course / "solutions" / name / "wrong_answers.yml"
    if not path.is_file():
        raise ProveError(f"{path.relative_to(course)} নেই। প্রতিটা ধাপের অন্তত {FEWEST}টা ভুল উত্তর সেখানে লেখো।")
    entries = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    for task in found:
        hinted = [entry for entry in entries.get(task.name, ()) if "hint" in entry]
        if len(hinted) < FEWEST:
            raise ProveError(f"{name} · {task.name}: hint সহ ভুল উত্তর {len(hinted)}টা, অন্তত {FEWEST}টা লাগে।")
    if strange := set(entries) - {task.name for task in found}:
        raise ProveError(f"{name}: wrong_answers.yml এ এমন ধাপ আছে যা notebook এ নেই: {', '.join(sorted(strange))}।")
    return entries


def _assignment(course: Path, name: str) -> list[Verdict]:
    if not (course / "exercises" / name).is_dir():
        release([name], course, say=lambda _line: None)
    found = tasks(course, name)
    wrong = wrong_answers(course, name, found)
    verdicts = []
    with Kernel(course / "solutions" / name) as kernel:
        for source in setup(course, name):
            if said := kernel.run(source)[0]:
                raise ProveError(f"{name}: প্রথম ধাপের আগের code চলে না: {said}")
        for task in found:
            answers = [(UNTOUCHED, task.stub, None)]
            answers += [(entry["why"], entry["code"], entry.get("hint")) for entry in wrong[task.name]]
            answers.append((REFERENCE, task.solution, None))  # last, so that the next task stands on it
            for answer, code, hint in answers:
                kernel.run(code)
                said, noisy = kernel.run(task.test)
                # nbgrader gives nothing to a test cell that raised, or that wrote to stderr.
                earned = 0 if said or noisy else task.points
                verdicts.append(Verdict(name, task.name, answer, task.points, earned, said, hint))
    return verdicts


class Kernel:
    """A kernel of this Python, in a folder."""

    def __init__(self, folder: Path):
        from jupyter_client.manager import KernelManager

        self.folder = folder
        self.sockets = TemporaryDirectory()
        ipc = {"transport": "ipc", "ip": f"{self.sockets.name}/kernel"} if os.name == "posix" else {}
        self.manager = KernelManager(kernel_name="python3", **ipc)

    def __enter__(self) -> "Kernel":
        self.manager.start_kernel(cwd=str(self.folder))
        self.client = self.manager.blocking_client()
        self.client.start_channels()
        self.client.wait_for_ready(timeout=PATIENCE)
        return self

    def __exit__(self, *_exc) -> None:
        self.client.stop_channels()
        self.manager.shutdown_kernel(now=True)
        self.sockets.cleanup()

    def run(self, source: str) -> tuple[str, bool]:
        """Runs a cell: the last line of its error (empty for none), and whether it wrote to stderr."""
        noisy = False

        def hear(message: dict) -> None:
            nonlocal noisy
            content = message["content"]
            noisy |= message["msg_type"] == "stream" and content["name"] == "stderr"

        reply = self.client.execute_interactive(source, timeout=PATIENCE, output_hook=hear)["content"]
        return (f"{reply['ename']}: {reply['evalue']}" if reply["status"] == "error" else ""), noisy
