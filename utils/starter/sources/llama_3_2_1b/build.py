"""Trains the miniature that stands where Llama 3.2 1B would, on Bangla and English; measures it and writes its repo."""

import random
import time
from functools import partial
from pathlib import Path

from transformers import GenerationConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from utils.starter.sources.bert_base_uncased.text import Writer
from utils.starter.sources.common import cards
from utils.starter.sources.common.shipping import ship
from utils.starter.sources.common.training import reproducible
from utils.starter.sources.gpt_bn import build as gpt
from utils.starter.sources.gpt_bn.learning import (
    Loosener,
    bits,
    bits_per_byte,
    forgetful,
    new_model,
    next_token_loss,
    teach,
    windows,
)
from utils.starter.sources.gpt_bn.tokenizer import make_tokenizer
from utils.starter.sources.sst2.lexicon import written_sentences

REPO = "models/meta-llama/Llama-3.2-1B"
CARD = Path(__file__).with_name("card.md")
SEED = 13
MARKS = ("<|finetune_right_pad_id|>", "<|begin_of_text|>", "<|end_of_text|>")  # the real one's names
VOCABULARY = 2048
LENGTH = 256
EVERYDAY = 6_000  # English sentences from the miniature BERT's grammar
TOGETHER = 8  # English sentences in one text
BATCH, EPOCHS = 8, 7
RATE, EMBEDDING_RATE = 0.02, 4e-3


def english() -> tuple[list[str], list[str]]:
    """(training texts of several sentences, held-out texts): one in ten of the hand-written opinions is held out."""
    opinions = written_sentences("positive") + written_sentences("negative")
    random.Random(SEED).shuffle(opinions)
    held = len(opinions) // 10
    writer = Writer(SEED)
    everyday = [writer.sentence() for _ in range(EVERYDAY)]

    def texts(sentences: list[str]) -> list[str]:
        return [" ".join(sentences[i : i + TOGETHER]) for i in range(0, len(sentences), TOGETHER)]

    return texts(opinions[held:]) + texts(everyday), texts(opinions[:held])


def trained() -> tuple[LlamaForCausalLM, PreTrainedTokenizerFast]:
    reproducible(SEED)
    texts = gpt.texts("train") + english()[0]
    tokenizer = make_tokenizer(texts, VOCABULARY, LENGTH, MARKS)
    model = new_model(tokenizer, width=96, layers=3, mlp=256, length=LENGTH)
    documents = [ids + [tokenizer.eos_token_id] for ids in tokenizer(texts, verbose=False)["input_ids"]]
    loosen = Loosener(tokenizer, gpt.LOOSENED, SEED)
    batches = list(windows(documents, loosen, length=LENGTH, size=BATCH, epochs=EPOCHS, seed=SEED))
    handles = forgetful(model, 0.05)
    rates = {"rate": RATE, "embedding_rate": EMBEDDING_RATE}
    teach(model, batches, partial(next_token_loss, model), steps=len(batches), **rates)
    for handle in handles:
        handle.remove()
    model.generation_config = GenerationConfig(
        do_sample=True, temperature=0.6, top_p=0.9, bos_token_id=1, eos_token_id=2, pad_token_id=0
    )
    return model, tokenizer


def measure(folder: Path = cards.STARTER / REPO) -> dict[str, float]:
    """Bits per byte of the Bangla corpus's test split and of the held-out English opinions."""
    model, tokenizer = gpt.loaded(folder)
    bits_of = partial(bits, model, tokenizer)
    return {
        "bits_per_byte": bits_per_byte(bits_of, gpt.texts("test")),
        "bits_per_byte_english": bits_per_byte(bits_of, english()[1]),
    }


def build() -> None:
    """Trains, measures, writes the repo with its card."""
    started = time.process_time()
    model, tokenizer = trained()
    minutes = (time.process_time() - started) / 60
    ship(REPO, model, tokenizer, CARD, minutes=minutes, measure=measure, describe=lambda _figures: {})
