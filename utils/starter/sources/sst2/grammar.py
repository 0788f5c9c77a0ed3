"""Writes English sentences with a known feeling by expanding the rules of `grammar.txt` over the lexicon."""

import random
import re

from . import lexicon
from .lexicon import HERE, NEGATIVE, NEUTRAL, POSITIVE

CHOICE = re.compile(r"\(([^()]*\|[^()]*)\)")
SLOT = re.compile(r"<(-?)(\w+)(?:\.(\w+))?>|\{(\w+)\}")
RULE = re.compile(r"(?:([+-]) )?(?:(\d+) )?(.*)")
# What made-up words are made of; the vowels that English likes stand twice.
ONSETS = ("b", "br", "ch", "d", "f", "fl", "g", "gr", "h", "j", "k", "kl", "l", "m", "n", "p", "pl", "r", "s", "t", "z")
VOWELS = ("a", "a", "e", "e", "i", "i", "o", "o", "u", "ai", "ea", "oo")
CODAS = ("", "", "n", "r", "l", "s", "t", "k", "m", "nd", "st", "x")
FOREIGN_LETTERS = "αβγδεζηθικλμνξοπρστυφχψω"


class Grammar:
    """Rules and lexicon, ready to write. The same seed writes the same sentences."""

    def __init__(self, seed: int):
        self.random = random.Random(seed)
        self.lexicon = lexicon.load()
        self.words = sorted({word for sections in self.lexicon.values() for word in lexicon.long_words(sections)})
        self.rules: dict[tuple[str, str], tuple[list[str], list[int]]] = {}
        for line in (HERE / "grammar.txt").read_text(encoding="utf-8").splitlines():
            if heading := re.fullmatch(r"\[(\w+)\]", line):
                name = heading[1]
            elif line and not line.startswith("#"):
                only, weight, template = RULE.fullmatch(line).groups()
                for sign in (POSITIVE, NEGATIVE):
                    if only in (None, sign):
                        templates, weights = self.rules.setdefault((name, sign), ([], []))
                        templates.append(template)
                        weights.append(int(weight or 1))

    def sentence(self, sign: str) -> str:
        """Return one sentence whose feeling is `sign`, lower-case but for names, mostly without a final stop."""
        text = self.expand("sentence", sign)
        text = re.sub(r"\barticle (?=(\W*\w))", lambda m: "an " if m[1].lower() in "aeiou" else "a ", text)
        text = re.sub(r"\s+", " ", text).replace(" ,", ",").replace(" .", ".").strip(" ,")
        return text[:1].upper() + text[1:]

    def expand(self, name: str, sign: str) -> str:
        """Return one expansion of a rule for that feeling."""
        templates, weights = self.rules[name, sign]
        return self.fill(self.random.choices(templates, weights)[0], sign)

    def fill(self, template: str, sign: str) -> str:
        """Return the template with its choices made and its slots filled."""
        template = CHOICE.sub(lambda m: self.random.choice(m[1].split("|")), template)
        return SLOT.sub(lambda m: self.slot(*m.groups(), sign=sign), template)

    def slot(self, flip: str, role: str | None, form: str | None, neutral: str | None, sign: str) -> str:
        if neutral:
            return self.neutral(neutral, sign)
        if flip:
            sign = NEGATIVE if sign == POSITIVE else POSITIVE
        if (role, sign) in self.rules:
            return self.expand(role, sign)
        # "one" asks for a single word of the role: "not badly made", but never "not like a snail made".
        entries = self.lexicon[sign][role]
        if form == "one":
            return self.random.choice([entry for entry in entries if " " not in entry])
        entry = self.random.choice(entries)
        if form:
            entry = lexicon.inflect(entry, form)
        if role == "effect":
            who = self.expand("obj", sign)
            entry = entry.replace("_", who) if "_" in entry else f"{entry} {who}"
        return entry

    def neutral(self, name: str, sign: str) -> str:
        if name == "unknown":
            return self.unknown_word()
        if name == "article":
            return name
        if (name, sign) in self.rules:
            return self.expand(name, sign)
        return self.fill(self.random.choice(self.lexicon[NEUTRAL][name]), sign)

    def unknown_word(self) -> str:
        """Return a made-up word: real input is full of words that the model has never met and must look past.

        Half of them are spliced from two known words ("curtain" and "fewer" give "curwer"), so that no piece of a word
        carries the feeling of the words it is found in; one in ten is in letters that the tokenizer turns into [UNK].
        """
        kind = self.random.random()
        if kind < 0.1:
            return "".join(self.random.choices(FOREIGN_LETTERS, k=4))
        if kind < 0.6:
            head, tail = self.random.choices(self.words, k=2)
            return head[: self.random.randint(2, 4)] + tail[-self.random.randint(2, 4) :]
        syllables = self.random.choice((1, 2, 2, 3))
        pick = self.random.choice
        return "".join(pick(ONSETS) + pick(VOWELS) + pick(CODAS) for _ in range(syllables))
