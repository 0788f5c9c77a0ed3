"""Draws the dataset of Bangla digits, writes it as parquet, counts what is there and writes its card."""

from pathlib import Path

import numpy as np
from datasets import ClassLabel, Dataset, Features, Image, Value, load_dataset
from PIL import Image as Pictures

from utils.starter.sources.common import cards

from .drawing import DIGITS, Drawer, Picture
from .fonts import FAMILIES, fetched

REPO = "datasets/pathshala/bangla-digits"
FEATURES = Features({"image": Image(), "label": ClassLabel(names=list(DIGITS)), "font": Value("string")})
SIZES = {"train": 800, "validation": 100, "test": 400}
SEEDS = {"train": 1, "validation": 2, "test": 3}


def drawn(split: str, count: int, seed: int) -> list[Picture]:
    """`count` pictures in the fonts of a split, each digit as often as any other. Raises fonts.Missing."""
    with fetched(split) as files:
        draw = Drawer(files, seed)
        return [draw(number % len(DIGITS)) for number in range(count)]


def shipped(folder: Path = cards.STARTER / REPO) -> dict[str, list[dict]]:
    """The rows of each split as they are shipped: image (a PIL image), label (0 to 9), font."""
    files = {split: str(folder / "data" / f"{split}-*.parquet") for split in SIZES}
    return {split: list(rows) for split, rows in load_dataset("parquet", data_files=files).items()}


def spread(pixels: np.ndarray, labels: np.ndarray) -> float:
    """The mean distance between two pictures of one digit, averaged over the digits.

    Args:
        pixels: count × anything, 0 to 1; the distance is the root of the mean squared difference of two pictures.
        labels: count, 0 to 9.
    """
    means = []
    for digit in np.unique(labels):
        own = pixels[labels == digit].reshape(np.sum(labels == digit), -1)
        distances = [np.sqrt(np.mean((own[i + 1 :] - own[i]) ** 2, axis=1)) for i in range(len(own) - 1)]
        means.append(np.concatenate(distances).mean())
    return float(np.mean(means))


def measure(folder: Path = cards.STARTER / REPO) -> dict[str, float]:
    """Counts of the shipped data, and how far apart two pictures of one digit lie in the training split."""
    rows = shipped(folder)
    fonts = {split: {row["font"] for row in found} for split, found in rows.items()}
    pictures = [row["image"].tobytes() for found in rows.values() for row in found]
    return {
        "rows": len(pictures),
        "families": len(set().union(*fonts.values())),
        "families_in_two_splits": sum(map(len, fonts.values())) - len(set().union(*fonts.values())),
        "pictures_twice": len(pictures) - len(set(pictures)),
        "spread_within_digit": spread(
            np.stack([np.asarray(row["image"]) for row in rows["train"]]) / 255,
            np.array([row["label"] for row in rows["train"]]),
        ),
    }


def build() -> None:
    """Draws, writes the parquet files, measures what was written and writes the card."""
    with cards.written(REPO) as folder:
        (folder / "data").mkdir()
        for split, count in SIZES.items():
            rows = [
                {"image": Pictures.fromarray(one.pixels), "label": one.digit, "font": one.font}
                for one in drawn(split, count, SEEDS[split])
            ]
            Dataset.from_list(rows, features=FEATURES).to_parquet(folder / "data" / f"{split}-00000-of-00001.parquet")
        figures = measure(folder)
        tables = {f"fonts_{split}": table(split) for split in SIZES}
        card = cards.render(Path(__file__).with_name("card.md"), figures | SIZES | tables)
        (folder / "README.md").write_text(card, encoding="utf-8")
    print(*(f"{name:24} {value:.4f}" for name, value in figures.items()), sep="\n")


def table(split: str) -> str:
    """The families of a split with their licences, as the card lists them."""
    return ", ".join(f"{family.name} ({family.licence})" for family in FAMILIES if family.split == split)
