"""Writes the repo's README.md from `card.md` and the figures measured in the same run."""

from pathlib import Path
from string import Template

from .lexicon import HERE, written_sentences

BANGLA_DIGITS = str.maketrans("0123456789", "০১২৩৪৫৬৭৮৯")


def lakh(number: int) -> str:
    """Return the number in Bangla digits with Bangla grouping: 572530 gives ৫,৭২,৫৩০."""
    head, tail = divmod(number, 1000)
    text = f"{tail:03d}" if head else str(tail)
    while head:
        head, pair = divmod(head, 100)
        text = f"{pair:02d},{text}" if head else f"{pair},{text}"
    return text.translate(BANGLA_DIGITS)


def write(
    repo: Path,
    measured: dict[str, tuple[float, float]],
    test: list[tuple[str, int, bool]],
    parameters: int,
    sentences: int,
    minutes: float,
) -> None:
    """Render the card. `measured` is {classifier: (accuracy on all of test, accuracy on its negation)}."""
    weights = (repo / "model.safetensors").stat().st_size
    by_hand = sum(len(written_sentences(name)) for name in ("positive", "negative"))
    negated = sum(row[2] for row in test)
    values = {
        "parameters": f"{parameters:,}",
        "parameters_bn": lakh(parameters),
        "weights_mb": f"{weights / 1e6:.1f}",
        "sentences": f"{sentences:,}",
        "sentences_bn": lakh(sentences),
        "by_hand": f"{by_hand:,}",
        "by_hand_bn": lakh(by_hand),
        "test": len(test),
        "test_bn": lakh(len(test)),
        "negated": negated,
        "negated_bn": lakh(negated),
        "minutes": f"{minutes:.0f}",
        "minutes_bn": lakh(round(minutes)),
    }
    for name, key in (("miniature", "own"), ("words", "words"), ("words and pairs", "pairs")):
        overall, on_negation = measured[name]
        values |= {
            f"{key}_all": f"{overall:.4f}",
            f"{key}_neg": f"{on_negation:.4f}",
            f"{key}_all_bn": lakh(round(overall * len(test))),
            f"{key}_neg_bn": lakh(round(on_negation * negated)),
        }
    template = Template((HERE / "card.md").read_text(encoding="utf-8"))
    (repo / "README.md").write_text(template.substitute(values), encoding="utf-8")
