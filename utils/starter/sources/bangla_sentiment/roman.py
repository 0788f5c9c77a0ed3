"""Writes Bangla in Latin letters as people type it (Banglish): ভালো becomes valo or bhalo, ছিল chilo or silo."""

import random


def table(pairs: str) -> dict[str, str]:
    return {pair[0]: pair[1:] for pair in pairs.split()}


CONSONANTS = table(
    "কk খkh গg ঘgh ঙng চch ছch জj ঝjh ঞn টt ঠth ডd ঢdh ণn তt থth দd ধdh নn পp ফf বb ভv মm যj রr লl শsh ষsh সs হh ৎt"
)
VOWELS = table("অo আa ইi ঈi উu ঊu ঋri এe ঐoi ওo ঔou")
SIGNS = table("\u09bea \u09bfi \u09c0i \u09c1u \u09c2u \u09c3ri \u09c7e \u09c8oi \u09cbo \u09ccou")
OTHERS = {"ং": "ng", "ঃ": "", "ঁ": "", "।": ".", "\u200d": ""}
HASANTA, NUKTA = "\u09cd", "\u09bc"
DOTTED = {"য": "y", "ড": "r", "ঢ": "r"}
DIGITS = str.maketrans("০১২৩৪৫৬৭৮৯", "0123456789")
# One writer keeps to one habit; any of them may be met.
HABITS = (("ch", "s"), ("v", "bh"), ("j", "z"), ("sh", "s"), ("f", "ph"), ("ng", "n"))
# Spellings that no rule gives.
USUAL = {
    "খুব": ("khub", "khob"),
    "ভালো": ("valo", "bhalo", "vlo", "valoo"),
    "ভাই": ("vai", "bhai"),
    "আমি": ("ami",),
    "নেই": ("nei", "nai"),
    "না": ("na",),
    "কি": ("ki",),
    "কী": ("ki",),
    "কেন": ("keno", "kn"),
    "হয়েছে": ("hoyeche", "hoise", "hoyse", "hoeche"),
    "করেছে": ("koreche", "korse"),
    "গেছে": ("geche", "gese"),
    "ছিল": ("chilo", "silo", "chhilo"),
    "আছে": ("ache", "ase"),
    "থেকে": ("theke", "thake"),
    "কিন্তু": ("kintu", "kinto", "but"),
    "দাম": ("dam", "price"),
    "টাকা": ("taka", "tk"),
    "সমস্যা": ("somossa", "problem", "shomossha"),
    "ধন্যবাদ": ("dhonnobad", "thanks", "donnobad"),
    "অনেক": ("onek", "onk"),
    "জন্য": ("jonno", "jonne"),
    "মধ্যে": ("moddhe",),
    "বিশ্ব": ("bissho",),
    "ব্যবহার": ("bebohar", "babohar", "behavior"),
    "অভিজ্ঞতা": ("oviggota", "experience"),
    "সার্ভিস": ("service",),
    "ডেলিভারি": ("delivery",),
    "ফোন": ("phone",),
    "ভিডিও": ("video",),
    "অ্যাপ": ("app",),
    "কোয়ালিটি": ("quality",),
    "সাউন্ড": ("sound",),
    "চার্জ": ("charge",),
    "ক্যামেরা": ("camera",),
    "ব্যাটারি": ("battery",),
    "স্যার": ("sir",),
    "ডাক্তার": ("doctor", "daktar"),
    "নাটক": ("natok", "drama"),
    "সিনেমা": ("cinema", "movie"),
    "একদম": ("ekdom", "akdom", "akdm"),
    "এটা": ("eta", "ata"),
    "আমার": ("amar", "amr"),
    "আপনাদের": ("apnader", "apnder"),
}


def romanise(text: str, chance: random.Random, share: float = 1.0) -> str:
    """The text with that share of its words in Latin letters, by one writer's habits."""
    habits = [pair for pair in HABITS if chance.random() < 0.4]
    done = [romanise_word(word, chance, habits) if chance.random() < share else word for word in text.split(" ")]
    return " ".join(done)


def romanise_word(word: str, chance: random.Random, habits: list[tuple[str, str]]) -> str:
    bare = word.rstrip("।,.!?")
    for stem, end in ((bare, ""), (bare.removesuffix("টা"), "ta")):
        if stem in USUAL:
            return chance.choice(USUAL[stem]) + end + word[len(bare) :].replace("।", ".")
    out: list[str] = []
    for i, letter in enumerate(word):
        after = word[i + 1 : i + 2]
        before = word[i - 1 : i]
        if letter in CONSONANTS:
            sound = DOTTED[letter] if after == NUKTA and letter in DOTTED else CONSONANTS[letter]
            after = word[i + 2 : i + 3] if after == NUKTA else after
            if before == HASANTA and letter == "য":
                sound = chance.choice(("", "y")) if out else "y"
            for usual, other in habits:
                sound = other if sound == usual else sound
            out.append(sound)
            out.append(_inherent(word, i, before, after, chance))
        elif letter in VOWELS:
            out.append(VOWELS[letter])
        elif letter in SIGNS:
            out.append(SIGNS[letter])
        elif letter not in (HASANTA, NUKTA):
            out.append(OTHERS.get(letter, letter))
    return "".join(out).translate(DIGITS)


def _inherent(word: str, i: int, before: str, after: str, chance: random.Random) -> str:
    """The unwritten vowel: heard at the head of a word and after a cluster, mostly within, seldom at the end."""
    if after in SIGNS or after == HASANTA:
        return ""
    if after in CONSONANTS or after in VOWELS or after == "ং":
        between = before in SIGNS and word[i + 2 : i + 3] in SIGNS  # খাবারটা: the র falls silent, khabarta
        return "o" if i == 0 or chance.random() < (0.15 if between else 0.85) else ""
    return "o" if before == HASANTA else ""
