"""The prompts: hand-written wordings with a digit in them as a word, a Bangla sign or a Latin one."""

import random
from dataclasses import dataclass
from pathlib import Path

from utils.starter.sources.bangla_corpus import data as corpus
from utils.starter.sources.bangla_digits.drawing import DIGITS
from utils.starter.sources.common.text import nfc, words

HERE = Path(__file__).parent
NAMES = nfc("শূন্য এক দুই তিন চার পাঁচ ছয় সাত আট নয়").split()
FORMS = (NAMES, list(DIGITS), list("0123456789"))  # of each digit
FILLED = 0.7  # of the prompts, in training, with words between that tell nothing


@dataclass(frozen=True)
class Prompt:
    text: str
    digit: int


def wordings(name: str) -> list[str]:
    """The lines of "wordings" or "held_out"; `{}` stands for the digit."""
    return nfc((HERE / f"{name}.txt").read_text(encoding="utf-8")).splitlines()


def every(name: str) -> list[Prompt]:
    """Every wording with every form of every digit, the digits in turn."""
    return [
        Prompt(wording.format(form[digit]), digit)
        for wording in wordings(name)
        for form in FORMS
        for digit in range(len(DIGITS))
    ]


def idle_words() -> list[str]:
    """Words of the Bangla corpus that name no digit: what stands around a digit must not matter."""
    text = " ".join(piece.text for piece in corpus.splits()["train"])
    return sorted(set(words(text)) - set(NAMES) - digits_in(text))


def digits_in(text: str) -> set[str]:
    return {word for word in words(text) if any(letter.isdigit() for letter in word)}


class Writer:
    """Writes prompts for training, the same ones for the same seed."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.wordings = wordings("wordings")
        self.idle = idle_words()

    def __call__(self) -> Prompt:
        digit = self.chance.randrange(len(DIGITS))
        parts = self.chance.choice(self.wordings).split()
        if self.chance.random() < FILLED:
            for _ in range(self.chance.randint(1, 4)):
                parts.insert(self.chance.randint(0, len(parts)), self.chance.choice(self.idle))
        return Prompt(" ".join(parts).format(self.chance.choice(FORMS)[digit]), digit)
