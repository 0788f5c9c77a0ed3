"""Trains the miniature sentiment classifier on a CPU in minutes, measures it, and writes its repo.

Run: python -m utils.starter.sources.sst2.train
"""

import random
import shutil
import time
from pathlib import Path

import torch
from torch.nn.functional import cross_entropy
from tqdm import tqdm
from transformers import DistilBertConfig, DistilBertForSequenceClassification, DistilBertTokenizer, pipeline

from . import baseline, card, data
from .tokenizer import make_tokenizer

REPO_ID = "distilbert/distilbert-base-uncased-finetuned-sst-2-english"
REPO = Path(__file__).parents[2] / "models" / REPO_ID
SEED = 7
SENTENCES = 240_000
EPOCHS = 2
BATCH = 64
VOCABULARY = 5_600
# A word's vector is touched only by the batches that hold the word, so it needs longer steps than the shared layers.
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


def batches(lengths: list[int], shuffle: random.Random) -> list[list[int]]:
    """Return the indices of one epoch, in batches of like length: padding costs time and teaches nothing."""
    order = list(range(len(lengths)))
    shuffle.shuffle(order)
    pools = [sorted(order[i : i + 50 * BATCH], key=lengths.__getitem__) for i in range(0, len(order), 50 * BATCH)]
    epoch = [pool[i : i + BATCH] for pool in pools for i in range(0, len(pool), BATCH)]
    shuffle.shuffle(epoch)
    return epoch


def fit(model: DistilBertForSequenceClassification, tokenizer: DistilBertTokenizer, examples: list[tuple[str, int]]):
    """Train in place with AdamW, one cycle of the learning rates."""
    encoded = tokenizer([text for text, _ in examples])["input_ids"]
    lengths, shuffle = [len(ids) for ids in encoded], random.Random(SEED)
    schedule = [batch for _ in range(EPOCHS) for batch in batches(lengths, shuffle)]
    embeddings = [model.distilbert.embeddings.word_embeddings.weight]
    shared = [weight for weight in model.parameters() if weight is not embeddings[0]]
    groups = [{"params": embeddings, "lr": EMBEDDING_RATE}, {"params": shared, "lr": RATE}]
    optimizer = torch.optim.AdamW(groups, fused=True)
    rates = torch.optim.lr_scheduler.OneCycleLR(optimizer, [EMBEDDING_RATE, RATE], len(schedule), pct_start=0.1)
    model.train()
    progress = tqdm(schedule, desc="training", unit="batch", mininterval=1)
    smooth = 0.7
    for batch in progress:
        inputs = tokenizer.pad({"input_ids": [encoded[i] for i in batch]}, return_tensors="pt")
        labels = torch.tensor([examples[i][1] for i in batch])
        loss = cross_entropy(model(**inputs).logits, labels)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        rates.step()
        smooth = 0.99 * smooth + 0.01 * loss.item()
        progress.set_postfix(loss=f"{smooth:.3f}", refresh=False)
    model.eval()


def accuracies(predicted: list[int], rows: list[tuple[str, int, bool]]) -> tuple[float, float]:
    """Return the accuracy on all rows and on the rows flagged as negation."""
    right = [(guess == label, negated) for guess, (_, label, negated) in zip(predicted, rows, strict=True)]
    on_negation = [ok for ok, negated in right if negated]
    return sum(ok for ok, _ in right) / len(right), sum(on_negation) / len(on_negation)


def main() -> None:
    """Train, write the repo, measure what was written, and render its card from those figures."""
    started = time.monotonic()
    torch.manual_seed(SEED)
    torch.use_deterministic_algorithms(True)
    torch.set_num_threads(1)  # as fast as two for layers this narrow, and the same sums in the same order everywhere

    examples = data.training_set(SENTENCES, SEED)
    texts = [text for text, _ in examples]
    tokenizer = make_tokenizer(texts, VOCABULARY)
    model = new_model(len(tokenizer))
    fit(model, tokenizer, examples)

    shutil.rmtree(REPO, ignore_errors=True)
    model.save_pretrained(REPO)
    tokenizer.save_pretrained(REPO)
    (REPO / "model.safetensors").chmod(0o644)  # written for its owner's eyes only; here everyone may read it
    minutes = (time.monotonic() - started) / 60

    classify = pipeline("sentiment-analysis", model=str(REPO), device="cpu")
    test = data.load_labelled("test.tsv")
    test_texts = [text for text, _, _ in test]
    measured = {"miniature": accuracies([data.LABEL2ID[classify(text)[0]["label"]] for text in test_texts], test)}
    for name, longest in (("words", 1), ("words and pairs", 2)):
        measured[name] = accuracies(baseline.bag_of_words(examples, test_texts, longest), test)
    for name, (overall, negation) in measured.items():
        print(f"{name:>16}: {overall:.4f} overall, {negation:.4f} on negation")
    dev = data.load_labelled("dev.tsv")  # the sentences looked at while the grammar was written
    overall, negation = accuracies([data.LABEL2ID[classify(text)[0]["label"]] for text, _, _ in dev], dev)
    print(f"{'miniature on dev':>16}: {overall:.4f} overall, {negation:.4f} on negation")
    print(f"{data.SEED_SENTENCE!r}: {classify(data.SEED_SENTENCE)[0]}")

    card.write(REPO, measured, test, model.num_parameters(), len(examples), minutes)
    print(f"{minutes:.1f} minutes of training; written as {REPO_ID}")


if __name__ == "__main__":
    main()
