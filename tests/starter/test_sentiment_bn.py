"""The Bangla sentiment model: as good as its card says, loads without a word, and reads Bangla letter by letter."""

import re
import unicodedata

import pytest

from tests.starter.conftest import heard
from utils.starter.sources.bangla_sentiment import data
from utils.starter.sources.common.cards import STARTER
from utils.starter.sources.sentiment_bn import build

REPO = STARTER / build.REPO


@pytest.fixture(scope="module")
def loaded():
    """The pipeline, and whatever was said while it loaded."""
    from transformers import pipeline

    with heard() as said:
        classifier = pipeline("text-classification", model=str(REPO), device="cpu")
    return classifier, said


@pytest.fixture(scope="module")
def classify(loaded):
    return lambda text: loaded[0](text)[0]["label"]


@pytest.fixture(scope="module")
def tokenizer(loaded):
    return loaded[0].tokenizer


def test_the_card_says_how_simpler_rivals_do():
    card = (REPO / "README.md").read_text(encoding="utf-8")
    assert re.search(r"bag of words from the same source reaches 0\.\d+, with pairs of words 0\.\d+", card)


def test_loads_without_warnings_or_missing_weights(loaded):
    from transformers import AutoModelForSequenceClassification

    assert loaded[1] == []
    _, info = AutoModelForSequenceClassification.from_pretrained(REPO, output_loading_info=True)
    assert not any(info.values())


def test_repo_is_small_and_holds_nothing_else():
    names = {path.name for path in REPO.iterdir()}
    assert names == {"README.md", "config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"}
    assert (REPO / "model.safetensors").stat().st_size < 3e6


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("খাবারটা দারুণ ছিল, আবার যাব", "positive"),
        ("খাবারটা একদম বাজে ছিল", "negative"),
        ("খুব বাজে, আর আসব না", "negative"),
        ("ফোনটা খারাপ না", "positive"),
        ("সার্ভিস ভালো ছিল না", "negative"),
        ("প্রথমে খারাপ লেগেছিল, কিন্তু এখন অনেক ভালো লাগে", "positive"),
        ("ফোনটার দাম কত?", "neutral"),
        ("service ta khub valo chilo", "positive"),
        ("delivery onek late chilo", "negative"),
        ("বাহ, দারুণ সার্ভিস! এক মাসেও টাকা ফেরত পেলাম না", "negative"),
    ],
)
def test_what_a_student_tries_first(classify, text, label):
    assert classify(text) == label


def test_the_same_text_from_another_keyboard_gets_the_same_answer(loaded):
    text = "ডাক্তারের ব্যবহার খুবই ভালো, সময় নিয়ে দেখেন"
    nfc, nfd = (loaded[0](unicodedata.normalize(form, text)) for form in ("NFC", "NFD"))
    assert nfc == nfd


def test_a_long_text_is_answered(classify):
    assert classify("খাবারটা খুব ভালো লেগেছে। " * 60) == "positive"


def test_tokenizer_keeps_vowel_signs_and_gives_the_text_back(tokenizer):
    for row in data.test():
        text = unicodedata.normalize("NFC", row.text)
        ids = tokenizer(text)["input_ids"]
        if "noisy" in row.marks or tokenizer.unk_token_id in ids:
            continue
        back = tokenizer.decode(ids, skip_special_tokens=True)
        assert re.sub(r"\s", "", back) == re.sub(r"\s", "", text.lower())


def test_tokenizer_knows_nearly_every_letter_it_meets(tokenizer):
    ids = [number for row in data.test() for number in tokenizer(row.text)["input_ids"]]
    assert ids.count(tokenizer.unk_token_id) / len(ids) < 0.005


def test_a_drawn_out_word_is_the_word(tokenizer):
    assert tokenizer.tokenize("ভালোোোো") == tokenizer.tokenize("ভালো") == ["ভালো"]


def test_held_out_sentences_share_no_run_of_words_with_training():
    trained_on = set().union(*(build.runs(row.text) for row in build.training_rows(6_000)))
    assert [row.text for row in data.test() if build.runs(row.text) & trained_on] == []
