"""A trained model becomes a starter repo: its files, its figures as they will be met, and its card."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from . import cards

Figures = dict[str, float]


def save(model: PreTrainedModel, folder: Path) -> None:
    """Writes the model with its weights in float16; whoever loads it gets float32, as its config says."""
    model.half().save_pretrained(folder)
    load_as_float32(folder / "config.json")
    model.float()


def load_as_float32(config: Path) -> None:
    """Has a config say float32, whatever its weights are stored in."""
    said = json.loads(config.read_text(encoding="utf-8")) | {"dtype": "float32"}
    config.write_text(json.dumps(said, indent=2) + "\n", encoding="utf-8")


def megabytes(folder: Path) -> str:
    """The weights' size in MB, as the cards give it: of all parts together where a model has several."""
    return f"{sum(path.stat().st_size for path in folder.rglob('*.safetensors')) / 1e6:.1f}"


def ship(
    repo: str,
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    card: Path,
    *,
    minutes: float,
    measure: Callable[[Path], Figures],
    describe: Callable[[Figures], Mapping[str, int | float | str]],
) -> None:
    """Ships a model of transformers with its tokenizer; see `ship_files` for the rest."""

    def write(folder: Path) -> None:
        save(model, folder)
        tokenizer.save_pretrained(folder)

    counts = {"parameters": model.num_parameters(), "vocabulary": len(tokenizer)}
    ship_files(
        repo, write, card, minutes=minutes, measure=measure, describe=lambda found: counts | dict(describe(found))
    )


def ship_files(
    repo: str,
    write: Callable[[Path], None],
    card: Path,
    *,
    minutes: float,
    measure: Callable[[Path], Figures],
    describe: Callable[[Figures], Mapping[str, int | float | str]],
) -> None:
    """Writes the whole repo or nothing, and prints what was measured.

    Args:
        write: writes the model's files into a folder.
        minutes: of CPU time that the training took.
        measure: a folder → the figures of the model in it, loaded as a student loads it.
        describe: the figures → what else the card tells.
    """
    with cards.written(repo) as folder:
        write(folder)
        figures = measure(folder)
        values = figures | {"weights_mb": megabytes(folder), "minutes": max(1, round(minutes))}
        (folder / "README.md").write_text(cards.render(card, values | dict(describe(figures))), encoding="utf-8")
        print(*(f"{name:24} {value:.4f}" for name, value in figures.items()), sep="\n")
        print(f"{minutes:.1f} minutes of CPU, {megabytes(folder)} MB; written as {repo}")
