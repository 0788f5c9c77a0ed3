"""Writes the repo's README.md from `card.md` and the figures measured in the same run."""

from pathlib import Path
from string import Template

from utils.starter.sources.common.cards import bangla

from .lexicon import HERE, written_sentences


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
        "parameters_bn": bangla(parameters),
        "weights_mb": f"{weights / 1e6:.1f}",
        "sentences": f"{sentences:,}",
        "sentences_bn": bangla(sentences),
        "by_hand": f"{by_hand:,}",
        "by_hand_bn": bangla(by_hand),
        "test": len(test),
        "test_bn": bangla(len(test)),
        "negated": negated,
        "negated_bn": bangla(negated),
        "minutes": f"{minutes:.0f}",
        "minutes_bn": bangla(round(minutes)),
    }
    for name, key in (("miniature", "own"), ("words", "words"), ("words and pairs", "pairs")):
        overall, on_negation = measured[name]
        values |= {
            f"{key}_all": f"{overall:.4f}",
            f"{key}_neg": f"{on_negation:.4f}",
            f"{key}_all_bn": bangla(round(overall * len(test))),
            f"{key}_neg_bn": bangla(round(on_negation * negated)),
        }
    template = Template((HERE / "card.md").read_text(encoding="utf-8"))
    (repo / "README.md").write_text(template.substitute(values), encoding="utf-8")
