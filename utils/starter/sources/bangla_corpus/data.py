"""The pieces of the Bangla corpus, read from the plain text they were written in, and the split each belongs to."""

import random
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
SPLITS = ("train", "validation", "test")
SEED = 5
HELD_OUT = 0.06  # of each topic's pieces, for validation and for test each


@dataclass(frozen=True)
class Piece:
    """One piece of prose: its title, its paragraphs a line each, and its file's topic."""

    title: str
    text: str
    topic: str


def pieces(path: Path) -> list[Piece]:
    """The pieces of a file "03_life.txt": a line "# title", paragraphs a line each, an empty line between pieces."""
    topic = path.stem.partition("_")[2]
    found = []
    for block in path.read_text(encoding="utf-8").strip().split("\n\n"):
        title, text = block.strip().split("\n", 1)
        found.append(Piece(title.removeprefix("# "), text, topic))
    return found


def splits() -> dict[str, list[Piece]]:
    """{split: its pieces}: whole pieces, the same share of each topic, the same ones on every run."""
    found: dict[str, list[Piece]] = {split: [] for split in SPLITS}
    for path in sorted(HERE.glob("0*.txt")):
        own = pieces(path)
        random.Random(f"{SEED} {path.stem}").shuffle(own)
        held = round(HELD_OUT * len(own))
        found["test"] += own[:held]
        found["validation"] += own[held : 2 * held]
        found["train"] += own[2 * held :]
    return found
