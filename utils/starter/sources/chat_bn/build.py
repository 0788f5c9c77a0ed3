"""Tunes gpt-bn on short conversations, so that it answers, on one thread of a CPU; measures it and writes its repo."""

import random
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy
from torch.nn.utils.rnn import pad_sequence
from transformers import GenerationConfig, LlamaForCausalLM, PreTrainedTokenizerFast, pipeline

from utils.starter.sources.common import cards, training
from utils.starter.sources.common.shipping import ship
from utils.starter.sources.gpt_bn import build as gpt
from utils.starter.sources.gpt_bn.learning import bits, bits_per_byte, forgetful, teach

from . import data

REPO = "models/pathshala/chat-bn"
CARD = Path(__file__).with_name("card.md")
SEED = 7
TURNS = 220_000
BATCH = 48  # conversations
SNIPPETS, SNIPPET = 2_500, 64  # of prose, and tokens in one, so that the model does not forget to write
RATE, EMBEDDING_RATE = 0.02, 4e-3
FORGOTTEN = 0.03  # dropout
UNTAUGHT = -100


Example = tuple[list[int], list[int]]  # tokens, and what each should be foretold as: itself, or UNTAUGHT


def example(tokenizer: PreTrainedTokenizerFast, talk: list[dict[str, str]]) -> Example:
    """A conversation; only its answers are taught."""
    encoded = tokenizer.apply_chat_template(talk, return_dict=True, return_assistant_tokens_mask=True)
    ids = encoded["input_ids"]
    return ids, [token if taught else UNTAUGHT for token, taught in zip(ids, encoded["assistant_masks"], strict=True)]


def examples(tokenizer: PreTrainedTokenizerFast) -> list[Example]:
    """The conversations, and snippets of the corpus's prose in which every token is taught."""
    found = [example(tokenizer, talk) for talk in data.conversations(TURNS, SEED)]
    prose = [token for ids in tokenizer(gpt.texts("train"), verbose=False)["input_ids"] for token in ids]
    chance = random.Random(SEED)
    for _ in range(SNIPPETS):
        place = chance.randrange(len(prose) - SNIPPET)
        found.append((prose[place : place + SNIPPET],) * 2)
    return found


def batches(found: list[Example]) -> Iterator[tuple[Tensor, Tensor]]:
    """(tokens, labels), each (`BATCH`, the longest's length): one epoch."""
    for batch in training.batches([len(ids) for ids, _ in found], BATCH, random.Random(SEED)):
        rows = [found[number] for number in batch]
        yield (
            pad_sequence([torch.tensor(ids) for ids, _ in rows], batch_first=True),
            pad_sequence([torch.tensor(labels) for _, labels in rows], batch_first=True, padding_value=UNTAUGHT),
        )


def answer_loss(model: LlamaForCausalLM, batch: tuple[Tensor, Tensor]) -> Tensor:
    """The mean cross-entropy, in nats, of the tokens that are labels."""
    ids, labels = batch
    wanted = labels[:, 1:] != UNTAUGHT
    hidden = model.model(ids[:, :-1]).last_hidden_state[wanted]
    return cross_entropy(model.lm_head(hidden), labels[:, 1:][wanted])


def generation() -> GenerationConfig:
    """The likeliest answer, the same each time; a little model that draws lots would often miss."""
    return GenerationConfig(do_sample=False, max_new_tokens=64, bos_token_id=1, eos_token_id=2, pad_token_id=0)


def trained() -> tuple[LlamaForCausalLM, PreTrainedTokenizerFast]:
    training.reproducible(SEED)
    model, tokenizer = gpt.loaded()
    tokenizer.chat_template = Path(__file__).with_name("template.jinja").read_text("utf-8")
    schedule = list(batches(examples(tokenizer)))
    handles = forgetful(model, FORGOTTEN)
    rates = {"rate": RATE, "embedding_rate": EMBEDDING_RATE}
    teach(model, schedule, partial(answer_loss, model), steps=len(schedule), **rates)
    for handle in handles:
        handle.remove()
    model.generation_config = generation()
    return model, tokenizer


def replies(folder: Path, prompts: list[str]) -> list[str]:
    """The answers of the model in `folder`, by the way a student asks for them."""
    chat = pipeline("text-generation", model=str(folder), device="cpu")
    asked = [[{"role": "user", "content": prompt}] for prompt in prompts]
    return [found[0]["generated_text"][-1]["content"] for found in chat(asked)]


def kept(name: str, folder: Path = cards.STARTER / REPO) -> list[tuple[str, str, bool]]:
    """(prompt, answer, does the answer keep the prompt's rule) for `test.jsonl` or `dev.jsonl`."""
    rows = data.held_out(name)
    given = replies(folder, [row["prompt"] for row in rows])
    return [(row["prompt"], reply, data.follows(reply, row["rule"])) for row, reply in zip(rows, given, strict=True)]


def measure(folder: Path = cards.STARTER / REPO) -> dict[str, float]:
    """The share of the held-out prompts whose rule is kept, and bits per byte of the corpus's test split."""
    model, tokenizer = gpt.loaded(folder)
    found = kept("test.jsonl", folder)
    return {
        "rules_kept": sum(ok for _, _, ok in found) / len(found),
        "bits_per_byte": bits_per_byte(partial(bits, model, tokenizer), gpt.texts("test")),
    }


def described(figures: dict[str, float]) -> dict[str, int]:
    prompts = len(data.held_out("test.jsonl"))
    return {
        "kept": round(figures["rules_kept"] * prompts),
        "prompts": prompts,
        "written": len(set(data.written())),
        "wordings": sum(map(len, data.wordings().values())),
        "turns": TURNS,
        "snippets": SNIPPETS,
        "length": gpt.LENGTH,
    }


def build() -> None:
    """Trains, measures, writes the repo with its card."""
    started = time.process_time()
    model, tokenizer = trained()
    minutes = (time.process_time() - started) / 60
    ship(REPO, model, tokenizer, CARD, minutes=minutes, measure=measure, describe=described)
