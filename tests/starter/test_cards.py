"""Every card tells the truth: its figures are what the shipped repo measures, and no repo is worse than it was."""

import pytest

from tests.starter.conftest import measured
from utils.starter.build import names, script
from utils.starter.sources.common import cards
from utils.starter.sources.common.text import check_bangla

AT_LEAST = {
    "bangla-corpus": {"kilobytes": 300},
    "bangla-digits": {"rows": 1_200, "families": 15, "spread_within_digit": 0.3},
    "bangla-qa": {"questions": 400},
    "bangla-sentiment": {"rows": 4_000, "hand_written": 600, "mixed_share": 0.1},
    "bert-base-uncased": {"dhaka": 1.0, "held_out_top1": 0.6},
    "chat-bn": {"rules_kept": 0.75},
    "embed-bn": {"nearest_paraphrase": 0.8},
    "ner-bn": {"f1": 0.85, "f1_unseen": 0.75},
    "resnet-bangla-digits": {"accuracy": 0.97},
    "sd-bangla-digits": {"right": 0.95, "variety": 0.5},
    "sentiment-bn": {"accuracy": 0.83},
    "sst2": {"Accuracy": 0.9, "Accuracy on negation": 0.85},
}
AT_MOST = {
    "bangla-corpus": {"foreign_share": 0.15},
    "bangla-digits": {"families_in_two_splits": 0, "pictures_twice": 0},
    "bangla-qa": {"answers_not_in_context": 0, "contexts_in_two_splits": 0, "questions_asked_twice": 0},
    "bangla-sentiment": {"near_duplicates": 0},
}


def card(name: str) -> str:
    return (cards.STARTER / script(name).REPO / "README.md").read_text(encoding="utf-8")


@pytest.mark.slow
@pytest.mark.parametrize("name", names())
def test_it_states_what_is_measured(name):
    found = measured(name)
    assert [figure for figure in found.values() if not figure.holds] == []
    assert found.keys() == cards.figures(card(name)).keys()
    for key, least in AT_LEAST.get(name, {}).items():
        assert found[key].measured >= least, key
    for key, most in AT_MOST.get(name, {}).items():
        assert found[key].measured <= most, key


@pytest.mark.parametrize("name", names())
def test_it_is_filled_in_and_clean(name):
    text = card(name)
    assert "$" not in text
    # Of a table the bars after Bangla words look like dandas of another keyboard.
    assert [line for line in text.splitlines() if "|" not in line and check_bangla(line)] == []
    head = cards.metadata(text)
    assert head["language"] and head["license"] in ("mit", "cc-by-4.0")
    assert "## In English" in text


@pytest.mark.parametrize("name", [name for name in names() if script(name).REPO.startswith("models/")])
def test_it_gives_the_size_of_the_weights_and_what_they_are_for(name):
    weights = (cards.STARTER / script(name).REPO).rglob("*.safetensors")
    text, head = card(name), cards.metadata(card(name))
    assert f"{sum(part.stat().st_size for part in weights) / 1e6:.1f} MB" in text
    assert head["pipeline_tag"] and head["library_name"] and head["tags"]
