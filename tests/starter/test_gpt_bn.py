"""gpt-bn: better than counting, and its tokenizer loses nothing."""

import math
import random
import unicodedata

import pytest
import torch

from tests.starter.conftest import heard, measured
from utils.starter.sources.common import cards
from utils.starter.sources.gpt_bn import build
from utils.starter.sources.gpt_bn.kneser_ney import CHARACTERS, END, KneserNey
from utils.starter.sources.gpt_bn.learning import Loosener, Muon, bits, windows

REPO = cards.STARTER / build.REPO


@pytest.fixture(scope="module")
def loaded():
    """The pipeline, and whatever was said while it loaded and wrote."""
    from transformers import pipeline, set_seed

    with heard() as said:
        write = pipeline("text-generation", model=str(REPO), device="cpu")
        set_seed(1)
        write("একদিন সকালে")
    return write, said


@pytest.fixture(scope="module")
def tokenizer(loaded):
    return loaded[0].tokenizer


def test_loads_and_writes_without_warnings(loaded):
    assert loaded[1] == []


@pytest.mark.slow
def test_it_foretells_better_than_counting():
    figures = measured("gpt-bn")
    assert figures["bits_per_byte"].measured < figures["bits_per_byte_kneser_ney"].measured


def test_repo_is_small_and_holds_nothing_else():
    names = {path.name for path in REPO.iterdir()}
    assert names == {
        "README.md",
        "config.json",
        "generation_config.json",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
    }
    assert (REPO / "model.safetensors").stat().st_size < 5e6


@pytest.mark.parametrize(
    "text",
    [
        "র‍্যাব কাল এসেছে।",
        "প্রশ্ন — উত্তর, ২০২৬!",
        "Hello wörld",
        "😀 হাসি 👩‍🏫",
        "দুই\n\nলাইন\tআর  ফাঁকা",
        "ऄ中",
        "ক\u09cdষ\u09c7\u09be",
    ],
)
def test_every_text_comes_back_as_its_nfc(tokenizer, text):
    ids = tokenizer(text)["input_ids"]
    assert ids[0] == tokenizer.bos_token_id
    assert tokenizer.decode(ids, skip_special_tokens=True) == unicodedata.normalize("NFC", text)


def test_no_token_of_bangla_text_breaks_a_character(tokenizer):
    for text in build.texts("test"):
        pieces = [tokenizer.decode([token]) for token in tokenizer(text, verbose=False)["input_ids"][1:]]
        assert "".join(pieces) == text


def test_words_take_few_tokens(tokenizer):
    texts = build.texts("test")
    tokens = sum(len(tokenizer(text, verbose=False)["input_ids"]) - 1 for text in texts)
    assert tokens / sum(len(text.split()) for text in texts) < 2


def test_what_it_writes_is_bangla_and_not_the_corpus_by_heart(loaded):
    from transformers import set_seed

    write, _ = loaded
    set_seed(5)
    known = "\n".join(build.texts("train"))
    starts = ["একদিন সকালে", "মা বললেন,", "নদীর ধারে", "বাজারে গিয়ে"]
    for start, found in zip(starts, write(starts, min_new_tokens=40), strict=True):
        new = found[0]["generated_text"].removeprefix(start)
        letters = [character for character in new if character.isalpha()]
        assert len(new) > 40
        assert sum("\u0980" <= letter <= "\u09ff" for letter in letters) / len(letters) > 0.95
        assert new[:100] not in known


@pytest.mark.slow
def test_bits_of_a_text_longer_than_the_window_count_each_token_once(loaded):
    model, tokenizer = loaded[0].model, loaded[0].tokenizer
    length = model.config.max_position_embeddings
    whole = tokenizer("\n".join(build.texts("validation")[:3]), verbose=False)["input_ids"]
    text = tokenizer.decode(whole[: 2 * length + 8], skip_special_tokens=True).rstrip("\ufffd")
    ids = torch.tensor(tokenizer(text, verbose=False)["input_ids"] + [tokenizer.eos_token_id])
    assert len(ids) > 2 * length
    total = 0.0
    with torch.no_grad():
        for place in range(1, len(ids)):  # the slow way: the window that `bits` reads this token in
            begin = 0 if place <= length else -(-(place - length) // (length // 2)) * (length // 2)
            scores = model(ids[None, begin:place], logits_to_keep=1).logits[0, -1].log_softmax(-1)
            total -= scores[ids[place]].item() / math.log(2)
    assert bits(model, tokenizer, text) == pytest.approx(total, rel=1e-4)


@pytest.fixture(scope="module")
def counted():
    return KneserNey(["কলা কাক কাকা।", "কাকা কলা খায়।", "কাক কা কা ডাকে।", "খালা কলা খায়।"])


def test_kneser_ney_probabilities_sum_to_one(counted):
    seen = set("কলা কাক কাকা।খায়ডেে") | {END}
    for context in ("", "ক", "কা", "কাকা", "কলা ", "zzzz", END * 4, "zকাকা", "া ক"):
        known = sum(counted.probability(character, context) for character in seen)
        unseen = counted.probability("z", context)
        assert unseen > 0
        assert known + unseen * (CHARACTERS - len(seen)) == pytest.approx(1, abs=1e-12)


def test_kneser_ney_is_what_the_formula_gives_by_hand():
    model = KneserNey(["কখ", "কখ", "কগ"], order=2)
    # Pairs: ^ক 3, কখ 2, খ^ 2, কগ 1, গ^ 1 (^: a text's end): D = 2 / (2 + 2·2) = 1/3.
    # Follows how many different: ক 1, খ 1, গ 1, ^ 2, so D = 3 / (3 + 2·1) = 3/5.
    unigram = (1 - 3 / 5) / 5 + (3 / 5) * 4 / 5 / CHARACTERS
    assert model.probability("খ", "") == pytest.approx(unigram, rel=1e-12)
    assert model.probability("খ", "ক") == pytest.approx((2 - 1 / 3) / 3 + (1 / 3) * 2 / 3 * unigram, rel=1e-12)


def test_loosened_tokens_are_the_same_text(tokenizer):
    loosen = Loosener(tokenizer, 0.5, seed=1)
    ids = tokenizer(build.texts("test")[0], verbose=False)["input_ids"]
    looser = loosen(ids)
    assert len(looser) > len(ids)
    assert tokenizer.decode(looser) == tokenizer.decode(ids)


def test_windows_hold_every_document_in_another_order_each_time(tokenizer):
    documents = [[1, *range(10 * n, 10 * n + 9), 2] for n in range(1, 30)]
    loosen = Loosener(tokenizer, 0, seed=1)
    found = list(windows(documents, loosen, length=16, size=2, epochs=2, seed=3))
    assert all(batch.shape == (2, 17) for batch in found)
    assert not torch.equal(found[0], found[len(found) // 2])


def test_muons_step_is_nearly_orthogonal():
    torch.manual_seed(random.Random(1).randrange(100))
    for shape in ((20, 50), (50, 20)):
        values = torch.linalg.svdvals(Muon.orthogonal(torch.randn(shape)))
        assert values.min() > 0.6 and values.max() < 1.3
