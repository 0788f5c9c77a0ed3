"""A repo's card: rendered from `card.md` with the measured figures, and those figures read back from it."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from string import Template
from tempfile import TemporaryDirectory

import yaml

STARTER = Path(__file__).parents[2]
BANGLA_DIGITS = str.maketrans("0123456789", "০১২৩৪৫৬৭৮৯")


def bangla(number: int | float | str) -> str:
    """A number in Bangla digits, whole ones with Bangla grouping: 572530 gives ৫,৭২,৫৩০ and "0.85" gives ০.৮৫."""
    if not isinstance(number, int):
        return str(number).translate(BANGLA_DIGITS)
    head, tail = divmod(number, 1000)
    text = f"{tail:03d}" if head else str(tail)
    while head:
        head, pair = divmod(head, 100)
        text = f"{pair:02d},{text}" if head else f"{pair},{text}"
    return text.translate(BANGLA_DIGITS)


def render(template: Path, values: Mapping[str, int | float | str]) -> str:
    """The card with each `$name` filled in; every `name` also comes as `name_bn`, in Bangla digits.

    Floats are written with four digits. Raises KeyError for a figure that `values` does not hold.
    """
    shown = {name: f"{value:.4f}" if isinstance(value, float) else value for name, value in values.items()}
    shown |= {f"{name}_bn": bangla(value) for name, value in shown.items()}
    return Template(template.read_text(encoding="utf-8")).substitute(shown)


def metadata(card: str) -> dict:
    """The YAML at the head of a card."""
    return yaml.safe_load(card.split("---\n", 2)[1])


def figures(card: str) -> dict[str, float]:
    """What a card states: its `model-index`, by each metric's name, and its `figures`."""
    head = metadata(card)
    stated = dict(head.get("figures") or {})
    for model in head.get("model-index") or ():
        for result in model["results"]:
            stated |= {metric["name"]: metric["value"] for metric in result["metrics"]}
    return stated


@contextmanager
def written(repo: str) -> Iterator[Path]:
    """A new folder for the files of a starter repo ("models/pathshala/sentiment-bn"), put in its place when whole.

    A Hub that is born meanwhile, or after a Ctrl-C, finds the former one.
    """
    place = STARTER / repo
    place.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=STARTER, prefix=".new-") as temporary:
        folder = Path(temporary, "repo")
        folder.mkdir()
        yield folder
        for path in folder.rglob("*"):  # safetensors writes for its owner's eyes only
            path.chmod(0o755 if path.is_dir() else 0o644)
        if place.exists():
            place.rename(Path(temporary, "former"))
        folder.rename(place)
