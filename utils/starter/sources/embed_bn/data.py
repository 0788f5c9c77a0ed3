"""The text of embed-bn: groups of sentences and sets of words that mean about the same, and plain text."""

import re
import zlib
from dataclasses import dataclass
from functools import cache
from itertools import combinations
from pathlib import Path

import yaml

from utils.starter.sources.common.text import nfc, words

from .inflect import noun_forms, verb_forms

HERE = Path(__file__).parent
DEV_GROUPS = 100


@dataclass(frozen=True)
class Concept:
    """One meaning: `members` are its names, each the forms that it takes ({form: text}; a fixed phrase has one, "")."""

    topic: str
    members: tuple[dict[str, str], ...]


def _lines(path: Path) -> list[str]:
    return [nfc(line.strip()) for line in path.read_text(encoding="utf-8").splitlines()]


@cache
def groups() -> list[list[str]]:
    """Every hand-written group: sentences of one meaning. Groups that share a sentence are one."""
    found: list[list[str]] = []
    place: dict[str, int] = {}
    for path in sorted((HERE / "groups").glob("*.txt")):
        for block in re.split(r"\n\s*\n", nfc(path.read_text(encoding="utf-8"))):
            lines = [line.strip() for line in block.splitlines() if line.strip()]
            number = next((place[line] for line in lines if line in place), len(found))
            if number == len(found):
                found.append([])
            found[number] += [line for line in lines if line not in place]
            place |= dict.fromkeys(lines, number)
    return [group for group in found if len(group) > 1]


def split() -> tuple[list[list[str]], list[list[str]]]:
    """The groups for training and those for dev, chosen by a checksum: a group added later moves few others."""
    order = sorted(groups(), key=lambda group: zlib.crc32(group[0].encode()))
    return order[DEV_GROUPS:], order[:DEV_GROUPS]


def dev() -> list[tuple[str, str]]:
    """Of each dev group the two sentences that have the fewest letters and words in common."""
    return [min(combinations(group, 2), key=lambda pair: _shared(*pair)) for group in split()[1]]


def _shared(one: str, other: str) -> float:
    def trigrams(text: str) -> set[str]:
        plain = f" {' '.join(words(text))} "
        return {plain[i : i + 3] for i in range(len(plain) - 2)}

    a, b = trigrams(one), trigrams(other)
    return len(a & b) / len(a | b)


def test() -> list[tuple[str, str]]:
    """The 100 held-out pairs (sentence, paraphrase), by somebody else than the training text."""
    return [tuple(line.split("\t")) for line in _lines(HERE / "test.tsv") if line]


def _forms(name: str) -> dict[str, str]:
    if "~" in name:
        return verb_forms(name.removesuffix("~"))
    return {"": name} if " " in name else noun_forms(name)


@cache
def concepts() -> list[Concept]:
    found = []
    topic = ""
    for path in sorted((HERE / "lexicon").glob("*.txt")):
        for line in _lines(path):
            if line.startswith("#"):
                topic = line[1:].strip()
            elif line:
                found.append(Concept(topic, tuple(_forms(name.strip()) for name in line.split(","))))
    return found


@cache
def passages() -> list[list[str]]:
    """The course's own plain text: paragraphs as lists of sentences."""
    texts = []
    for path in sorted((HERE.parent / "bangla_corpus").glob("*.txt")):
        texts += [line for line in _lines(path) if line and not line.startswith("#")]
    for path in sorted((HERE.parent / "bangla_qa").glob("part*.yml")):
        texts += [nfc(item["context"]) for item in yaml.safe_load(path.read_text(encoding="utf-8"))]
    cut = [[s.strip(' "') for s in re.split(r"(?<=[।?!])\s*", text) if len(words(s)) > 2] for text in texts]
    return [sentences for sentences in cut if sentences]


def inflected() -> list[str]:
    """Every form of every name in the lexicon."""
    return [form for concept in concepts() for member in concept.members for form in member.values()]
