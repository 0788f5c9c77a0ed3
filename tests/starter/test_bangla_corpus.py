"""The Bangla corpus: clean prose, split by whole pieces, and a card that says what is there."""

import pytest
from datasets import load_dataset

from utils.starter.sources.bangla_corpus import build, data
from utils.starter.sources.common import cards
from utils.starter.sources.common.text import check_bangla, foreign_share, near_duplicates

REPO = cards.STARTER / build.REPO


@pytest.fixture(scope="module")
def shipped(tmp_path_factory):
    """{split: its rows}, loaded as a student does it."""
    loaded = load_dataset(str(REPO), cache_dir=str(tmp_path_factory.mktemp("cache")))
    return {split: rows.to_list() for split, rows in loaded.items()}


def test_shipped_rows_are_the_written_pieces(shipped):
    written = {split: [vars(piece) for piece in pieces] for split, pieces in data.splits().items()}
    assert shipped == written


def test_every_piece_is_clean_bangla(shipped):
    rows = [row for rows in shipped.values() for row in rows]
    assert [(row["title"], wrong) for row in rows if (wrong := check_bangla(row["title"] + "\n" + row["text"]))] == []
    assert max(foreign_share(row["text"]) for row in rows) <= 0.15
    assert all(row["text"] == row["text"].strip() and "\n\n" not in row["text"] for row in rows)


def test_every_topic_stands_in_every_split(shipped):
    topics = {split: {row["topic"] for row in rows} for split, rows in shipped.items()}
    assert topics["train"] == topics["validation"] == topics["test"]
    assert len(topics["train"]) == 5


@pytest.mark.slow
def test_no_piece_or_paragraph_is_nearly_one_of_another_split(shipped):
    for one, other in (("test", "train"), ("validation", "train"), ("test", "validation")):
        pieces, paragraphs = (
            [[part for row in shipped[split] for part in cut(row["text"])] for split in (one, other)]
            for cut in (lambda text: [text], lambda text: [line for line in text.split("\n") if len(line) > 40])
        )
        assert near_duplicates(*pieces) == []
        assert near_duplicates(*paragraphs) == []
