"""Trains the tagger of names, pathshala/ner-bn, on a CPU in minutes, measures it, and writes its repo."""

import random
import time
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from tqdm import tqdm
from transformers import BertConfig, BertForTokenClassification, PreTrainedTokenizerFast, pipeline

from ..common import cards
from ..common.positions import look_beside, mark_positions
from ..common.shipping import ship
from ..common.text import words
from ..common.training import batches, fit, reproducible
from . import data

REPO = "models/pathshala/ner-bn"
SEED = 20
EXAMPLES = 320_000
BATCH = 16
VOCABULARY = 5_000
LONGEST = 256  # pieces
# Of the merges of pieces, skipped in every third example: a name is then met in small pieces, as a new name would be.
DROPOUT = 0.05
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
LABELS = ["O", *(f"{place}-{kind}" for kind in data.KINDS for place in "BI")]
OUTSIDE = -100  # no loss there


def new_tokenizer(texts: Iterable[str]) -> PreTrainedTokenizerFast:
    """Byte-pair pieces below words; marks stay with their letters, and য় is one thing however it was typed."""
    backend = Tokenizer(models.BPE(unk_token="[UNK]", continuing_subword_prefix="##"))
    backend.normalizer = normalizers.Sequence(
        [normalizers.NFC(), normalizers.BertNormalizer(strip_accents=False, handle_chinese_chars=False, lowercase=True)]
    )
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    letters = [chr(code) for code in (*range(0x21, 0x7F), *range(0x980, 0x9FF), 0x964)]
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=SPECIAL,
        initial_alphabet=[letter for letter in letters if letter.isprintable()],
        continuing_subword_prefix="##",
        show_progress=False,
    )
    backend.train_from_iterator(texts, trainer)
    ends = [("[SEP]", backend.token_to_id("[SEP]")), ("[CLS]", backend.token_to_id("[CLS]"))]
    backend.post_processor = processors.BertProcessing(*ends)
    backend.decoder = decoders.WordPiece()
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        model_max_length=LONGEST,
        **{f"{name[1:-1].lower()}_token": name for name in SPECIAL},
    )


def new_model(vocabulary: int) -> BertForTokenClassification:
    config = BertConfig(
        vocab_size=vocabulary,
        hidden_size=96,
        num_hidden_layers=3,
        num_attention_heads=4,
        intermediate_size=256,
        max_position_embeddings=LONGEST,
        type_vocab_size=1,
        hidden_dropout_prob=0.05,
        attention_probs_dropout_prob=0.0,
        initializer_range=0.05,
        id2label=dict(enumerate(LABELS)),
        label2id={label: number for number, label in enumerate(LABELS)},
    )
    model = BertForTokenClassification(config)
    mark_positions(model.bert)
    for layer in model.bert.encoder.layer[:2]:
        look_beside(layer.attention.self, (-1, 1, -2, 2))
    return model


def labels_of(offsets: list[tuple[int, int]], spans: list[data.Span]) -> list[int]:
    """A label for each piece. Every piece counts, so that "simple" aggregation works too."""
    labels = []
    for start, end in offsets:
        label = "O"
        for first, last, kind in spans:
            if first <= start and end <= last and start < end:
                label = f"{'B' if start == first else 'I'}-{kind}"
        labels.append(LABELS.index(label) if start < end else OUTSIDE)
    return labels


def encode(tokenizer: PreTrainedTokenizerFast, marked: Iterable[str]) -> list[tuple[list[int], list[int]]]:
    """(input ids, labels) of each example."""
    encoded = []
    for text, spans in map(data.parse, marked):
        pieces = tokenizer(text, return_offsets_mapping=True, truncation=True)
        encoded.append((pieces["input_ids"], labels_of(pieces["offset_mapping"], spans)))
    return encoded


def train(examples: list[str]) -> tuple[BertForTokenClassification, PreTrainedTokenizerFast]:
    tokenizer = new_tokenizer(data.parse(example)[0] for example in examples[:40_000])
    model = new_model(len(tokenizer))
    third = len(examples) // 3
    encoded = encode(tokenizer, tqdm(examples[third:], desc="encoding", mininterval=1))
    tokenizer.backend_tokenizer.model.dropout = DROPOUT
    encoded += encode(tokenizer, tqdm(examples[:third], desc="encoding", mininterval=1))
    tokenizer.backend_tokenizer.model.dropout = None

    shuffle = random.Random(SEED)
    schedule = batches([len(ids) for ids, _ in encoded], BATCH, shuffle)

    def loss_of(batch: list[int]) -> torch.Tensor:
        width = max(len(encoded[i][0]) for i in batch)
        ids = torch.full((len(batch), width), tokenizer.pad_token_id)
        labels = torch.full((len(batch), width), OUTSIDE)
        for row, i in enumerate(batch):
            ids[row, : len(encoded[i][0])] = torch.tensor(encoded[i][0])
            labels[row, : len(encoded[i][1])] = torch.tensor(encoded[i][1])
        # From anywhere on, so that every position of a long text has been trained.
        start = shuffle.randint(0, LONGEST - width) if shuffle.random() < 0.3 else 0
        positions = torch.arange(start, start + width).expand(len(batch), -1)
        attention = (ids != tokenizer.pad_token_id).long()
        return model(input_ids=ids, attention_mask=attention, position_ids=positions, labels=labels).loss

    fit(model, schedule, loss_of, steps=len(schedule), rate=1.5e-3, embedding_rate=3e-3)
    return model, tokenizer


def found(tagger, texts: list[str]) -> Iterator[set[data.Span]]:
    """What the pipeline itself answers with aggregation_strategy="first", as spans of characters."""
    for text in texts:
        yield {(entity["start"], entity["end"], entity["entity_group"]) for entity in tagger(text)}


def f1(gold: list[set], guessed: list[set]) -> float:
    """Of entities with the exact span and the right kind, over all sentences together."""
    right = sum(len(one & other) for one, other in zip(gold, guessed, strict=True))
    both = sum(map(len, gold)) + sum(map(len, guessed))
    return 2 * right / both if both else 0.0


def is_unseen(entity: str, known: set[str]) -> bool:
    """Whether no word of it, bare or without its ending, stands in a name that training showed."""
    return not any(bare in known for word in words(entity) for bare in data.without_ending(word))


def overlap(one: data.Span, other: data.Span) -> bool:
    return one[0] < other[1] and other[0] < one[1]


def figures(tagger, marked: list[str]) -> dict[str, float]:
    """F1 over all entities, by kind, and on names unseen in training.

    The last counts the unseen entities of the test and, in the sentences that hold one, whatever was found that is
    not about another entity.
    """
    parsed = [data.parse(line) for line in marked]
    gold = [set(spans) for _, spans in parsed]
    guessed = list(found(tagger, [text for text, _ in parsed]))
    measured = {"f1": f1(gold, guessed)}
    for kind in data.KINDS:
        only = [[{span for span in spans if span[2] == kind} for spans in side] for side in (gold, guessed)]
        measured[f"f1_{kind.lower()}"] = f1(*only)
    known = data.known_words()
    unseen, about = [], []
    for (text, _), spans, guesses in zip(parsed, gold, guessed, strict=True):
        new = {span for span in spans if is_unseen(text[span[0] : span[1]], known)}
        if new:
            unseen.append(new)
            about.append({guess for guess in guesses if not any(overlap(guess, span) for span in spans - new)})
    return measured | {"f1_unseen": f1(unseen, about)}


def load(folder: Path = cards.STARTER / REPO):
    """The pipeline over the shipped repo."""
    return pipeline("token-classification", str(folder), aggregation_strategy="first", device="cpu")


def measure(folder: Path = cards.STARTER / REPO) -> dict[str, float]:
    """F1 on the held-out sentences, see `figures`."""
    return figures(load(folder), data.lines("test.txt"))


def described(_figures: dict[str, float]) -> dict[str, int]:
    test, known = data.lines("test.txt"), data.known_words()
    entities = [covered for line in test for _, covered in data.MARK.findall(line)]
    return {
        "examples": EXAMPLES,
        "templates": len(data.lines("templates.txt")),
        "written": sum(len(data.lines(name)) for name in ("plain.txt", *data.MARKED)),
        "names": len(set(chain(*data.sections("names.txt").values()))),
        "places": len(set(chain(*data.sections("places.txt").values()))),
        "organisations": len(set(chain(*data.sections("organisations.txt").values()))),
        "test": len(test),
        "entities": len(entities),
        "unseen": sum(is_unseen(entity, known) for entity in entities),
        "longest": LONGEST,
    }


def build() -> None:
    """Trains, measures, writes the repo with its card."""
    started = time.process_time()
    reproducible(SEED)
    model, tokenizer = train(list(data.training_set(EXAMPLES, SEED)))
    minutes = (time.process_time() - started) / 60
    ship(REPO, model, tokenizer, data.HERE / "card.md", minutes=minutes, measure=measure, describe=described)
    print("dev", {name: round(value, 4) for name, value in figures(load(), data.lines("dev.txt")).items()})
