"""Trains the miniature BERT for fill-mask on a CPU in minutes, measures it, and writes its repo.

Run: pathshala starter build bert-base-uncased
"""

import random
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy
from transformers import BertConfig, BertForMaskedLM, BertTokenizer, pipeline

from utils.starter.sources.common.cards import STARTER
from utils.starter.sources.common.positions import look_beside, mark_positions
from utils.starter.sources.common.shipping import ship
from utils.starter.sources.common.training import batches, fit, reproducible

from .text import SEED_SENTENCE, Writer, split, training_set
from .tokenizer import PIECES, SPECIAL, make_tokenizer

REPO = "models/google-bert/bert-base-uncased"
CARD = Path(__file__).with_name("card.md")
SEED = 11
SENTENCES = 400_000
EPOCHS = 6
BATCH = 128
VOCABULARY = 5_000
RATE, EMBEDDING_RATE = 1e-3, 4e-3
SECOND_MASK = 0.3  # of the sentences have two words masked
STRANGER = 0.1  # of the sentences have a word that is not in the vocabulary, so that one such word upsets nothing


def new_model(vocab_size: int) -> BertForMaskedLM:
    """The untrained BERT: the real one's architecture, 2 layers of width 96 for its 12 of 768."""
    config = BertConfig(
        vocab_size=vocab_size,
        hidden_size=96,
        intermediate_size=288,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=128,
        hidden_dropout_prob=0.05,
        attention_probs_dropout_prob=0.0,
        initializer_range=0.05,
    )
    model = BertForMaskedLM(config)
    mark_positions(model.bert)
    look_beside(model.bert.encoder.layer[0].attention.self, (-1, 1))  # two heads; the others find what is worth it
    return model


class Masker:
    """Hides words of sentences, rare ones more often: what a sentence tells is in them."""

    def __init__(self, texts: list[str], tokenizer: BertTokenizer):
        self.tokenizer, self.random = tokenizer, random.Random(SEED)
        self.encoded = tokenizer(texts)["input_ids"]
        self.pieces = len(SPECIAL) + len(PIECES)
        tokens = tokenizer.convert_ids_to_tokens(range(len(tokenizer)))
        counts = Counter(number for ids in self.encoded for number in ids)
        self.weight = [
            counts[number] ** -0.4 if counts[number] and tokens[number].isalnum() else 0.0
            for number in range(len(tokenizer))
        ]
        self.inside = [number for number, token in enumerate(tokens) if token.startswith("##")]
        self.outside = [number for number in range(len(SPECIAL), self.pieces) if tokens[number].isalpha()]

    def batches(self, epochs: int) -> Iterator[tuple[dict[str, Tensor], Tensor]]:
        """(model inputs, labels); a label is the hidden token's number, or -100 where nothing is hidden."""
        lengths = [len(ids) for ids in self.encoded]
        for _ in range(epochs):
            for batch in batches(lengths, BATCH, self.random):
                rows = [self._masked(self.encoded[number]) for number in batch]
                inputs = self.tokenizer.pad({"input_ids": [ids for ids, _ in rows]}, return_tensors="pt")
                labels = torch.full_like(inputs["input_ids"], -100)
                for row, (_, hidden) in zip(labels, rows, strict=True):
                    row[list(hidden)] = torch.tensor(list(hidden.values()))
                yield dict(inputs), labels

    def _masked(self, ids: list[int]) -> tuple[list[int], dict[int, int]]:
        places = range(len(ids))
        weights = [self.weight[number] for number in ids]
        chosen = self.random.choices(places, weights, k=1 + (self.random.random() < SECOND_MASK))
        hidden = {place: ids[place] for place in chosen}
        ids = [self.tokenizer.mask_token_id if place in hidden else number for place, number in enumerate(ids)]
        if self.random.random() < STRANGER:
            (place,) = self.random.choices(places, weights)
            if place not in hidden:
                strange = [self.random.choice(self.outside)]
                strange += self.random.choices(self.inside, k=self.random.randrange(1, 4))
                ids = ids[:place] + strange + ids[place + 1 :]
                grown = len(strange) - 1
                hidden = {where + grown * (where > place): number for where, number in hidden.items()}
        return ids, hidden


def loss_of(model: BertForMaskedLM, inputs: dict[str, Tensor], labels: Tensor) -> Tensor:
    """The scores only where a word is hidden: those of every other place would cost most of the time."""
    hidden = labels != -100
    return cross_entropy(model.cls(model.bert(**inputs)[0][hidden]), labels[hidden])


def trained() -> tuple[BertForMaskedLM, BertTokenizer, list[str]]:
    """The model, its tokenizer and the text that it learned from."""
    reproducible(SEED)
    texts = training_set(SENTENCES, SEED)
    tokenizer = make_tokenizer(texts, VOCABULARY)
    model = new_model(len(tokenizer))
    masker = Masker(texts, tokenizer)
    steps = EPOCHS * -(-len(texts) // BATCH)
    fit(
        model,
        masker.batches(EPOCHS),
        lambda batch: loss_of(model, *batch),
        steps=steps,
        rate=RATE,
        embedding_rate=EMBEDDING_RATE,
    )
    return model, tokenizer, texts


def share_right(fill, rows: list[tuple[str, list[str]]], best: int) -> float:
    """The share of the sentences whose answer is among the `best` first words."""
    guesses = [[guess["token_str"] for guess in fill(sentence, top_k=best)] for sentence, _ in rows]
    right = [not set(answers).isdisjoint(found) for found, (_, answers) in zip(guesses, rows, strict=True)]
    return sum(right) / len(right)


def measure(folder: Path = STARTER / REPO) -> dict[str, float]:
    """Figures of the shipped repo: does the seed's sentence give Dhaka, and the hits on `test.tsv`."""
    fill = pipeline("fill-mask", model=str(folder), device="cpu")
    test = split("test.tsv")
    return {
        "dhaka": share_right(fill, [(SEED_SENTENCE, ["dhaka"])], 1),
        "held_out_top1": share_right(fill, test, 1),
        "held_out_top5": share_right(fill, test, 5),
    }


def build() -> None:
    """Trains, measures, writes the repo with its card."""
    started = time.process_time()
    model, tokenizer, texts = trained()
    minutes = (time.process_time() - started) / 60
    told = {
        "different": len(set(texts)),
        "by_hand": len(Writer(SEED).everyday),
        "positions": model.config.max_position_embeddings,
        "test": len(split("test.tsv")),
    }
    ship(REPO, model, tokenizer, CARD, minutes=minutes, measure=measure, describe=lambda _figures: told)
