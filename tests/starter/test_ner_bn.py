"""The tagger of Bangla names: whole words with their endings, the figures of its card, and data that keep apart."""

import random

import pytest

from tests.starter.conftest import heard
from utils.starter.sources.common import cards
from utils.starter.sources.common.text import check_bangla, near_duplicates
from utils.starter.sources.ner_bn import build, data

REPO = cards.STARTER / build.REPO
TEST = data.lines("test.txt")
WRITTEN = [
    data.parse(data.SLOT.sub("নাম", line))[0] for name in ("plain.txt", *data.MARKED) for line in data.lines(name)
]


@pytest.fixture(scope="module")
def loaded():
    """The pipeline, and whatever was said while it loaded."""

    with heard() as said:
        tagger = build.load()
    return tagger, said


@pytest.fixture(scope="module")
def tagger(loaded):
    return loaded[0]


def found(tagger, text):
    return {(text[entity["start"] : entity["end"]], entity["entity_group"]) for entity in tagger(text)}


@pytest.mark.parametrize(
    ("text", "names"),
    [
        (
            "রহিম উদ্দিন গত বছর গ্রামীণ ব্যাংকে যোগ দেন।",
            {("রহিম উদ্দিন", "PER"), ("গ্রামীণ ব্যাংকে", "ORG")},
        ),
        ("তানিয়া খুলনায় থাকে।", {("তানিয়া", "PER"), ("খুলনায়", "LOC")}),
        ("গ্রামে গেলে মন ভালো হয়ে যায়।", set()),
    ],
)
def test_names_come_whole_with_their_endings(tagger, text, names):
    assert found(tagger, text) == names


def test_no_word_is_found_in_part(tagger):
    """Of all entities found in the test, hardly one begins or ends inside a word."""
    cut = total = 0
    for line in TEST:
        text, _ = data.parse(line)
        for entity in tagger(text):
            before, after = text[: entity["start"]][-1:], text[entity["end"] :][:1]
            cut += any(side and side not in ' ,।?!"():;-' for side in (before, after))
            total += 1
    assert cut <= 0.03 * total


def test_a_long_text_is_answered(tagger):
    text = "সাদিয়া ঢাকায় থাকে। " * 100
    assert ("ঢাকায়", "LOC") in found(tagger, text)


def test_loads_without_a_word(loaded):
    assert loaded[1] == []


def test_repo_is_small_and_holds_nothing_else():
    names = {path.name for path in REPO.iterdir()}
    assert names == {"README.md", "config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"}
    assert (REPO / "model.safetensors").stat().st_size < 3e6


@pytest.mark.parametrize(
    ("name", "ending", "forms"),
    [
        ("ঢাকা", "এ", {"ঢাকায়", "ঢাকাতে"}),
        ("খুলনা", "র", {"খুলনার"}),
        ("সিলেট", "এ", {"সিলেটে"}),
        ("রাঙামাটি", "এ", {"রাঙামাটিতে"}),
        ("নওগাঁ", "এ", {"নওগাঁয়"}),
        ("তেজগাঁও", "র", {"তেজগাঁওয়ের"}),
        ("মুম্বাই", "এ", {"মুম্বাইয়ে", "মুম্বাইতে"}),
        ("বেইজিং", "র", {"বেইজিংয়ের"}),
        ("অভিজিৎ", "র", {"অভিজিতের"}),
        ("পার্থ", "র", {"পার্থর", "পার্থের"}),
        ("ঢাকা বিশ্ববিদ্যালয়", "এ", {"ঢাকা বিশ্ববিদ্যালয়ে"}),
        ("রহিম", "রা", {"রহিমেরা"}),
        ("সাদিয়া", "কেও", {"সাদিয়াকেও"}),
    ],
)
def test_endings(name, ending, forms):
    rng = random.Random(1)
    assert {data.inflect(name, ending, rng) for _ in range(200)} == set(map(data.nfc, forms))


def test_marks_are_read():
    assert data.parse("[PER রহিম] [LOC খুলনায়] থাকে।") == ("রহিম খুলনায় থাকে।", [(0, 4, "PER"), (5, 12, "LOC")])


def test_data_are_clean_and_as_many_as_they_should_be():
    names, places, organisations = (data.sections(f"{name}.txt") for name in ("names", "places", "organisations"))
    assert len(set().union(*names.values())) >= 500
    assert len(set().union(*places.values())) >= 450
    assert len(set().union(*organisations.values())) >= 300
    assert len(data.lines("templates.txt")) >= 400
    assert len(data.lines("plain.txt")) >= 300
    for marked in (*WRITTEN, *data.lines("templates.txt"), *data.training_set(300, 3)):
        text = data.SLOT.sub("নাম", marked).replace("|", ", ")
        assert check_bangla(text) == [], text
        assert not set("{}[]<>") & set(data.parse(text)[0]), text


def test_training_holds_no_test_sentence():
    test = [data.parse(line)[0] for line in TEST]
    made = [data.parse(line)[0] for line in data.training_set(3_000, 5)]
    by_hand = [data.parse(line)[0] for line in data.Written(random.Random(1)).lines]
    assert near_duplicates(test, by_hand + made) == []


def test_same_seed_writes_the_same_sentences():
    assert list(data.training_set(20, 3)) == list(data.training_set(20, 3))
