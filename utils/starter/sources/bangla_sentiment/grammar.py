"""Writes Bangla comments with a known feeling by expanding the rules of `grammar.txt` over the lexicon."""

import random
import re
from collections.abc import Mapping, Sequence

from . import lexicon
from .lexicon import DOMAINS, HERE, NEGATIVE, NEUTRAL, POSITIVE

CHOICE = re.compile(r"\(([^()]*\|[^()]*)\)")
SLOT = re.compile(r"<(-?)(\w+?)(\.no)?>|\{(\w+)\}")
RULE = re.compile(r"(?:([+0-]) )?(?:(\d+) )?(.*)")
ENDING = re.compile(r"(\S)~(এর|এ)")
VOWEL = re.compile(r"[\u0985-\u0994\u09be-\u09cca-z]")
# Good for practice, too loose or too like a hand-written row to be a row itself.
PRACTICE = re.compile(r"<-?(written|cued)>")
OPPOSITE = {POSITIVE: NEGATIVE, NEGATIVE: POSITIVE}


class Grammar:
    """Rules, lexicon and, where given, whole sentences by sign. The same seed writes the same comments."""

    def __init__(self, seed: int, written: Mapping[str, Sequence[str]] | None = None):
        self.random = random.Random(seed)
        self.lexicon = lexicon.load()
        self.written = written
        self.rules: dict[tuple[str, str], tuple[list[str], list[int]]] = {}
        self.ironic, self.topic, self.domain = False, "", DOMAINS[0]
        rules: dict[str, list[tuple[str | None, int, str]]] = {}
        for line in lexicon.lines(HERE / "grammar.txt"):
            if heading := re.fullmatch(r"\[(\w+)\]", line):
                section = rules.setdefault(heading[1], [])
            else:
                only, weight, template = RULE.fullmatch(line).groups()
                if written or not PRACTICE.search(template):
                    section.append((only, int(weight or 1), template))
        for name, section in rules.items():
            own_neutral = any(only == NEUTRAL for only, _, _ in section)
            for sign in (POSITIVE, NEGATIVE, NEUTRAL):
                common = () if sign == NEUTRAL and own_neutral else (None,)
                fits = [(template, weight) for only, weight, template in section if only in (sign, *common)]
                if fits:
                    self.rules[name, sign] = tuple(map(list, zip(*fits, strict=True)))

    def sentence(self, sign: str) -> str:
        """A comment whose feeling is `sign`; `ironic` tells afterwards whether it means the opposite."""
        self.ironic, self.topic = False, ""
        self.domain = self.random.choice(DOMAINS)
        text = self.expand("sentence", sign)
        text = ENDING.sub(ending, text).replace("টাটা", "টা")
        text = re.sub(r"\s+", " ", text)
        return re.sub(r"\s+(?=[,।?!.])", "", text).strip(" ,")

    def expand(self, name: str, sign: str) -> str:
        templates, weights = self.rules[name, sign]
        self.ironic |= name.startswith("irony")
        template = self.random.choices(templates, weights)[0]
        while (chosen := CHOICE.sub(lambda m: self.random.choice(m[1].split("|")), template)) != template:
            template = chosen
        return SLOT.sub(lambda m: self.slot(*m.groups(), sign=sign), template)

    def slot(self, flip: str, role: str | None, no: str | None, neutral: str | None, sign: str) -> str:
        name = role or neutral
        if flip:
            sign = OPPOSITE[sign]
        if name == "written":
            return self.random.choice(self.written[sign])
        for rule in (f"{name}_{self.domain}", name):
            if (rule, sign) in self.rules:
                return self.expand(rule, sign)
        if name == "topic" and self.topic and self.random.random() < 0.5:
            return self.topic
        roles = self.lexicon[sign if role else NEUTRAL]
        sections = [roles[key] for key in (name, f"{name}_{self.domain}") if key in roles]
        entry = self.random.choice(self.random.choice(sections))
        if name == "topic":
            self.topic = entry
        return entry.split("=")[-1 if no else 0]


def ending(found: re.Match) -> str:
    """The case ending that fits the letter before it: ফোন~এর gives ফোনের, বাসা~এ বাসায়, phone~এর phone এর."""
    last, case = found.groups()
    if last.isascii():
        return f"{last} {case}"
    if last in "ািুূইউ" and case == "এ":
        return last + ("য়" if last == "া" else "তে")
    if VOWEL.match(last):
        return last + ("র" if case == "এর" else "তে")
    return last + ("ের" if case == "এর" else "ে")
