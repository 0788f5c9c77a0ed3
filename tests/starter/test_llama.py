"""The miniature Llama: small, gated, and nobody takes it for the real one."""

import yaml

from tests.starter.conftest import heard
from utils.starter.sources.common import cards
from utils.starter.sources.llama_3_2_1b import build

REPO = cards.STARTER / build.REPO
CARD = (REPO / "README.md").read_text("utf-8")


def test_loads_and_writes_without_warnings():
    from transformers import pipeline, set_seed

    with heard() as said:
        write = pipeline("text-generation", model=str(REPO), device="cpu")
        set_seed(1)
        texts = [write(start, max_new_tokens=40)[0]["generated_text"] for start in ("একদিন সকালে", "I love")]
    assert said == []
    assert all(len(text) > 30 for text in texts)
    assert write.model.config.model_type == "llama"
    assert write.tokenizer.bos_token == "<|begin_of_text|>"


def test_held_out_english_was_not_taught():
    taught, held = build.english()
    known = "\n".join(taught)
    assert len(held) > 5
    assert not any(text in known for text in held)


def test_is_gated_by_hand():
    history = yaml.safe_load((cards.STARTER / "history.yml").read_text("utf-8"))
    assert history[build.REPO]["gated"] == "manual"


def test_card_says_what_it_is_not():
    assert cards.metadata(CARD)["license"] == "mit"
    assert "It holds nothing of Meta's" in CARD
    assert "1.24 B" in CARD and "2.5 GB" in CARD


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
    assert (REPO / "model.safetensors").stat().st_size < 2.5e6
