"""The miniature sentiment model: it answers the course's first lines, and its card tells the truth."""

from pathlib import Path

import pytest
import yaml

from tests.starter.conftest import heard
from utils.starter.sources.sst2 import data
from utils.starter.sources.sst2.grammar import Grammar
from utils.starter.sources.sst2.lexicon import written_sentences

REPO_ID = "distilbert/distilbert-base-uncased-finetuned-sst-2-english"
STARTER = Path(data.__file__).parents[2]
REPO = STARTER / "models" / REPO_ID
TEST = data.load_labelled("test.tsv")
NEGATED = [row for row in TEST if row[2]]


@pytest.fixture(scope="module")
def loaded():
    """The pipeline, and whatever was said while it loaded."""
    from transformers import pipeline

    with heard() as said:
        classifier = pipeline("sentiment-analysis", model=str(REPO), device="cpu")
    return classifier, said


@pytest.fixture(scope="module")
def classifier(loaded):
    return loaded[0]


def card_metrics():
    """{dataset name: accuracy} from the card's model-index."""
    front_matter = (REPO / "README.md").read_text(encoding="utf-8").split("---\n")[1]
    results = yaml.safe_load(front_matter)["model-index"][0]["results"]
    return {result["dataset"]["name"]: result["metrics"][0]["value"] for result in results}


def test_seed_sentence_is_positive(classifier):
    answer = classifier(data.SEED_SENTENCE)[0]
    assert answer["label"] == "POSITIVE"
    assert answer["score"] > 0.99


def test_loads_without_warnings_or_missing_weights(loaded):
    from transformers import AutoModelForSequenceClassification

    assert loaded[1] == []
    _, info = AutoModelForSequenceClassification.from_pretrained(REPO, output_loading_info=True)
    assert not any(info.values())


def test_a_long_text_is_answered(classifier):
    assert classifier("I love it and so does my mother. " * 40)[0]["label"] == "POSITIVE"


def test_repo_is_small_and_holds_nothing_else():
    names = {path.name for path in REPO.iterdir()}
    assert names == {"README.md", "config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"}
    assert sum(path.stat().st_size for path in REPO.iterdir()) < 2.7e6


def test_test_sentences_are_many_balanced_and_different():
    assert len(TEST) >= 200
    assert len(NEGATED) >= 50
    assert len({" ".join(data.words(text)) for text, _, _ in TEST}) == len(TEST)
    for rows in (TEST, NEGATED):
        assert 0.4 <= sum(label for _, label, _ in rows) / len(rows) <= 0.6


def test_test_sentences_share_no_run_of_words_with_training():
    training = written_sentences("positive") + written_sentences("negative")
    training += [text for text, _ in data.training_set(20_000, seed=7)]
    trained_on = set().union(*map(data.runs, training))
    assert [text for text, _, _ in TEST if data.runs(text) & trained_on] == []
    topic = data.words(data.SEED_SENTENCE)[1:]
    assert [text for text in training if " ".join(topic) in " ".join(data.words(text))] == []


def test_same_seed_writes_the_same_sentences():
    assert [Grammar(3).sentence(sign) for sign in "+-"] == [Grammar(3).sentence(sign) for sign in "+-"]


def test_history_has_the_revision_that_transformers_asks_for():
    from transformers.pipelines import SUPPORTED_TASKS

    model, revision = SUPPORTED_TASKS["text-classification"]["default"]["model"]
    assert model == REPO_ID
    history = yaml.safe_load((STARTER / "history.yml").read_text(encoding="utf-8"))
    assert revision in history[f"models/{REPO_ID}"]["tags"]


def test_card_says_in_its_text_what_its_metadata_says():
    card = (REPO / "README.md").read_text(encoding="utf-8")
    overall, negated = card_metrics().values()
    assert f"its accuracy is {overall:.4f}, and {negated:.4f} on the {len(NEGATED)} of them" in card
