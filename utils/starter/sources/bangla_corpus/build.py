"""Writes the Bangla corpus as parquet, a file for each split, measures it and writes its card."""

from collections import Counter
from pathlib import Path

from datasets import Dataset, load_dataset

from utils.starter.sources.common import cards
from utils.starter.sources.common.text import foreign_share

from . import data

REPO = "datasets/pathshala/bangla-corpus"


def measure() -> dict[str, float]:
    """Of the shipped data: pieces, kilobytes of text in UTF-8, and the share of Latin letters."""
    shipped = load_dataset("parquet", data_files=str(cards.STARTER / REPO / "data" / "*.parquet"), split="train")
    texts = list(shipped["text"])
    return {
        "pieces": len(texts),
        "kilobytes": round(sum(len(text.encode()) for text in texts) / 1000),
        "foreign_share": round(foreign_share("\n".join(texts)), 4),
    }


def build() -> None:
    """Writes the three splits, measures what was written and writes its card."""
    splits = data.splits()
    with cards.written(REPO) as folder:
        (folder / "data").mkdir()
        for split, pieces in splits.items():
            rows = [{"text": piece.text, "title": piece.title, "topic": piece.topic} for piece in pieces]
            Dataset.from_list(rows).to_parquet(folder / "data" / f"{split}-00000-of-00001.parquet")
        (folder / "README.md").write_text("", encoding="utf-8")
    figures = measure()
    topics = Counter(piece.topic for pieces in splits.values() for piece in pieces)
    values = figures | {split: len(pieces) for split, pieces in splits.items()} | topics
    words = sum(len(piece.text.split()) for pieces in splits.values() for piece in pieces)
    card = cards.render(Path(__file__).with_name("card.md"), values | {"words": words})
    (cards.STARTER / REPO / "README.md").write_text(card, encoding="utf-8")
    print(figures, dict(topics))
