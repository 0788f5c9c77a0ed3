"""Roughens a comment as people type: other spellings, Banglish, slips of the keys, no stops, emoji."""

import random
import re
from collections.abc import Sequence

from .lexicon import HERE, lines
from .roman import romanise

ENDINGS = ("", "", "", "।", "।", "!", "!!", "..", "...", ".")
LOOKALIKES = ("িী", "ুূ", "শস", "ষশ", "নণ", "জয", "তৎ", "রড়", "োঅ", "ছস", "িে")
# A vowel sign or hasanta without its letter: no keyboard gives that.
STRAY = re.compile(r"(?:^|[^\u0980-\u09ff]|[\u09be-\u09cd])[\u09be-\u09cd]|\u09cd(?![\u0980-\u09ff])|(?<![যডঢ])\u09bc")
VARIANTS = dict(line.split("=") for line in lines(HERE / "lexicon" / "variants.txt"))


def vary(text: str, chance: random.Random) -> str:
    """The text with some words in another usual or sloppy spelling (ভাল, নাই, হইছে)."""
    words = []
    for word in text.split(" "):
        bare = word.rstrip("।,.!?")
        if bare in VARIANTS and chance.random() < 0.7:
            word = chance.choice(VARIANTS[bare].split("|")) + word[len(bare) :]
        words.append(word)
    return " ".join(words)


def slip(text: str, chance: random.Random) -> str:
    """The text with one letter lost, doubled, swapped or taken for its neighbour."""
    slipped = _slip(text, chance) if len(text) > 5 else text
    return text if STRAY.search(slipped) else slipped


def _slip(text: str, chance: random.Random) -> str:
    at = chance.randrange(1, len(text) - 2)
    for pair in LOOKALIKES:
        if text[at] in pair and chance.random() < 0.7:
            other = pair[1] if text[at] == pair[0] else pair[0]
            return text[:at] + other + text[at + 1 :]
    slips = (text[at + 1] + text[at], text[at] * 2 + text[at + 1], text[at + 1], text[at])
    return text[:at] + chance.choice(slips) + text[at + 2 :]


def stretch(text: str, chance: random.Random) -> str:
    """The text with one vowel drawn out: ভালোোো, valoooo."""
    vowels = [m.start() for m in re.finditer(r"[\u09be-\u09ccaeiou]", text)]
    if not vowels:
        return text
    at = chance.choice(vowels)
    return text[:at] + text[at] * chance.randint(3, 6) + text[at + 1 :]


def roughen(text: str, emoji: Sequence[str], chance: random.Random) -> tuple[str, bool]:
    """The text as somebody might have typed it, and whether it became noisy (spelling, emoji, no stops)."""
    rough = text
    if chance.random() < 0.25:
        rough = vary(rough, chance)
    way = chance.random()
    if way < 0.13:
        rough = romanise(rough, chance)
    elif way < 0.19:
        rough = romanise(rough, chance, 0.4)
    slips = chance.choice((0, 0, 0, 0, 0, 0, 0, 1, 1, 2))
    for _ in range(slips):
        rough = slip(rough, chance)
    noisy = slips > 0
    if chance.random() < 0.05:
        rough, noisy = stretch(rough, chance), True
    if chance.random() < 0.12:
        rough = re.sub(r"[।,!?]", "", rough)
    if emoji and chance.random() < 0.12:
        rough, noisy = f"{rough} {chance.choice(emoji) * chance.choice((1, 1, 2, 3))}", True
    elif not rough.endswith(("?", "!", "।")):
        rough += chance.choice(ENDINGS)
    return rough, noisy
