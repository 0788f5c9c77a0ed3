"""Trains the Bangla sentiment model on one thread of a CPU, measures it and writes its repo."""

import random
import time
from pathlib import Path

import torch
from torch.nn.functional import cross_entropy, one_hot
from transformers import BertConfig, BertForSequenceClassification, PreTrainedTokenizerFast, pipeline

from utils.starter.sources.bangla_sentiment import data
from utils.starter.sources.common import cards, training
from utils.starter.sources.common.positions import look_beside, mark_positions
from utils.starter.sources.common.shipping import ship

from .baseline import bag_of_words
from .teacher import cut_up, teacher
from .tokenizer import make_tokenizers

REPO = "models/pathshala/sentiment-bn"
HERE = Path(__file__).parent
MARKS = ("negation", "sarcasm", "mixed", "noisy")
SEED = 11
COMMENTS = 150_000
RIVALS_COMMENTS = 40_000
VOCABULARY = 5_000
TEACHERS_COMMENTS = 60_000
FRAGMENTS = 60_000  # pieces of comments; those without a negation get their labels from the teacher alone
TAUGHT, LESS_TAUGHT = 0.5, 0.25  # of a comment's label is what the teacher says; where the words alone mislead, less
MISLEADING = {"negation", "sarcasm"}  # marks of comments that mean something else than their words
EPOCHS, BATCH = 3, 64
RATE, EMBEDDING_RATE = 1.5e-3, 2.5e-3
BROKEN = 0.35  # of the texts, in training, a second time with every word in pieces, as a new word would be
LOST = 0.15  # of the tokens, in training: the model must not hang on any one word


def training_rows(size: int) -> list[data.Row]:
    """Comments of the grammar with hand-written ones among them, none that shares five words in a row with the test."""
    whole, _ = data.kept()
    held_out = set().union(*(runs(row.text) for row in data.test()))
    return [row for row in data.grammar_rows(size, SEED, whole) if held_out.isdisjoint(runs(row.text))]


def runs(text: str, length: int = 5) -> set[tuple[str, ...]]:
    """Every run of `length` words; a shorter text is one run of its own."""
    found = data.words(text)
    return {tuple(found[i : i + length]) for i in range(max(1, len(found) - length + 1))}


def new_model(tokenizer: PreTrainedTokenizerFast) -> BertForSequenceClassification:
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=96,
        intermediate_size=256,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=512,
        type_vocab_size=1,
        initializer_range=0.05,
        hidden_dropout_prob=0.15,
        attention_probs_dropout_prob=0.0,
        classifier_dropout=0.2,
        id2label=dict(enumerate(data.LABELS)),
        label2id={label: number for number, label in enumerate(data.LABELS)},
    )
    model = BertForSequenceClassification(config)
    mark_positions(model.bert)
    look_beside(model.bert.encoder.layer[0].attention.self, (-1, 1))  # two heads; the others find what is worth it
    return model


def targets(rows: list[data.Row], fragments: list[str]) -> torch.Tensor:
    """What the model is to say of the comments and then of the fragments: (texts, labels), each row adding to 1."""
    teach = teacher([(row.text, row.label) for row in rows[:TEACHERS_COMMENTS]])
    labels = one_hot(torch.tensor([row.label for row in rows]), len(data.LABELS))
    said = torch.tensor(teach([row.text for row in rows]))
    share = torch.tensor([LESS_TAUGHT if MISLEADING.intersection(row.marks) else TAUGHT for row in rows])[:, None]
    return torch.cat([(1 - share) * labels + share * said, torch.tensor(teach(fragments))]).float()


def train(rows: list[data.Row]) -> tuple[BertForSequenceClassification, PreTrainedTokenizerFast]:
    training.reproducible(SEED)
    texts, chance = [row.text for row in rows], random.Random(SEED)
    tokenizer, in_pieces = make_tokenizers(texts[::4], VOCABULARY)  # every fourth shows the words that matter
    model = new_model(tokenizer)
    fragments = [text for text in cut_up(texts, FRAGMENTS, chance) if "negation" not in data.marks_of(text)]
    wanted = targets(rows, fragments)
    whole, broken = (by(texts + fragments, truncation=True)["input_ids"] for by in (tokenizer, in_pieces))
    again = chance.sample(range(len(whole)), round(BROKEN * len(whole)))
    encoded, wanted = whole + [broken[i] for i in again], torch.cat([wanted, wanted[again]])
    schedule = [batch for _ in range(EPOCHS) for batch in training.batches([*map(len, encoded)], BATCH, chance)]
    special = torch.tensor(tokenizer.all_special_ids)

    def loss_of(batch: list[int]) -> torch.Tensor:
        inputs = tokenizer.pad({"input_ids": [encoded[i] for i in batch]}, return_tensors="pt")
        ids = inputs["input_ids"]
        lost = (torch.rand(ids.shape) < LOST) & ~torch.isin(ids, special)
        inputs["input_ids"] = ids.masked_fill(lost, tokenizer.unk_token_id)
        return cross_entropy(model(**inputs).logits, wanted[batch], label_smoothing=0.02)

    training.fit(model, schedule, loss_of, steps=len(schedule), rate=RATE, embedding_rate=EMBEDDING_RATE)
    return model, tokenizer


def accuracies(guesses: list[int], rows: list[data.Row]) -> dict[str, float]:
    """Accuracy on all rows, and on those that bear each mark, where there are any."""
    right = [guess == row.label for guess, row in zip(guesses, rows, strict=True)]
    figures = {"accuracy": sum(right) / len(right)}
    for mark in MARKS:
        marked = [ok for ok, row in zip(right, rows, strict=True) if mark in row.marks]
        if marked:
            figures[f"accuracy_{mark}"] = sum(marked) / len(marked)
    return figures


def answers(folder: Path, texts: list[str]) -> list[int]:
    """The labels that the repo in `folder` gives the texts, by the way a student loads it."""
    classify = pipeline("text-classification", model=str(folder), device="cpu")
    return [data.LABELS.index(answer["label"]) for answer in classify(texts, batch_size=32)]


def measure(folder: Path = cards.STARTER / REPO) -> dict[str, float]:
    """The shipped model's accuracy on the held-out sentences, on all and by mark."""
    rows = data.test()
    return accuracies(answers(folder, [row.text for row in rows]), rows)


def described(rows: list[data.Row]) -> dict[str, int | float]:
    """What the card tells of a training on these rows, the rival's figures among it."""
    test, examples = data.test(), [(row.text, row.label) for row in rows[:RIVALS_COMMENTS]]
    told: dict[str, int | float] = {
        "test": len(test),
        "comments": len(rows),
        "written": len(data.kept()[0]),
        "rivals": len(examples),
    }
    told |= {f"n_{mark}": sum(mark in row.marks for row in test) for mark in MARKS}
    for name, longest in (("words", 1), ("pairs", 2)):
        rival = accuracies(bag_of_words(examples, [row.text for row in test], longest), test)
        told |= {key.replace("accuracy", name): value for key, value in rival.items()}
    return told


def build() -> None:
    """Trains, measures, writes the repo with its card."""
    started = time.process_time()
    rows = training_rows(COMMENTS)
    model, tokenizer = train(rows)
    minutes = (time.process_time() - started) / 60
    ship(REPO, model, tokenizer, HERE / "card.md", minutes=minutes, measure=measure, describe=lambda _: described(rows))
