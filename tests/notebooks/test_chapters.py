"""Every chapter really executes, on the CPU."""

from pathlib import Path

import pytest

CHAPTERS = sorted((Path(__file__).parents[2] / "chapters").glob("*.ipynb"))


def test_there_are_chapters_and_all_of_them_ran(executed):
    assert CHAPTERS
    assert list(executed.rows) == [path.stem for path in CHAPTERS], executed.process.stderr
    assert executed.process.returncode == 0, executed.process.stdout


@pytest.mark.parametrize("chapter", [path.stem for path in CHAPTERS])
def test_chapter_passes(executed, chapter):
    row = executed.rows[chapter]
    assert row["state"] == "ok", row["failure"]
    assert (executed.out / row["html"]).exists()
