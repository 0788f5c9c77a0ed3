"""Quizzes, checks and numbers: what a chapter says to its student."""

import json
import re
from pathlib import Path

import pytest
import yaml

from utils.notebook import bn, check
from utils.notebook.bangla import nfc

QUIZZES = Path(__file__).parents[2] / "utils" / "notebook" / "quizzes"
BANGLA = re.compile("[\u0980-\u09ff]{2}")


def load(file: Path) -> dict[str, dict]:
    return yaml.safe_load(file.read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (0, "০"),
        (999, "৯৯৯"),
        (1000, "১,০০০"),
        (99_999, "৯৯,৯৯৯"),
        (100_000, "১,০০,০০০"),
        (1_234_567, "১২,৩৪,৫৬৭"),
        (67_000_000, "৬,৭০,০০,০০০"),
        (-1_234_567, "-১২,৩৪,৫৬৭"),
        (0.98, "০.৯৮"),
        (1234.5, "১২৩৪.৫"),
        ("2017", "২০১৭"),
        ("22 নভেম্বর 2026", "২২ নভেম্বর ২০২৬"),
        (True, "True"),
        (None, "None"),
    ],
)
def test_numbers_as_bangla_writes_them(value, written):
    assert bn(value) == written


def test_text_is_compared_in_one_form():
    """য় and ড় exist as one code point and as two; they look the same."""
    assert nfc("\u09df") == nfc("\u09af\u09bc") and nfc("\u09dc") == nfc("\u09a1\u09bc")


def test_check_says_what_to_look_at_and_whether_it_was_right(capsys):
    assert check([1], right="ঠিক।", look="আবার দেখো।") is True
    assert check("", right="ঠিক।", look="আবার দেখো।") is False

    assert capsys.readouterr().out == "✓ ঠিক।\n✗ আবার দেখো।\n"


def is_sound(asked: dict) -> bool:
    """One right answer among at least three different ones; question and feedback are in Bangla."""
    answers = asked["answers"]
    texts = {answer["answer"] for answer in answers if isinstance(answer["answer"], str)}
    return (
        asked.keys() == {"question", "answers"}
        and len(texts) == len(answers) >= 3
        and [answer["correct"] for answer in answers if "correct" in answer] == [True]
        and all(answer.keys() - {"correct"} == {"answer", "feedback"} for answer in answers)
        and all(BANGLA.search(text) for text in (asked["question"], *(answer["feedback"] for answer in answers)))
    )


def test_every_question_has_one_right_answer_and_explains_each():
    questions = {(file.stem, name): asked for file in QUIZZES.glob("*.yml") for name, asked in load(file).items()}

    assert questions
    assert [name for name, asked in questions.items() if not is_sound(asked)] == []


def test_every_quiz_that_a_chapter_asks_for_exists_and_every_one_is_asked():
    asked = set()
    for path in (Path(__file__).parents[2] / "chapters").glob("*.ipynb"):
        for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
            asked |= set(re.findall(r'^quiz\("(\w+)", "([^"]+)"\)', "".join(cell["source"]), re.MULTILINE))
    written = {(f.stem, name) for f in QUIZZES.glob("*.yml") for name in load(f)}

    assert asked == written


def test_a_quiz_is_shown_in_the_notebook(kernels, environment, tmp_path):
    """jupyterquiz gets the question and each answer with its feedback, and draws them in the browser."""
    file = sorted(QUIZZES.glob("*.yml"))[0]
    name, asked = next(iter(load(file).items()))
    kernel = kernels(tmp_path, environment())

    printed = kernel.run(f"from utils.notebook import quiz; quiz({file.stem!r}, {name!r})")

    assert printed == ""
    html, script = kernel.displayed
    assert "<div" in html["text/html"]
    questions = json.loads(
        re.search(r"var questions\w* ?= ?(\[.*?\])\s*;", script["application/javascript"], re.DOTALL)[1]
    )
    assert questions == [
        {
            "type": "multiple_choice",
            "question": asked["question"],
            "answers": [{"correct": False} | answer for answer in asked["answers"]],
        }
    ]
