"""Trains gpt-bn, a small Llama, on the Bangla corpus on one thread of a CPU, measures it and writes its repo."""

import copy
import time
from functools import partial
from pathlib import Path

from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    GenerationConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
)

from utils.starter.sources.bangla_corpus import data
from utils.starter.sources.common import cards
from utils.starter.sources.common.shipping import ship
from utils.starter.sources.common.training import reproducible

from .kneser_ney import KneserNey
from .learning import Loosener, bits, bits_per_byte, forgetful, new_model, next_token_loss, teach, windows
from .tokenizer import BEGIN, END, PAD, make_tokenizer

REPO = "models/pathshala/gpt-bn"
CARD = Path(__file__).with_name("card.md")
SEED = 3
VOCABULARY = 2600
LENGTH = 256
BATCH = 8
EPOCHS = 12
RATE, EMBEDDING_RATE = 0.02, 3e-3
FORGOTTEN = 0.15  # dropout
LOOSENED = 0.03  # of the tokens
CHAT_MARKS = ("<|system|>", "<|user|>", "<|assistant|>")  # unused here; chat-bn, which is made from this, needs them


def texts(split: str) -> list[str]:
    return [piece.text for piece in data.splits()[split]]


def generation() -> GenerationConfig:
    """How the model writes if nothing else is asked: a little at random, and without going in circles."""
    return GenerationConfig(
        do_sample=True,
        temperature=0.7,
        top_p=0.9,
        repetition_penalty=1.03,
        max_new_tokens=80,
        bos_token_id=1,
        eos_token_id=2,
        pad_token_id=0,
    )


def trained() -> tuple[LlamaForCausalLM, PreTrainedTokenizerFast]:
    """The model as it was when it foretold the validation pieces best, and its tokenizer."""
    reproducible(SEED)
    train, validation = texts("train"), texts("validation")
    tokenizer = make_tokenizer(train, VOCABULARY, LENGTH, (PAD, BEGIN, END, *CHAT_MARKS))
    model = new_model(tokenizer, width=128, layers=4, mlp=344, length=LENGTH)
    documents = [ids + [tokenizer.eos_token_id] for ids in tokenizer(train, verbose=False)["input_ids"]]
    loosen = Loosener(tokenizer, LOOSENED, SEED)
    batches = list(windows(documents, loosen, length=LENGTH, size=BATCH, epochs=EPOCHS, seed=SEED))
    best = (float("inf"), model.state_dict())

    def look(step: int) -> None:
        nonlocal best
        if step % (len(batches) // 10) and step != len(batches):
            return
        model.eval()
        found = bits_per_byte(partial(bits, model, tokenizer), validation)
        print(f" step {step}: {found:.4f} bits per byte of the validation pieces", flush=True)
        if found < best[0]:
            best = found, copy.deepcopy(model.state_dict())
        model.train()

    handles = forgetful(model, FORGOTTEN)
    rates = {"rate": RATE, "embedding_rate": EMBEDDING_RATE}
    teach(model, batches, partial(next_token_loss, model), steps=len(batches), now_and_then=look, **rates)
    for handle in handles:
        handle.remove()
    model.load_state_dict(best[1])
    model.generation_config = generation()
    return model, tokenizer


def loaded(folder: Path = cards.STARTER / REPO) -> tuple[LlamaForCausalLM, PreTrainedTokenizerFast]:
    return AutoModelForCausalLM.from_pretrained(folder).eval(), AutoTokenizer.from_pretrained(folder)


def measure(folder: Path = cards.STARTER / REPO) -> dict[str, float]:
    """Bits per byte of the corpus's test split: the shipped model's, and Kneser–Ney's on the same train split."""
    model, tokenizer = loaded(folder)
    test = texts("test")
    return {
        "bits_per_byte": bits_per_byte(partial(bits, model, tokenizer), test),
        "bits_per_byte_kneser_ney": bits_per_byte(KneserNey(texts("train")).bits, test),
    }


def described(_figures: dict[str, float]) -> dict[str, int]:
    train, test = texts("train"), texts("test")
    return {
        "length": LENGTH,
        "train_pieces": len(train),
        "test_pieces": len(test),
        "train_kb": round(sum(len(text.encode()) for text in train) / 1000),
        "test_kb": round(sum(len(text.encode()) for text in test) / 1000),
        "epochs": EPOCHS,
    }


def build() -> None:
    """Trains, measures, writes the repo with its card."""
    started = time.process_time()
    model, tokenizer = trained()
    minutes = (time.process_time() - started) / 60
    ship(REPO, model, tokenizer, CARD, minutes=minutes, measure=measure, describe=described)
