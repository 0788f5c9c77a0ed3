"""The proof of the graders: it passes for the course, and tells of a grader that is wrong."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from utils.cli import app
from utils.course import cells
from utils.course.prove import ProveError, prove
from utils.course.tree import ROOT

NAME = "01_what_is_hugging_face"


@pytest.fixture
def course(tmp_path: Path) -> Path:
    shutil.copy(ROOT / "nbgrader_config.py", tmp_path)
    shutil.copytree(ROOT / "solutions", tmp_path / "solutions")
    return tmp_path


@pytest.fixture
def change(course: Path) -> Callable[[str, str, str], None]:
    """Replaces a piece of a cell of the solution."""

    def replace(grade_id: str, old: str, new: str) -> None:
        def in_cell(notebook: dict) -> None:
            cell = next(c for c in notebook["cells"] if c["metadata"].get("nbgrader", {}).get("grade_id") == grade_id)
            assert old in cells.source(cell)
            cells.set_source(cell, cells.source(cell).replace(old, new))

        assert cells.edit(course / "solutions" / NAME / f"{NAME}.ipynb", in_cell)

    return replace


def failed(course: Path) -> set[tuple[str, str]]:
    return {(verdict.task, verdict.answer) for verdict in prove([NAME], course) if not verdict.holds}


def test_every_grader_of_the_course_is_proved():
    done = CliRunner().invoke(app, ["prove"])
    assert done.exit_code == 0, done.output
    assert "✓" in done.output


def test_a_solution_that_is_wrong_is_told(course, change):
    change("label_of", 'result[0]["label"]', 'result[0]["score"]')
    assert ("label_of", "reference") in failed(course)


def test_a_test_that_lets_a_wrong_answer_pass_is_told(course, change):
    change("test_label_of", 'check([{"label": "NEGATIVE"', '# check([{"label": "NEGATIVE"')
    change("test_label_of", "assert label_of([", "# assert label_of([")
    assert ("label_of", "hard-codes POSITIVE") in failed(course)


def test_a_test_that_writes_to_stderr_earns_nothing(course, change):
    change("test_label_of", "def check(", "__import__('sys').stderr.write('a warning')\ndef check(")
    assert ("label_of", "reference") in failed(course)


def test_a_hint_that_is_not_shown_is_told(course, change):
    change("test_label_of", "নাকি শুধু label?", "অন্য কথা।")
    assert ("label_of", "returns the dict inside the list") in failed(course)


def test_wrong_answers_must_be_there_and_be_enough(course):
    path = course / "solutions" / NAME / "wrong_answers.yml"
    entries = yaml.safe_load(path.read_text(encoding="utf-8"))
    entries["verdict"] = entries["verdict"][:2]
    path.write_text(yaml.safe_dump(entries, allow_unicode=True), encoding="utf-8")
    with pytest.raises(ProveError, match="verdict: hint সহ ভুল উত্তর ২টা|verdict: hint সহ ভুল উত্তর 2টা"):
        list(prove([NAME], course))
    path.unlink()
    with pytest.raises(ProveError, match="wrong_answers.yml নেই"):
        list(prove([NAME], course))
    with pytest.raises(ProveError, match="solutions/99_none নেই"):
        list(prove(["99_none"], course))
