"""Trains the miniature sentiment classifier on a CPU in minutes, measures it, and writes its repo.

Run: pathshala starter build sst2
"""

import random
import time
from pathlib import Path

import torch
from torch.nn.functional import cross_entropy
from transformers import DistilBertConfig, DistilBertForSequenceClassification, DistilBertTokenizer, pipeline

from utils.starter.sources.common import cards
from utils.starter.sources.common.training import batches, fit, reproducible

from . import baseline, card, data
from .tokenizer import make_tokenizer

REPO = "models/distilbert/distilbert-base-uncased-finetuned-sst-2-english"
SEED = 7
SENTENCES = 240_000
EPOCHS = 2
BATCH = 64
VOCABULARY = 5_600
RATE, EMBEDDING_RATE = 1e-3, 4e-3


def new_model(vocab_size: int) -> DistilBertForSequenceClassification:
    """Return the untrained DistilBERT: the real one's architecture, 2 layers of width 80 for its 6 of 768."""
    config = DistilBertConfig(
        vocab_size=vocab_size,
        dim=80,
        hidden_dim=224,
        n_layers=2,
        n_heads=4,
        max_position_embeddings=512,
        dropout=0.1,
        attention_dropout=0.0,
        seq_classif_dropout=0.1,
        initializer_range=0.05,
        id2label=data.ID2LABEL,
        label2id=data.LABEL2ID,
    )
    return DistilBertForSequenceClassification(config)


def teach(model: DistilBertForSequenceClassification, tokenizer: DistilBertTokenizer, examples: list[tuple[str, int]]):
    """Train in place."""
    encoded = tokenizer([text for text, _ in examples])["input_ids"]
    lengths, shuffle = [len(ids) for ids in encoded], random.Random(SEED)
    schedule = [batch for _ in range(EPOCHS) for batch in batches(lengths, BATCH, shuffle)]

    def loss_of(batch: list[int]) -> torch.Tensor:
        inputs = tokenizer.pad({"input_ids": [encoded[i] for i in batch]}, return_tensors="pt")
        labels = torch.tensor([examples[i][1] for i in batch])
        return cross_entropy(model(**inputs).logits, labels)

    words = [model.distilbert.embeddings.word_embeddings.weight]
    fit(model, schedule, loss_of, steps=len(schedule), rate=RATE, embedding_rate=EMBEDDING_RATE, embeddings=words)


def accuracies(predicted: list[int], rows: list[tuple[str, int, bool]]) -> tuple[float, float]:
    """Return the accuracy on all rows and on the rows flagged as negation."""
    right = [(guess == label, negated) for guess, (_, label, negated) in zip(predicted, rows, strict=True)]
    on_negation = [ok for ok, negated in right if negated]
    return sum(ok for ok, _ in right) / len(right), sum(on_negation) / len(on_negation)


def measured(folder: Path, rows: list[tuple[str, int, bool]]) -> tuple[float, float]:
    """Return the accuracies of the model in `folder` on the rows."""
    classify = pipeline("sentiment-analysis", model=str(folder), device="cpu")
    return accuracies([data.LABEL2ID[classify(text)[0]["label"]] for text, _, _ in rows], rows)


def build() -> None:
    """Train, write the repo, measure what was written, and render its card from those figures."""
    started = time.monotonic()
    reproducible(SEED)

    examples = data.training_set(SENTENCES, SEED)
    tokenizer = make_tokenizer([text for text, _ in examples], VOCABULARY)
    model = new_model(len(tokenizer))
    teach(model, tokenizer, examples)
    minutes = (time.monotonic() - started) / 60

    with cards.written(REPO) as folder:
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        test = data.load_labelled("test.tsv")
        figures = {"miniature": measured(folder, test)}
        for name, longest in (("words", 1), ("words and pairs", 2)):
            figures[name] = accuracies(baseline.bag_of_words(examples, [text for text, _, _ in test], longest), test)
        # The sentences looked at while the grammar was written.
        shown = figures | {"miniature on dev": measured(folder, data.load_labelled("dev.tsv"))}
        for name, (overall, negation) in shown.items():
            print(f"{name:>16}: {overall:.4f} overall, {negation:.4f} on negation")
        card.write(folder, figures, test, model.num_parameters(), len(examples), minutes)
    print(f"{minutes:.1f} minutes of training; written as {REPO}")


def measure() -> dict[str, float]:
    """Return the shipped model's accuracy on the held-out sentences, and on those of them with negation."""
    overall, negation = measured(cards.STARTER / REPO, data.load_labelled("test.tsv"))
    return {"Accuracy": overall, "Accuracy on negation": negation}
