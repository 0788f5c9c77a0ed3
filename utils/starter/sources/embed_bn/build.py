"""Trains the Bangla sentence embeddings on one thread of a CPU, measures them and writes their repo."""

import json
import random
import time
from collections.abc import Callable
from itertools import chain
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch.nn.functional import cross_entropy, normalize
from torch.nn.utils.rnn import pad_sequence
from transformers import AutoModel, AutoTokenizer, BertConfig, BertModel, PreTrainedTokenizerFast

from utils.starter.sources.common import cards, training
from utils.starter.sources.common.shipping import megabytes, save
from utils.starter.sources.common.text import words

from . import data
from .baseline import letters
from .pairs import Pairs
from .tokenizer import LONGEST, make_tokenizer

REPO = "models/pathshala/embed-bn"
HERE = Path(__file__).parent
SEED = 5
GOAL = 0.8
SHORT_OF_GOAL = " সেখানে পৌঁছায়নি: এত কম লেখা থেকে সব শব্দের মানে শেখা যায় না।"
VOCABULARY = 7_800
WIDTH, LAYERS = 160, 1
WORD_STEPS, STEPS = 1_500, 80
PARAPHRASES, TELEGRAMS, NEIGHBOURS = 192, 192, 32
SMALLER = 0.5  # the batches of the whole model
WORD_RATE, RATE, EMBEDDING_RATE = 1e-2, 3e-4, 3e-4
TEMPERATURE = 0.05
SHORT = 24  # tokens of a text in training
LOST = 0.25  # of the tokens, in training: the model must not hang on any one word


def texts() -> list[str]:
    """All the text that the tokenizer is made from; the groups count twice."""
    written = [sentence for group in data.split()[0] for sentence in group]
    return 2 * written + data.inflected() + [sentence for found in data.passages() for sentence in found]


def new_model(tokenizer: PreTrainedTokenizerFast) -> BertModel:
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=WIDTH,
        intermediate_size=WIDTH,
        num_hidden_layers=LAYERS,
        num_attention_heads=4,
        max_position_embeddings=LONGEST,
        type_vocab_size=1,
        initializer_range=0.05,
        hidden_dropout_prob=0.0,  # lost tokens do the same
        attention_probs_dropout_prob=0.0,
    )
    model = BertModel(config)
    model.pooler.requires_grad_(False)  # the Bert class has one; the mean does without it
    model.embeddings.LayerNorm.requires_grad_(False)  # so that a layer which adds nothing changes nothing: see `bag`
    for layer in model.encoder.layer:  # a layer adds nothing until it has learnt to
        torch.nn.init.zeros_(layer.attention.output.dense.weight)
        torch.nn.init.zeros_(layer.output.dense.weight)
    return model


def mean(states: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """The mean of the tokens' vectors, of length 1: (sentences, width)."""
    mask = mask.unsqueeze(-1)
    return normalize((states * mask).sum(1) / mask.sum(1), dim=-1)


class Pieces:
    """The tokens of a text, word by word, remembered: most words come many hundred times."""

    def __init__(self, tokenizer: PreTrainedTokenizerFast) -> None:
        self.tokenizer = tokenizer
        self.known: dict[str, list[int]] = {}

    def __call__(self, text: str) -> list[int]:
        found = []
        for word in text.split():
            if word not in self.known:
                self.known[word] = self.tokenizer(word, add_special_tokens=False)["input_ids"]
            found += self.known[word]
        return [self.tokenizer.cls_token_id, *found[: SHORT - 2], self.tokenizer.sep_token_id]


def bag(model: BertModel, texts: list[list[int]]) -> torch.Tensor:
    """What the model gives while its layers add nothing, for a tenth of the time: (texts, width), of length 1."""
    flat = torch.tensor([*chain.from_iterable(texts)])
    positions = torch.tensor([*chain.from_iterable(range(len(ids)) for ids in texts)])
    owner = torch.repeat_interleave(torch.arange(len(texts)), torch.tensor([*map(len, texts)]))
    states = model.encoder.layer[-1].output.LayerNorm(model.embeddings(flat[None], position_ids=positions[None])[0])
    return normalize(torch.zeros(len(texts), WIDTH).index_add(0, owner, states), dim=-1)


def whole(model: BertModel, texts: list[list[int]]) -> torch.Tensor:
    ids = pad_sequence([torch.tensor(ids) for ids in texts], batch_first=True)  # [PAD] is 0
    mask = (ids > 0).long()
    return mean(model(input_ids=ids, attention_mask=mask).last_hidden_state, mask)


def train() -> tuple[BertModel, PreTrainedTokenizerFast]:
    """First the word vectors alone, as a bag of words that costs next to nothing, then the whole model."""
    training.reproducible(SEED)
    tokenizer = make_tokenizer(texts(), VOCABULARY)
    model = new_model(tokenizer)
    pairs, pieces, chance = Pairs(SEED), Pieces(tokenizer), random.Random(SEED)
    blocks = pairs.blocks()

    def with_losses(text: str) -> list[int]:
        first, *middle, last = pieces(text)
        return [first, *(tokenizer.unk_token_id if chance.random() < LOST else token for token in middle), last]

    def learn(vectors: Callable[[BertModel, list[list[int]]], torch.Tensor], steps: int, size: float, **rates) -> None:
        def loss_of(batch: list[tuple[str, str]]) -> torch.Tensor:
            ones, others = zip(*batch, strict=True)
            found = vectors(model, [with_losses(text) for text in (*ones, *others)])
            scores = found[: len(ones)] @ found[len(ones) :].T / TEMPERATURE
            target = torch.arange(len(ones))
            return (cross_entropy(scores, target) + cross_entropy(scores.T, target)) / 2

        schedule = (
            pairs.paraphrases(blocks, int(PARAPHRASES * size))
            + pairs.telegrams(int(TELEGRAMS * size))
            + pairs.neighbours(int(NEIGHBOURS * size))
            for _ in range(steps)
        )
        training.fit(model, schedule, loss_of, steps=steps, **rates)

    learn(bag, WORD_STEPS, 1, rate=WORD_RATE)
    learn(whole, STEPS, SMALLER, rate=RATE, embedding_rate=EMBEDDING_RATE)
    return model, tokenizer


@torch.inference_mode()
def embed(model: BertModel, tokenizer: PreTrainedTokenizerFast, sentences: list[str]) -> torch.Tensor:
    """Vectors of length 1: (sentences, width)."""
    inputs = tokenizer(sentences, padding=True, truncation=True, return_tensors="pt")
    return mean(model(**inputs).last_hidden_state, inputs["attention_mask"])


def nearest_paraphrase(sentences: torch.Tensor, paraphrases: torch.Tensor) -> float:
    """The share of the sentences whose own paraphrase is the nearest of all paraphrases."""
    return ((sentences @ paraphrases.T).argmax(1) == torch.arange(len(sentences))).float().mean().item()


def nearest_of_all(sentences: torch.Tensor, paraphrases: torch.Tensor) -> float:
    """The share of the sentences whose own paraphrase is the nearest of all other sentences and paraphrases."""
    everything = torch.cat([paraphrases, sentences])
    scores = sentences @ everything.T
    count = len(sentences)
    scores[torch.arange(count), torch.arange(count) + count] = -1
    return (scores.argmax(1) == torch.arange(count)).float().mean().item()


def write(model: BertModel, tokenizer: PreTrainedTokenizerFast, folder: Path) -> None:
    """The files that sentence-transformers writes; AutoModel reads them too."""
    save(model, folder)
    tokenizer.save_pretrained(folder)
    (folder / "1_Pooling").mkdir()
    pooling = {
        "word_embedding_dimension": WIDTH,
        "pooling_mode_cls_token": False,
        "pooling_mode_mean_tokens": True,
        "pooling_mode_max_tokens": False,
        "pooling_mode_mean_sqrt_len_tokens": False,
    }
    kinds = {"": "Transformer", "1_Pooling": "Pooling", "2_Normalize": "Normalize"}
    modules = [
        {"idx": i, "name": str(i), "path": path, "type": f"sentence_transformers.models.{kind}"}
        for i, (path, kind) in enumerate(kinds.items())
    ]
    whole_model = {
        "model_type": "SentenceTransformer",
        "prompts": {},
        "default_prompt_name": None,
        "similarity_fn_name": "cosine",
    }
    files = {
        "1_Pooling/config.json": pooling,
        "modules.json": modules,
        "config_sentence_transformers.json": whole_model,
        "sentence_bert_config.json": {"max_seq_length": LONGEST, "do_lower_case": False},
    }
    for name, content in files.items():
        (folder / name).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def measure(folder: Path = cards.STARTER / REPO) -> dict[str, float]:
    """The shipped model: the share of sentences whose nearest is their paraphrase, on the test and on the dev pairs."""
    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModel.from_pretrained(folder).eval()
    test = [embed(model, tokenizer, list(side)) for side in zip(*data.test(), strict=True)]
    dev = [embed(model, tokenizer, list(side)) for side in zip(*data.dev(), strict=True)]
    return {
        "nearest_paraphrase": nearest_paraphrase(*test),
        "nearest_of_200": nearest_of_all(*test),
        "nearest_paraphrase_dev": nearest_paraphrase(*dev),
    }


def described(folder: Path, minutes: int) -> dict[str, float | int | str]:
    """What the card tells of the repo in `folder`: measured figures, sizes, and the rival's figures."""
    test, dev, groups = data.test(), data.dev(), data.split()[0]
    rivals = [letters(*map(list, zip(*pairs, strict=True))) for pairs in (test, dev)]
    found = measure(folder) | {
        "letters_paraphrase": nearest_paraphrase(*rivals[0]),
        "letters_of_200": nearest_of_all(*rivals[0]),
        "letters_dev": nearest_paraphrase(*rivals[1]),
    }
    right = {f"{name}_right": round(share * 100) for name, share in found.items()}  # 100 pairs in test and in dev
    weights = load_file(folder / "model.safetensors")
    return (found | right) | {
        "goal": "" if found["nearest_paraphrase"] >= GOAL else SHORT_OF_GOAL,
        "test": len(test),
        "both": 2 * len(test),
        "dev": len(dev),
        "unlike": sum(set(words(one)).isdisjoint(words(other)) for one, other in test),
        "groups": len(groups),
        "sentences": sum(map(len, groups)),
        "concepts": len(data.concepts()),
        "parameters": sum(weight.numel() for weight in weights.values()),
        "weights_mb": megabytes(folder),
        "vocabulary": len(weights["embeddings.word_embeddings.weight"]),
        "longest": LONGEST,
        "width": WIDTH,
        "layers": LAYERS,
        "word_steps": WORD_STEPS,
        "steps": STEPS,
        "minutes": minutes,
    }


def build() -> None:
    """Trains, measures, writes the repo with its card."""
    started = time.process_time()
    model, tokenizer = train()
    minutes = max(1, round((time.process_time() - started) / 60))
    with cards.written(REPO) as folder:
        write(model, tokenizer, folder)
        values = described(folder, minutes)
        (folder / "README.md").write_text(cards.render(HERE / "card.md", values), encoding="utf-8")
    for name, value in values.items():
        if isinstance(value, float):
            print(f"{name:24} {value:.4f}")
