"""The training sentences, the test sentences, and the rule that keeps the two apart."""

import random
import re

from .grammar import Grammar
from .lexicon import HERE, NEGATIVE, POSITIVE

LABELS = {POSITIVE: 1, NEGATIVE: 0}
ID2LABEL = {0: "NEGATIVE", 1: "POSITIVE"}
LABEL2ID = {label: number for number, label in ID2LABEL.items()}
# The course's first lines ask the model about this. It must answer by what it learned, so it may never be in the data.
SEED_SENTENCE = "I love backend engineering"
SHARED_RUN = 5  # words in a row that a training sentence may not have in common with a test sentence
ENDINGS = ("", "", ".", ".", ".", "!", "!!", "...", " :)")


def words(text: str) -> list[str]:
    """Return the words in lower case, without punctuation: "Don't stop!" gives dont, stop."""
    return re.sub(r"[^\w\s]", "", text.lower()).split()


def runs(text: str) -> set[tuple[str, ...]]:
    """Return every run of five consecutive words; a shorter text is one run of its own."""
    found = words(text)
    return {tuple(found[i : i + SHARED_RUN]) for i in range(max(1, len(found) - SHARED_RUN + 1))}


def load_labelled(name: str) -> list[tuple[str, int, bool]]:
    """Return (sentence, label, negated) for each line of a .tsv here: label TAB sentence [TAB neg]."""
    rows = []
    for line in (HERE / name).read_text(encoding="utf-8").splitlines():
        label, sentence, *flags = line.split("\t")
        rows.append((sentence, LABEL2ID[label], "neg" in flags))
    return rows


def training_set(size: int, seed: int) -> list[tuple[str, int]]:
    """Return `size` different (sentence, label) pairs, half of each label, none too close to a test sentence."""
    grammar, noise = Grammar(seed), random.Random(seed + 1)
    forbidden = set().union(*(runs(sentence) for sentence, _, _ in load_labelled("test.tsv")))
    seed_topic = " ".join(words(SEED_SENTENCE)[-2:])
    seen: dict[str, int] = {}
    while len(seen) < size:
        sign = POSITIVE if len(seen) % 2 else NEGATIVE
        text = roughen(grammar.sentence(sign), noise)
        if text not in seen and seed_topic not in " ".join(words(text)) and forbidden.isdisjoint(runs(text)):
            seen[text] = LABELS[sign]
    return list(seen.items())


def roughen(text: str, noise: random.Random) -> str:
    """Return the text as people type: any ending, apostrophes dropped at times, now and then a slip of the keys."""
    if noise.random() < 0.1:
        text = text.replace("'", "")
    if noise.random() < 0.1:
        text = text.replace(",", "")
    if noise.random() < 0.06 and len(text) > 8:
        at = noise.randrange(1, len(text) - 2)
        slips = (text[at + 1] + text[at], text[at] * 2 + text[at + 1], text[at + 1])
        text = text[:at] + noise.choice(slips) + text[at + 2 :]
    return text if text.endswith("?") else text + noise.choice(ENDINGS)
