"""Writes marked Bangla sentences, "[PER রহিম] [LOC খুলনায়] থাকে।": templates filled with names and their endings.

Everything that teaches or tests the model has this one form; `parse` turns it into text and spans.
"""

import random
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from ..common.text import near_duplicates, nfc, words

HERE = Path(__file__).parent
KINDS = ("PER", "LOC", "ORG")
MARK = re.compile(r"\[(PER|LOC|ORG) ([^\[\]]+)\]")
CHOICE = re.compile(r"\(([^()]*\|[^()]*)\)")
SLOT = re.compile(r"([{<])([\w-]+)(?::([^}>]+))?[}>]")

Span = tuple[int, int, str]

SIGNS = "ািীুূৃেৈোৌ"
VOWELS = "অআইঈউঊঋএঐওঔ"
CONSONANTS = "কখগঘঙচছজঝঞটঠডঢণতথদধনপফবভমযরলশষসহৎ\u09bc"
ENDINGS = ("কে", "দের", "রা", "টা", "টি", "র", "এ")

# Vowel signs of made-up names; their other parts stand in words.txt.
MIDDLES = ["", "", "া", "া", "ি", "ী", "ু", "ে", "ো"]
FOREIGN_TAILS = {"river": ["দী", "ই", ""], "city": ["", "টন", "বার্গ", "কো"], "country": ["নিয়া", "স্তান", "ল্যান্ড"]}
INVENTED = 0.12  # of the names, so that the place in the sentence and the ending count, not only the list
EMPHASIS = 0.04  # of the names that a template leaves bare: an emphatic ও or ই can follow any word


def parse(marked: str) -> tuple[str, list[Span]]:
    """The text without its marks, and the spans (first character, one past the last, kind) that they covered."""
    text, spans, at = "", [], 0
    for mark in MARK.finditer(marked):
        text += marked[at : mark.start()]
        spans.append((len(text), len(text) + len(mark[2]), mark[1]))
        text, at = text + mark[2], mark.end()
    return text + marked[at:], spans


def lines(name: str) -> list[str]:
    """The sentences of a file of this folder."""
    text = nfc((HERE / name).read_text(encoding="utf-8"))
    return [line for line in text.splitlines() if line and not line.startswith("#")]


@cache
def sections(name: str) -> dict[str, list[str]]:
    """The word lists of a file of this folder, by heading."""
    found: dict[str, list[str]] = {}
    for line in lines(name):
        if heading := re.fullmatch(r"\[([\w-]+)\]", line):
            entries = found.setdefault(heading[1], [])
        else:
            entries += [entry.strip() for entry in line.split(",")]
    return found


def inflect(name: str, ending: str, rng: random.Random) -> str:
    """The name with an ending: ঢাকা and এ give ঢাকায়, ব্র্যাক and র give ব্র্যাকের.

    `ending` is one of কে, দের, রা, টা, টি, র, এ, with or without an emphatic ও or ই, or such an ও or ই alone.
    """
    case = next((case for case in ENDINGS if ending.startswith(case)), "")
    rest = ending[len(case) :]
    last = name.removesuffix("ঁ")[-1:]
    if last == "ৎ" and case in ("র", "রা", "এ"):
        name, last = name[:-1] + "ত", "ত"
    if case in ("র", "রা"):
        if last in "ৈৌং" or last in VOWELS:
            case = "য়ে" + case
        elif last in CONSONANTS and not (name[-2:-1] == "্" and rng.random() < 0.4):
            case = "ে" + case
    elif case == "এ":
        if last == "া":
            case = "য়" if rng.random() < 0.85 or name.endswith("ঁ") else "তে"
        elif last in "িীুূৃে":
            case = "তে"
        elif last == "ো":
            case = rng.choice(["তে", "য়"])
        elif last in "ৈৌং" or last in VOWELS:
            case = "তে" if last == "ই" and rng.random() < 0.3 else "য়ে"
        elif last in CONSONANTS:
            case = "ে"
    return nfc(name + case + rest)


class Writer:
    """Fills the templates. The same seed writes the same sentences."""

    def __init__(self, seed: int):
        self.random = random.Random(seed)
        self.names, self.places = sections("names.txt"), sections("places.txt")
        self.organisations, self.words = sections("organisations.txt"), sections("words.txt")
        self.templates = lines("templates.txt")
        self.first_names = sorted({name for key in FIRST for name in self.names[key] if " " not in name})

    def sentence(self) -> str:
        """A marked sentence from a template."""
        template = self.pick(self.templates)
        return self.fill(CHOICE.sub(lambda m: self.pick(m[1].split("|")), template))

    def fill(self, template: str) -> str:
        """The template with names and words in its places."""
        return SLOT.sub(self.slot, template)

    def slot(self, match: re.Match) -> str:
        opening, name, ending = match.groups()
        if opening == "<":
            word = self.random.choice(self.words[name])
            return inflect(word, ending, self.random) if ending else word
        kind = "PER" if name in PEOPLE else "LOC" if name in PLACES else "ORG"
        return self.marked(kind, self.named(kind, name), ending)

    def named(self, kind: str, slot: str) -> str:
        """A name without an ending; the slots "per", "loc" and "org" take any of their kind."""
        return {"PER": self.person, "LOC": self.place, "ORG": self.organisation}[kind](slot)

    def marked(self, kind: str, entity: str, ending: str | None) -> str:
        if not ending and self.random.random() < EMPHASIS:
            ending = self.random.choice("ওওই")
        return f"[{kind} {inflect(entity, ending, self.random) if ending else entity}]"

    def pick(self, entries: list[str]) -> str:
        return self.random.choice(entries)

    def chance(self, share: float) -> bool:
        return self.random.random() < share

    # people

    def person(self, slot: str) -> str:
        if slot == "per":
            slot = "full" if self.chance(0.5) else "first"
        if slot == "family":
            return self.pick(self.names["family-bare"])
        if slot == "foreign":
            return self.pick(self.names["foreign"])
        if slot == "first":
            if self.chance(INVENTED):
                return self.invented_name()
            return self.pick(self.names["nick"]) if self.chance(0.35) else self.given(self.community())
        return self.full_name()

    def community(self) -> str:
        return self.random.choices(list(COMMUNITIES), [weight for weight, _ in COMMUNITIES.values()])[0]

    def given(self, community: str) -> str:
        return self.pick(self.names[community])

    def full_name(self) -> str:
        kind = self.random.random()
        if kind < 0.07:
            return self.pick(self.names["famous"])
        if kind < 0.13:
            return self.pick(self.names["foreign"])
        community = self.community()
        lasts = self.names[COMMUNITIES[community][1]]
        given = self.invented_name() if self.chance(INVENTED) else self.given(community)
        last = self.invented_name() if self.chance(0.08) else self.pick(lasts)
        if community.startswith("hindu") and self.chance(0.3):
            given += " " + self.pick(self.names["hindu-middle"])
        if community == "muslim-male" and self.chance(0.2):
            given = self.pick(self.names["muslim-prefix"]) + " " + given
        if community.startswith("muslim") and self.chance(0.15):
            given += " " + self.given(community)
        if self.chance(0.06):
            last += " " + self.pick(self.names["nick"])
        return f"{given} {last}"

    def invented_name(self) -> str:
        """A name nobody has: syllables, or the head of one name with the tail of another."""
        if self.chance(0.5):
            head, tail = self.pick(self.first_names), self.pick(self.first_names)
            return splice(head, tail, self.random)
        return self.syllables(self.random.choice((2, 2, 3)))

    def syllables(self, number: int) -> str:
        parts = [
            self.pick(self.words["onset"]) + self.pick(MIDDLES) + self.pick(self.words["coda"]) for _ in range(number)
        ]
        return self.pick(["", "", "", "আ", "ই", "এ", "ও"]) + "".join(parts)

    # places

    def place(self, slot: str) -> str:
        if slot == "loc":
            slot = self.random.choices(
                ("district", "town", "area", "village", "city", "country", "mark"), (30, 28, 16, 14, 7, 3, 2)
            )[0]
        if slot in ("district", "town", "village", "area") and self.chance(INVENTED):
            return self.invented_place()
        if slot == "mark":
            if self.chance(0.3):
                return f"{self.root()} {self.pick(self.places['landmark-tail'])}"
            slot = "landmark"
        elif slot == "road" and self.chance(0.5):
            root = self.given(self.community()) if self.chance(0.4) else self.root()
            return f"{root} {self.pick(self.places['road-tail'])}"
        elif slot == "water" and self.chance(0.4):
            return f"{self.invented_place()} {self.pick(self.places['water-tail'])}"
        elif slot in ("river", "city", "country") and self.chance(0.1):
            return self.syllables(2) + self.pick(FOREIGN_TAILS[slot])
        return self.pick(self.places[slot])

    def root(self) -> str:
        """A place that others are named after."""
        return self.place(self.random.choices(("district", "town", "area", "village"), (3, 3, 2, 2))[0])

    def invented_place(self) -> str:
        head = self.pick(self.first_names) if self.chance(0.4) else self.syllables(self.random.choice((1, 2)))
        if self.chance(0.75):
            return head + self.pick(self.words["town-tail"])
        return splice(self.pick(self.places["town"]), self.pick(self.places["town"]), self.random)

    # organisations

    def organisation(self, slot: str) -> str:
        if slot == "org":
            slot = self.random.choices(
                ("company", "ngo", "gov", "edu", "bank", "media", "club", "hospital"), (24, 16, 16, 16, 8, 8, 6, 6)
            )[0]
        made = self.organisations
        if slot == "gov" and self.chance(0.45):
            kind = self.random.random()
            if kind < 0.4:
                return f"{self.pick(made['ministry'])} মন্ত্রণালয়"
            if kind < 0.6:
                return f"{self.pick(made['office-head'])} {self.pick(made['office-tail'])}"
            return f"{self.root()} {self.pick(made['local-gov-tail'])}"
        tails = made.get(f"{slot}-tail")
        if tails and self.chance(0.2 if slot == "bank" else 0.4):
            return f"{self.brand(slot)} {self.pick(tails)}"
        if self.chance(0.08):
            return self.invented_name() if self.chance(0.6) else self.letters()
        return self.pick(made[slot])

    def brand(self, slot: str) -> str:
        kind = self.random.random()
        if slot in ("edu", "hospital", "club") and kind < 0.55 or kind < 0.25:
            return self.root()
        if kind < 0.7:
            return self.pick(self.organisations["brand"])
        if kind < 0.85:
            return self.full_name() if slot in ("edu", "hospital", "ngo") else self.given(self.community())
        return self.invented_name()

    def letters(self) -> str:
        """An abbreviation, spelt as it is read: টিএমএ."""
        return "".join(self.random.choices(self.words["letter"], k=self.random.choice((3, 3, 4))))


FIRST = ("muslim-male", "muslim-female", "hindu-male", "hindu-female", "christian", "hill", "plain-adivasi", "nick")
# Community: weight, the list of its last names.
COMMUNITIES = {
    "muslim-male": (36, "muslim-male-last"),
    "muslim-female": (30, "muslim-female-last"),
    "hindu-male": (10, "hindu-last"),
    "hindu-female": (10, "hindu-last"),
    "christian": (5, "christian-last"),
    "hill": (5, "hill-last"),
    "plain-adivasi": (3, "plain-adivasi-last"),
    "buddhist": (2, "buddhist-last"),
}
PEOPLE = {"per", "first", "full", "family", "foreign"}
PLACES = {"loc", "village", "river", "water", "country", "city", "mark", "road"}


def clusters(word: str) -> list[str]:
    """The word in written syllables: রহমান gives র, হ, মা, ন."""
    return re.findall(r"(?:[ক-হড়ঢ়য়ৎ]\u09bc?(?:্[ক-হ]\u09bc?)*|.)[ািীুূৃেৈোৌংঃঁ]*", word)


def splice(head: str, tail: str, rng: random.Random) -> str:
    one, two = clusters(head), clusters(tail)
    return "".join(one[: rng.randint(1, max(1, len(one) - 1))] + two[-rng.randint(1, max(1, len(two) - 1)) :])


def without_ending(word: str) -> set[str]:
    """The word, and what may be left of it without its ending: খুলনায় gives খুলনায়, খুলনা and খুলনায়'s other readings."""
    bare = {word}
    for emphasis in ("", "ও", "ই"):
        if word.endswith(emphasis):
            stem = word.removesuffix(emphasis)
            bare |= {stem} | {stem.removesuffix(nfc(tail)) for tail in TAILS}
    return bare


@cache
def known_words() -> set[str]:
    """Every word, bare or with an ending, that training shows in a name: the lists and the marked sentences."""
    known = {
        word
        for name in ("names.txt", "places.txt", "organisations.txt")
        for entries in sections(name).values()
        for entry in entries
        for word in words(entry)
    }
    for name in MARKED:
        known |= {word for line in lines(name) for _, covered in MARK.findall(line) for word in words(covered)}
    return known


TAILS = ("র", "ের", "য়ের", "কে", "দের", "েরা", "রা", "টা", "টি", "য়", "তে", "ে", "য়ে")
WRITTEN = tuple(sorted(f"written/{path.name}" for path in (HERE / "written").glob("*.txt")))
MARKED = ("ambiguous.txt", "prose.txt", *WRITTEN)
SHARES = {"templates": 0.26, "written": 0.5, "prose.txt": 0.13, "plain.txt": 0.05, "ambiguous.txt": 0.06}
EXCHANGED = 0.4  # of the names in a written sentence, for another of its kind with the same ending
FROM_LISTS = 0.5  # of the names that a bare one is exchanged for, so that new names stand in real sentences too


def ending(name: str) -> str:
    """What a name's last word ends in, as far as TAILS knows; empty for a bare one."""
    return max((tail for tail in map(nfc, TAILS) if name.endswith(tail)), key=len, default="")


class Written:
    """The hand-marked sentences, with some of their names exchanged."""

    def __init__(self, writer: Writer):
        self.writer, self.random = writer, writer.random
        found = {parse(line)[0]: line for name in WRITTEN for line in lines(name)}
        held_out = [parse(line)[0] for name in ("test.txt", "dev.txt") for line in lines(name)]
        near = {text for text, _, _ in near_duplicates([*found], held_out)}
        self.lines = [line for text, line in found.items() if text not in near]
        self.names: dict[tuple[str, str], list[str]] = {}
        for line in self.lines:
            for kind, name in MARK.findall(line):
                self.names.setdefault((kind, ending(name)), []).append(name)

    def sentence(self) -> str:
        return MARK.sub(self._other, self.random.choice(self.lines))

    def _other(self, mark: re.Match) -> str:
        kind, name = mark.groups()
        if self.random.random() < EXCHANGED:
            if not ending(name) and self.random.random() < FROM_LISTS:
                name = self.writer.named(kind, kind.lower())
            else:
                name = self.random.choice(self.names[kind, ending(name)])
        return f"[{kind} {name}]"


def training_set(number: int, seed: int) -> Iterator[str]:
    """`number` marked examples of one to four sentences: templates, written ones, prose, sentences without names."""
    writer = Writer(seed)
    rng = writer.random
    by_hand = Written(writer)
    others = {name: lines(name) for name in SHARES if name.endswith(".txt")}
    sources, weights = list(SHARES), list(SHARES.values())
    for _ in range(number):
        parts = []
        for _ in range(rng.choices((1, 2, 3, 4), (70, 16, 8, 6))[0]):
            source = rng.choices(sources, weights)[0]
            if source == "templates":
                parts.append(writer.sentence())
            elif source == "written":
                parts.append(by_hand.sentence())
            else:
                parts.append(writer.fill(rng.choice(others[source])))
        example = " ".join(parts)
        yield example.rstrip("।") if rng.random() < 0.15 else example
