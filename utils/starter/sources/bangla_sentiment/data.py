"""The rows of the dataset, hand-written and the grammar's, their marks, and the rule that keeps the splits apart."""

import random
import re
from dataclasses import dataclass
from zlib import crc32

from utils.starter.sources.common.text import LATIN, near_duplicates, nfc, words

from .grammar import Grammar
from .lexicon import HERE, NAMES, NEGATIVE, NEUTRAL, POSITIVE, lines, load
from .noise import roughen

LABELS = ("negative", "neutral", "positive")
NUMBER = {NEGATIVE: 0, NEUTRAL: 1, POSITIVE: 2}
TEST = HERE.parent / "sentiment_bn" / "test.tsv"
DEV_SHARE = 8  # one hand-written sentence in eight is for validation: chosen by its own text, so it stays there
NEGATION = re.compile(
    r"^(না|নাহ|নেই|নাই|নয়|নন|নি|ছাড়া|na|nai|nei|noy|not|no|never|without|\w+n't|[\w\u0980-\u09ff]{2,}নি|\w{2,}ni)$"
)
# End as a negated verb does and are none.
NO_VERBS = nfc("পানি নানি চিনি কোম্পানি আপনি তিনি শুনানি বিরিয়ানি কাহিনি pani jani apni shuni mani tini biriyani").split()


@dataclass(frozen=True)
class Row:
    """One comment; `marks`: negation, sarcasm, mixed (Latin letters), noisy; `source`: written or grammar."""

    text: str
    label: int
    source: str
    marks: tuple[str, ...] = ()


def marks_of(text: str, *others: str) -> tuple[str, ...]:
    """The marks that the text itself shows, and `others`."""
    shown = {*others}
    if any(NEGATION.match(word) and word not in NO_VERBS for word in words(text)):
        shown.add("negation")
    if LATIN.search(text):
        shown.add("mixed")
    return tuple(sorted(shown))


def written() -> list[Row]:
    """The hand-written sentences for training and validation: a line each, with further marks after a TAB."""
    rows = []
    for sign, name in NAMES.items():
        files = sorted((HERE / "written").glob(f"*{name}.txt"))  # each author's own
        for line in dict.fromkeys(line for file in files for line in lines(file)):
            text, *marks = line.split("\t")
            found = {mark for some in marks for mark in some.split(",")} & {"negation", "sarcasm", "noisy"}
            rows.append(Row(text, NUMBER[sign], "written", marks_of(text, *found)))
    return rows


def test() -> list[Row]:
    """The held-out sentences, by another hand: label TAB text TAB marks."""
    rows = []
    for line in TEST.read_text(encoding="utf-8").splitlines():
        label, text, *marks = line.split("\t")
        found = tuple(sorted(filter(None, marks[0].split(",")))) if marks else ()
        rows.append(Row(nfc(text), LABELS.index(label), "written", found))
    return rows


def apart(rows: list[Row], others: list[Row]) -> list[Row]:
    """The rows that are no near-duplicates of any of the others."""
    near = {text for text, _, _ in near_duplicates([row.text for row in rows], [row.text for row in others])}
    return [row for row in rows if row.text not in near]


def kept() -> tuple[list[Row], list[Row]]:
    """The hand-written rows: (training, validation), apart from the test split and from each other."""
    rows = apart(written(), test())
    validation = [row for row in rows if crc32(row.text.encode()) % DEV_SHARE == 0]
    chosen = set(validation)
    return apart([row for row in rows if row not in chosen], validation), validation


def grammar_rows(size: int, seed: int, whole: list[Row] | None = None) -> list[Row]:
    """`size` different comments of the grammar, a third of each label; `whole` are sentences it may build in."""
    by_sign = {sign: [row.text for row in whole if row.label == NUMBER[sign]] for sign in NAMES} if whole else None
    grammar, chance, emoji = Grammar(seed, by_sign), random.Random(seed + 1), load()
    signs = (NEGATIVE, NEUTRAL, POSITIVE)
    found: dict[str, Row] = {}
    while len(found) < size:
        sign = signs[len(found) % 3]
        plain = grammar.sentence(sign)
        faces = emoji[sign]["smirk" if grammar.ironic else "emoji"]
        text, noisy = roughen(plain, faces, chance)
        text = nfc(text)
        others = ["sarcasm"] * grammar.ironic + ["noisy"] * noisy
        found.setdefault(text, Row(text, NUMBER[sign], "grammar", marks_of(text, *others)))
    return list(found.values())
