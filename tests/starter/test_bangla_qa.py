"""The dataset of questions: each answer stands where it says, and no context is in two splits."""

import pytest

from utils.starter.sources.bangla_qa import build as bangla_qa
from utils.starter.sources.common import cards, text


def test_the_text_is_clean_bangla():
    for context in bangla_qa.contexts():
        for one in (context["context"], *(qa["q"] for qa in context["qas"])):
            assert text.check_bangla(one) == [], one


def test_an_answer_that_is_not_in_its_context_is_told():
    context = {"title": "x", "source": "x", "context": "ঢাকা রাজধানী।", "qas": [{"q": "কোনটা?", "a": "খুলনা"}]}
    with pytest.raises(ValueError, match="not in the context"):
        bangla_qa.rows([context])


def test_what_belongs_together_is_in_one_split():
    split_of = {c["title"]: split for split, found in bangla_qa.splits(bangla_qa.contexts()).items() for c in found}
    for group in bangla_qa.TOGETHER:
        assert len({split_of[title] for title in group}) == 1, group


def test_it_is_what_squad_is():
    from datasets import load_dataset

    rows = load_dataset(str(cards.STARTER / bangla_qa.REPO), split="test")
    assert set(rows.features) >= {"id", "title", "context", "question", "answers"}
    assert len(rows) > 50
