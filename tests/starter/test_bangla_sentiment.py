"""The dataset of Bangla comments: it loads as students load it, its splits are apart, and its card tells the truth."""

import re
import unicodedata

import pytest
import yaml

from utils.starter.sources.bangla_sentiment import build, data
from utils.starter.sources.bangla_sentiment.grammar import Grammar
from utils.starter.sources.bangla_sentiment.lexicon import NAMES, load
from utils.starter.sources.bangla_sentiment.noise import stretch
from utils.starter.sources.bangla_sentiment.roman import romanise
from utils.starter.sources.common.cards import STARTER, figures
from utils.starter.sources.common.text import check_bangla

REPO = STARTER / build.REPO


@pytest.fixture(scope="module")
def now() -> dict[str, list[dict]]:
    return build.read(REPO)


@pytest.fixture(scope="module")
def first() -> dict[str, list[dict]]:
    return build.read(REPO / build.EARLIER)


def test_loads_by_its_folder_with_its_features(tmp_path):
    from datasets import load_dataset

    loaded = load_dataset(str(REPO), cache_dir=str(tmp_path))
    assert set(loaded) == set(build.SPLITS)
    assert loaded["train"].features == build.FEATURES
    assert loaded["test"].features["label"].names == ["negative", "neutral", "positive"]


def test_every_label_and_mark_is_well_stocked(now):
    for rows in now.values():
        shares = [sum(row["label"] == label for row in rows) / len(rows) for label in range(3)]
        assert min(shares) >= 0.25
    for mark in ("negation", "sarcasm", "mixed", "noisy"):
        for split in ("train", "test"):
            assert sum(mark in row["marks"] for row in now[split]) >= 30


def test_the_test_split_is_the_other_hands_and_nothing_else(now):
    assert [(row["text"], row["label"]) for row in now["test"]] == [(row.text, row.label) for row in data.test()]
    assert {row["source"] for split in ("validation", "test") for row in now[split]} == {"written"}
    training = {row["text"] for row in now["train"]} | {row.text for row in data.written()}
    assert training.isdisjoint(row["text"] for row in now["test"])


def test_text_is_clean_and_each_comment_stands_once(now):
    texts = [row["text"] for rows in now.values() for row in rows]
    assert len(set(texts)) == len(texts)
    assert [text for text in texts if not unicodedata.is_normalized("NFC", text) or text != text.strip()] == []
    written = [row.text for row in data.written()]
    assert [(text, found) for text in written if (found := check_bangla(text))] == []


def test_v1_0_is_rawer_in_each_way_that_the_card_names(first):
    stated = figures((REPO / "README.md").read_text(encoding="utf-8"))
    for name in ("v1_0_near_duplicates", "v1_0_not_nfc", "v1_0_wrong_labels"):
        assert stated[name] >= 20
    assert set(first["train"][0]) == {"text", "label"}
    history = yaml.safe_load((STARTER / "history.yml").read_text(encoding="utf-8"))[build.REPO]
    assert history == {"commits": ["v1.0"], "tags": ["v1.1"]}
    assert data.LABELS[build.counted("ফোনটা খারাপ না")] == "negative"  # what the card says of it


def test_repo_is_small():
    assert sum(path.stat().st_size for path in REPO.rglob("*") if path.is_file()) < 700_000


def test_lexicon_is_wide():
    lexicon = load()
    for sign in "+-":
        entries = {entry for role, of_role in lexicon[sign].items() if role != "emoji" for entry in of_role}
        assert len(entries) >= 350


def test_same_seed_writes_the_same_comments():
    assert data.grammar_rows(60, seed=3) == data.grammar_rows(60, seed=3)
    assert data.grammar_rows(60, seed=3) != data.grammar_rows(60, seed=4)


def test_grammar_leaves_no_slot_open():
    grammar = Grammar(9)
    comments = [grammar.sentence(sign) for sign in NAMES for _ in range(700)]
    assert [comment for comment in comments if not comment or re.search(r"[<>{}|~=]|\bNone\b", comment)] == []


def test_case_endings_fit():
    from utils.starter.sources.bangla_sentiment.grammar import ENDING, ending

    given = "ফোন~এর বাসা~এ গাড়ি~এর শাড়ি~এ ঢাকা~এর phone~এর বাস~এ"
    assert ENDING.sub(ending, given) == "ফোনের বাসায় গাড়ির শাড়িতে ঢাকার phone এর বাসে"


def test_romanised_and_stretched_text():
    import random

    chance = random.Random(1)
    assert romanise("অসাধারণ মানুষ ১০ টাকা", chance).isascii()
    assert re.search(r"(.)\1\1", stretch("ভালো", chance))
