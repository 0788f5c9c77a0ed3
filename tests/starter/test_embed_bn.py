"""The Bangla sentence embeddings: near in meaning is near in the numbers, and the card tells the truth."""

import json

import pytest

from tests.starter.conftest import heard, measured
from utils.starter.sources.common.cards import STARTER, figures
from utils.starter.sources.common.text import check_bangla, near_duplicates, words
from utils.starter.sources.embed_bn import build, data
from utils.starter.sources.embed_bn.baseline import letters
from utils.starter.sources.embed_bn.inflect import noun_forms, verb_forms

REPO = STARTER / build.REPO
CARD = (REPO / "README.md").read_text(encoding="utf-8")
FILES = {
    "1_Pooling/config.json",
    "README.md",
    "config.json",
    "config_sentence_transformers.json",
    "model.safetensors",
    "modules.json",
    "sentence_bert_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
}


@pytest.fixture(scope="module")
def loaded():
    """Model, tokenizer, and whatever was said while they loaded."""
    from transformers import AutoModel, AutoTokenizer

    with heard() as said:
        model, info = AutoModel.from_pretrained(REPO, output_loading_info=True)
        tokenizer = AutoTokenizer.from_pretrained(REPO)
    assert not any(info.values())
    return model.eval(), tokenizer, said


@pytest.mark.slow
def test_meaning_is_found_where_spelling_finds_little():
    found = measured("embed-bn")
    test = letters(*map(list, zip(*data.test(), strict=True)))
    assert found["nearest_paraphrase"].measured >= 2 * build.nearest_paraphrase(*test)
    dev = letters(*map(list, zip(*data.dev(), strict=True)))
    assert found["nearest_paraphrase_dev"].measured >= 4 * build.nearest_paraphrase(*dev)


def test_card_says_in_its_text_what_its_metadata_says():
    stated = figures(CARD)
    english = " ".join(CARD.split("## In English")[1].split())
    assert f"the nearest of 100 in {stated['nearest_paraphrase']:.4f} of the cases" in english
    assert f"sentences in {stated['nearest_of_200']:.4f}" in english
    assert f"least alike of each: {stated['nearest_paraphrase_dev']:.4f}" in english
    assert (stated["nearest_paraphrase"] < build.GOAL) == (build.SHORT_OF_GOAL in CARD)


def test_loads_without_warnings_in_float32(loaded):
    import torch

    model, _, said = loaded
    assert said == []
    assert {weight.dtype for weight in model.parameters()} == {torch.float32}


def test_files_are_those_of_sentence_transformers():
    found = {path.relative_to(REPO).as_posix() for path in REPO.rglob("*") if path.is_file()}
    assert found == FILES
    assert (REPO / "model.safetensors").stat().st_size < 3e6
    kinds = [module["type"].rsplit(".")[-1] for module in json.loads((REPO / "modules.json").read_text())]
    assert kinds[:2] == ["Transformer", "Pooling"]
    pooling = json.loads((REPO / "1_Pooling" / "config.json").read_text())
    assert [name for name, value in pooling.items() if value is True] == ["pooling_mode_mean_tokens"]


def test_synonyms_are_nearer_than_strangers(loaded):
    model, tokenizer, _ = loaded
    near = [("জ্বর হয়েছে", "গা গরম"), ("বেতন পেয়েছি", "মাইনে হাতে এল"), ("বৃষ্টি পড়ছে", "ছাতা ছাড়া ভিজে যাবে")]
    ones, others = (build.embed(model, tokenizer, list(side)) for side in zip(*near, strict=True))
    assert build.nearest_paraphrase(ones, others) == 1.0


def test_an_empty_and_a_long_text_have_a_vector(loaded):
    model, tokenizer, _ = loaded
    vectors = build.embed(model, tokenizer, ["", "আজ আমার মন ভালো নেই। " * 50])
    assert vectors.norm(dim=1).tolist() == pytest.approx([1, 1], abs=1e-4)


def test_test_pairs_stay_out_of_training():
    held_out = [sentence for pair in data.test() for sentence in pair]
    assert len(data.test()) == 100
    assert len({" ".join(words(sentence)) for sentence in held_out}) == 200
    written = [sentence for group in data.groups() for sentence in group]
    assert near_duplicates(held_out, written) == []


def test_dev_groups_stay_out_of_training():
    training, dev = data.split()
    assert len(dev) == data.DEV_GROUPS
    trained_on = {sentence for group in training for sentence in group}
    assert [sentence for group in dev for sentence in group if sentence in trained_on] == []


def test_written_text_is_clean_bangla():
    sentences = [sentence for group in data.groups() for sentence in group]
    assert [text for text in sentences + data.inflected() if check_bangla(text)] == []
    assert len(data.groups()) > 1500
    assert len(sentences) == len(set(sentences))  # one meaning a sentence: groups that share one were joined


def test_inflection():
    assert noun_forms("বাজার")["whose"] == "বাজারের"
    assert noun_forms("টাকা")["where"] == "টাকায়"
    assert verb_forms("কর")["he has not"] == "করেনি"
    assert verb_forms("লিখ~লেখ")["i"] == "লিখি"
    assert verb_forms("লিখ~লেখ")["he"] == "লেখে"
    assert verb_forms("বানা")["he has"] == "বানিয়েছে"
    assert verb_forms("দাওয়াত দে")["i did"] == "দাওয়াত দিলাম"
