"""Every assignment, with the real nbgrader: what students get, and what the grader makes of right and wrong answers."""

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from shutil import copy, copytree

import nbformat
import pytest
import yaml
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell
from nbgrader.apps import NbGraderAPI
from nbgrader.validator import Validator
from traitlets.config import Config, PyFileConfigLoader
from typer.testing import CliRunner

from utils.cli import app
from utils.course.prove import REFERENCE, UNTOUCHED, prove
from utils.course.release import release, student_edition
from utils.course.tree import ROOT, CourseError

NAMES = sorted(path.parent.name for path in ROOT.glob("solutions/*/wrong_answers.yml"))
# nbgrader's own queries, under SQLAlchemy 2.
pytestmark = pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SAWarning")


def read(folder: Path, name: str) -> NotebookNode:
    return nbformat.read(folder / name / f"{name}.ipynb", as_version=4)


def contents(folder: Path) -> dict[str, bytes]:
    """The files under `folder`, without what an editor leaves beside them."""
    files = (path for path in folder.rglob("*") if path.is_file() and ".ipynb_checkpoints" not in path.parts)
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


@pytest.fixture
def course(tmp_path: Path) -> Path:
    """A course root of its own, with the real config and solutions."""
    copy(ROOT / "nbgrader_config.py", tmp_path)
    copytree(ROOT / "solutions", tmp_path / "solutions")
    return tmp_path


def test_committed_exercises_are_what_release_makes(course: Path) -> None:
    release(course=course)
    first = contents(course / "exercises")
    assert first == contents(ROOT / "exercises")
    release(course=course)
    assert contents(course / "exercises") == first


def test_release_takes_the_files_beside_but_no_wrong_answers(course: Path, capsys: pytest.CaptureFixture[str]) -> None:
    name = NAMES[0]
    (course / "solutions" / name / "data").mkdir()
    (course / "solutions" / name / "data" / "reviews.txt").write_text("দারুণ", encoding="utf-8")
    (course / "exercises" / name).mkdir(parents=True)
    (course / "exercises" / name / "stale.txt").touch()
    assert release([name], course) == [course / "exercises" / name]
    assert set(contents(course / "exercises" / name)) == {f"{name}.ipynb", "data/reviews.txt"}
    assert capsys.readouterr().out == f"exercises/{name} তৈরি।\n"


def test_release_explains_what_it_cannot_do(course: Path) -> None:
    name = NAMES[0]
    with pytest.raises(CourseError, match=f"solutions/99_none নেই। যা আছে: .*{name}"):
        release(["99_none"], course)
    (course / "solutions" / "empty").mkdir()
    with pytest.raises(CourseError, match="solutions/empty/empty.ipynb নেই"):
        release(["empty"], course)


def test_a_failed_release_leaves_the_old_one(course: Path) -> None:
    name = NAMES[0]
    release([name], course)
    before = contents(course / "exercises")
    path = course / "solutions" / name / f"{name}.ipynb"
    path.write_text(path.read_text(encoding="utf-8").replace("### END SOLUTION", "###"), encoding="utf-8")
    with pytest.raises(CourseError, match="no end solution statement found"):
        release([name], course)
    assert contents(course / "exercises") == before


@pytest.mark.parametrize("name", NAMES)
def test_students_get_no_solution_and_no_hidden_test(name: str) -> None:
    source = {cell.id: cell for cell in read(ROOT / "solutions", name).cells}
    released = {cell.id: cell for cell in read(ROOT / "exercises", name).cells}
    assert list(released) == list(source)
    text = "\n".join(cell.source for cell in released.values())
    for secret in ("BEGIN SOLUTION", "END SOLUTION", "HIDDEN TESTS"):
        assert secret not in text
    for cell_id, cell in source.items():
        role = cell.metadata.get("nbgrader", {})
        if role.get("grade") and not role.get("solution"):
            visible, _, rest = cell.source.partition("### BEGIN HIDDEN TESTS\n")
            hidden, _, after = rest.partition("### END HIDDEN TESTS\n")
            assert hidden, f"{cell_id} tries no other inputs"
            assert released[cell_id].source == visible + after
        if role.get("solution"):
            stub = "raise NotImplementedError" if cell.cell_type == "code" else "এখানে তোমার উত্তর লেখো।"
            assert stub in released[cell_id].source
        assert not released[cell_id].get("outputs")


def test_the_students_edition_gives_nothing_away(tmp_path: Path) -> None:
    edition = tmp_path / "edition"
    done = CliRunner().invoke(app, ["release", "--student", str(edition)])
    assert done.exit_code == 0, done.output
    assert {path.name for path in edition.iterdir()} >= {"chapters", "exercises", "utils", "Makefile", "README.md"}
    assert not (edition / "solutions").exists() and not list(edition.rglob("wrong_answers.yml"))
    assert contents(edition / "exercises") == contents(ROOT / "exercises")
    for path in edition.rglob("*.ipynb"):
        assert "BEGIN SOLUTION" not in path.read_text(encoding="utf-8")
        assert "HIDDEN TESTS" not in path.read_text(encoding="utf-8")
    again = CliRunner().invoke(app, ["release", "--student", str(edition)])
    assert again.exit_code == 2 and "খালি না" in again.output


def test_the_students_edition_runs(tmp_path: Path) -> None:
    """Its own files are enough: the command is run from there, with its `utils` and not ours."""
    student_edition(tmp_path / "edition")
    script = "from utils.course.tree import ROOT, notebooks, root; print(root(), len(notebooks(ROOT / 'chapters')))"
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path / "edition", capture_output=True, text=True)
    chapters = len(list(ROOT.glob("chapters/*.ipynb")))
    assert done.stdout.split() == [str((tmp_path / "edition").resolve()), str(chapters)], done.stderr


@dataclass
class Class:
    """An assignment after autograding: a student who solved it, one who left it as it was, and those who were wrong."""

    name: str
    root: Path
    api: NbGraderAPI
    wrong: dict[str, dict[str, dict[str, str]]]
    """Student → task → the entry of `wrong_answers.yml` handed in for it. What a student has none for is right."""

    def points(self) -> dict[str, float]:
        with self.api.gradebook as gradebook:
            cells = gradebook.find_notebook(self.name, self.name).grade_cells
            return {cell.name: cell.max_score for cell in cells if cell.cell_type == "code"}

    def scores(self, student: str) -> dict[str, float]:
        with self.api.gradebook as gradebook:
            grades = gradebook.find_submission_notebook(self.name, self.name, student).grades
            return {grade.name: grade.auto_score for grade in grades if grade.cell_type == "code"}

    def error(self, student: str, test: str) -> str:
        """The last line of the error that the test cell shows."""
        cells = read(self.root / "autograded" / student, self.name).cells
        outputs = next(cell.outputs for cell in cells if cell.metadata.get("nbgrader", {}).get("grade_id") == test)
        return next(f"{output.ename}: {output.evalue}" for output in outputs if output.output_type == "error")


def submit(root: Path, name: str, student: str, answers: dict[str, str], solution: dict[str, str]) -> None:
    """Hand in the released notebook with these cells answered.

    Only the tasks are handed in: they must stand without the Hub and the model, and that makes grading quick.
    After its test each task is set right, so that the next one meets no mistake but its own.
    """
    notebook = read(root / "exercises", name)
    cells = []
    for cell in notebook.cells:
        if role := cell.metadata.get("nbgrader"):
            cell.source = answers.get(role.grade_id, cell.source)
            cells.append(cell)
            if answers and (right := solution.get(role.grade_id.removeprefix("test_"))) and not role.solution:
                cells.append(new_code_cell(right))
    notebook.cells = cells
    folder = root / "submitted" / student / name
    folder.mkdir(parents=True)
    nbformat.write(notebook, folder / f"{name}.ipynb")


# One assignment is enough to compare: `pathshala prove` tries them all, in seconds.
@pytest.fixture(scope="module", params=[pytest.param(NAMES[0], marks=pytest.mark.slow)])
def graded(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Class]:
    name, root = request.param, tmp_path_factory.mktemp("class")
    copy(ROOT / "nbgrader_config.py", root)
    copytree(ROOT / "solutions" / name, root / "solutions" / name)
    config: Config = PyFileConfigLoader("nbgrader_config.py", path=str(root)).load_config()
    config.CourseDirectory.root = str(root)
    config.Execute.shutdown_kernel = "immediate"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", str(Path(sys.executable).parent), prepend=os.pathsep)  # nbgrader runs alembic from PATH
        api = NbGraderAPI(config=config)
        assert (made := api.generate_assignment(name))["success"], made

        cells = [cell for cell in read(root / "solutions", name).cells if "nbgrader" in cell.metadata]
        solution = {cell.metadata.nbgrader.grade_id: cell.source for cell in cells if cell.metadata.nbgrader.solution}
        submit(root, name, REFERENCE, solution, solution)
        submit(root, name, UNTOUCHED, {}, solution)
        entries = yaml.safe_load((root / "solutions" / name / "wrong_answers.yml").read_text(encoding="utf-8"))
        wrong = {}
        for number in range(max(map(len, entries.values()))):
            student = f"wrong-{number + 1}"
            wrong[student] = {task: answers[number] for task, answers in entries.items() if number < len(answers)}
            codes = {task: entry["code"] for task, entry in wrong[student].items()}
            submit(root, name, student, solution | codes, solution)
        assert (done := api.autograde(name, "*"))["success"], done
        yield Class(name, root, api, wrong)


def test_nbgrader_command_releases_the_same(graded: Class) -> None:
    assert contents(graded.root / "exercises") == {
        path: content for path, content in contents(ROOT / "exercises").items() if path.startswith(f"{graded.name}/")
    }


def test_reference_solution_gets_all_points(graded: Class) -> None:
    assert graded.scores(REFERENCE) == graded.points()


def test_untouched_stub_gets_nothing(graded: Class) -> None:
    assert graded.scores(UNTOUCHED) == dict.fromkeys(graded.points(), 0)
    with graded.api.gradebook as gradebook:
        assert gradebook.find_submission(graded.name, UNTOUCHED).score == 0


def test_prove_scores_as_nbgrader_does(graded: Class) -> None:
    students = {
        (task, entry["why"]): student for student, entries in graded.wrong.items() for task, entry in entries.items()
    }
    verdicts = list(prove([graded.name], graded.root))
    assert len(verdicts) == len(students) + 2 * len(graded.points())
    for verdict in verdicts:
        test, own = f"test_{verdict.task}", verdict.answer in (REFERENCE, UNTOUCHED)
        student = verdict.answer if own else students[verdict.task, verdict.answer]
        assert verdict.earned == graded.scores(student)[test], verdict
        assert own or verdict.said == graded.error(student, test)


def test_each_wrong_answer_loses_its_points_and_meets_its_hint(graded: Class) -> None:
    for student, entries in graded.wrong.items():
        lost = {f"test_{task}": 0 for task in entries}
        assert graded.scores(student) == graded.points() | lost
        for task, entry in entries.items():
            error = graded.error(student, f"test_{task}")
            # Without a hint it was a hidden test that caught it, and those say nothing.
            met = entry["hint"] in error if "hint" in entry else error == "AssertionError: "
            assert met, f"{task}: {entry['why']}: {error}"


def test_feedback_page_shows_the_hints(graded: Class) -> None:
    student, entries = next(iter(graded.wrong.items()))
    assert (made := graded.api.generate_feedback(graded.name, student))["success"], made
    page = graded.root / "feedback" / student / graded.name / f"{graded.name}.html"
    text = page.read_text(encoding="utf-8")
    assert all(entry["hint"] in text for entry in entries.values() if "hint" in entry)


def test_validate_accepts_the_solution_and_refuses_the_stub(graded: Class) -> None:
    def validate(student: str) -> dict:
        path = graded.root / "submitted" / student / graded.name / f"{graded.name}.ipynb"
        return Validator(config=graded.api.config).validate(str(path))

    assert validate(REFERENCE) == {}
    failed = "\n".join(cell["source"] for cell in validate(UNTOUCHED)["failed"])
    assert all(f"{test.removeprefix('test_')}(" in failed for test in graded.points())
