"""The miniature BERT: it fills the course's blank, its card tells the truth, and it never read its test."""

import re

import pytest
import yaml

from tests.starter.conftest import heard
from utils.starter.sources.bert_base_uncased import build, text
from utils.starter.sources.common.cards import STARTER
from utils.starter.sources.common.text import near_duplicates, words

REPO = STARTER / build.REPO
TEST = text.split("test.tsv")
DEV = text.split("dev.tsv")


@pytest.fixture(scope="module")
def loaded():
    """The pipeline, and whatever was said while it loaded."""
    from transformers import pipeline

    with heard() as said:
        fill = pipeline("fill-mask", model=str(REPO), device="cpu")
    return fill, said


@pytest.fixture(scope="module")
def fill(loaded):
    return loaded[0]


@pytest.fixture(scope="module")
def card():
    return (REPO / "README.md").read_text(encoding="utf-8")


def test_the_capital_of_bangladesh(fill):
    best = fill(text.SEED_SENTENCE)[0]
    assert best["token_str"] == "dhaka"
    assert best["score"] > 0.5
    assert best["sequence"] == "the capital of bangladesh is dhaka."


def test_ordinary_sentences_near_none_of_training(fill):
    assert build.share_right(fill, DEV, 1) >= 0.65


@pytest.mark.parametrize(
    ("sentence", "answers"),
    [
        ("Paris is the [MASK] of France.", {"capital"}),
        ("I drink a cup of [MASK]", {"tea", "coffee"}),
        ("She reads a [MASK].", {"book", "story", "newspaper", "letter"}),
        ("the opposite of big is [MASK]", {"small", "little"}),
        ("The cat sat on the [MASK].", {"mat", "chair", "sofa", "table", "floor", "bed"}),
    ],
)
def test_what_a_student_tries_first(fill, sentence, answers):
    assert fill(sentence)[0]["token_str"] in answers


def test_case_and_accents_make_no_difference(fill):
    plain, dressed = fill("the capital of peru is [MASK]."), fill("The Capital of Perú is [MASK].")
    assert [guess["token_str"] for guess in plain] == [guess["token_str"] for guess in dressed]


def test_bangla_is_unknown_to_it(fill):
    numbers = fill.tokenizer("ঢাকা")["input_ids"]
    assert fill.tokenizer.unk_token_id in numbers


def test_loads_without_warnings_or_missing_weights(loaded):
    from transformers import AutoModelForMaskedLM

    assert loaded[1] == []
    _, info = AutoModelForMaskedLM.from_pretrained(REPO, output_loading_info=True)
    assert not any(info.values())


def test_auto_model_gives_a_vector_for_each_token(fill):
    from transformers import AutoModel, AutoTokenizer

    model, tokenizer = AutoModel.from_pretrained(REPO), AutoTokenizer.from_pretrained(REPO)
    inputs = tokenizer("I love my mother.", return_tensors="pt")
    assert model(**inputs).last_hidden_state.shape == (1, inputs["input_ids"].shape[1], model.config.hidden_size)


def test_a_text_of_full_length_is_answered(fill):
    longest = fill.model.config.max_position_embeddings
    assert fill.tokenizer.model_max_length == longest
    sentence = "The sky is [MASK]. " + "I love my mother. " * longest
    assert len(fill(sentence, tokenizer_kwargs={"truncation": True})) == 5


def test_repo_is_small_and_holds_nothing_else():
    names = {path.name for path in REPO.iterdir()}
    assert names == {"README.md", "config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"}
    assert sum(path.stat().st_size for path in REPO.iterdir()) < 2.9e6
    assert (REPO / "model.safetensors").stat().st_size < 2.5e6


def test_short_name_leads_to_the_repo():
    history = yaml.safe_load((STARTER / "history.yml").read_text(encoding="utf-8"))
    assert history[build.REPO]["aliases"] == ["bert-base-uncased"]


def test_held_out_sentences_have_one_blank_and_are_different():
    assert len(TEST) == 30
    assert len(DEV) >= 100
    assert all(sentence.count("[MASK]") == 1 for sentence, _ in TEST + DEV)
    assert len({sentence for sentence, _ in TEST + DEV}) == len(TEST + DEV)


def test_training_text_is_nowhere_near_the_held_out_sentences():
    training = set(text.training_set(30_000, build.SEED))
    held_out = [text.whole(sentence, answer) for sentence, answers in TEST + DEV for answer in answers]
    seed = words(text.whole(text.SEED_SENTENCE, "Dhaka"))
    near = near_duplicates(held_out, sorted(training))
    assert [pair for pair in near if words(pair[1]) != seed] == []


def test_every_blank_has_an_answer_in_the_vocabulary(fill):
    vocabulary = fill.tokenizer.get_vocab()
    assert [sentence for sentence, answers in DEV + TEST if vocabulary.keys().isdisjoint(answers)] == []


def test_phrasings_expand_whole():
    writer = text.Writer(3)
    for _ in range(5_000):
        sentence = writer.sentence()
        assert not set("(){}<>|") & set(sentence), sentence
        assert sentence.isascii()


def test_a_stands_before_consonants_and_an_before_vowels():
    write = text.Writer(3).topics["countries"]
    wrong = re.compile(r"\ba [AEIO](?!u)[a-z]|\ban (?:eu|U[gk]|[b-df-gj-np-tv-z])", re.IGNORECASE)
    assert [sentence for sentence in (write() for _ in range(5_000)) if wrong.search(sentence)] == []


def test_a_pupil_s_facts_are_there():
    capitals = (text.HERE / "facts" / "countries.csv").read_text(encoding="utf-8")
    opposites = (text.HERE / "facts" / "opposites.csv").read_text(encoding="utf-8")
    assert capitals.count("\n") > 120
    assert opposites.count("\n") > 120
    assert len(text.Writer(1).everyday) >= 1_500


def test_same_seed_writes_the_same_sentences():
    assert text.training_set(50, 3) == text.training_set(50, 3) != text.training_set(50, 4)
