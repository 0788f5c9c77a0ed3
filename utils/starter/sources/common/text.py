"""Bangla text as data: its form, its words, and how near two sentences are to each other."""

import re
import unicodedata
from collections import defaultdict

SHINGLE = 5  # characters
NEAR = 0.6  # of two sentences' shingles in common: the same sentence with a word changed
# Letters, marks and digits of Bangla; র‍্য needs the joiner, and the danda stands among the letters of Devanagari.
BANGLA = re.compile(r"[\u0980-\u09ff\u0964\u200d]")
LATIN = re.compile(r"[A-Za-z]")


def nfc(text: str) -> str:
    return unicodedata.normalize("NFC", text)


def words(text: str) -> list[str]:
    """The words in lower case, without punctuation: "ভালো না!" gives ভালো, না."""
    return re.findall(r"[\w\u0980-\u09ff\u200d]+", nfc(text).lower())


def check_bangla(text: str) -> list[str]:
    """What is wrong with the form of a text, a sentence each; an empty list for a clean one."""
    found = []
    if nfc(text) != text:
        found.append("not NFC")
    if "\u200c" in text:
        found.append("a zero-width non-joiner")
    if re.search("(?<!র)\u200d|\u200d(?!্য)", text):
        found.append("a zero-width joiner outside র‍্য")
    if "\u09e4" in text or "\u0965" in text or re.search(r"[\u0980-\u09ff]\s?\|", text):
        found.append("something else in the place of a danda")
    if re.search(r"[ \t]।", text):
        found.append("a space before a danda")
    if "\ufffd" in text:
        found.append("a character that was lost")
    return found


def foreign_share(text: str) -> float:
    """The share of the letters that are Latin, 0 to 1."""
    latin, bangla = len(LATIN.findall(text)), len(BANGLA.findall(text))
    return latin / max(1, latin + bangla)


def shingles(text: str) -> set[str]:
    """Every run of five characters of the text, without case, punctuation and spaces at its ends."""
    plain = " ".join(words(text))
    return {plain[i : i + SHINGLE] for i in range(max(1, len(plain) - SHINGLE + 1))}


def near_duplicates(texts: list[str], others: list[str]) -> list[tuple[str, str, float]]:
    """The pairs (of `texts`, of `others`) whose shingles' Jaccard similarity reaches 0.6, with that similarity.

    Exact, by an index of shingles; common ones (in more than 2 % of the others) only confirm a pair, never find it.
    """
    index: dict[str, list[int]] = defaultdict(list)
    sets = [shingles(text) for text in others]
    for number, found in enumerate(sets):
        for shingle in found:
            index[shingle].append(number)
    common = max(20, len(others) // 50)
    pairs = []
    for text in texts:
        own = shingles(text)
        rare = [index[shingle] for shingle in own if len(index.get(shingle, ())) <= common]
        for number in set().union(*rare):
            similarity = len(own & sets[number]) / len(own | sets[number])
            if similarity >= NEAR:
                pairs.append((text, others[number], similarity))
    return pairs
