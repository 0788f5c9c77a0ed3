"""Makes the conversations that chat-bn learns from: the hand-written pairs, in many wordings, a few turns each.

`pairs/*.tsv` hold what to say (prompts or words between bars, TAB, the answer), `wordings.txt` how each family of
prompts is asked. The same seed always makes the same conversations.
"""

import json
import random
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from utils.starter.sources.bangla_corpus import data as corpus
from utils.starter.sources.common.cards import BANGLA_DIGITS
from utils.starter.sources.common.text import near_duplicates, nfc, words

HERE = Path(__file__).parent
# How often each family is drawn, beside the others.
SHARES = {
    "talk": 12,
    "opposite": 14,
    "synonym": 5,
    "what": 5,
    "who": 1.5,
    "when": 1.5,
    "howmany": 4.5,
    "group": 8,
    "lists": 1.5,
    "sum": 8,
    "difference": 6,
    "neighbour": 3,
    "count": 2.5,
    "yesno": 14,
    "echo": 7,
    "twice": 2,
    "person": 7,
    "howto": 4.5,
    "define": 5,
    "unknown": 3,
}
STRICT = {"echo", "twice", "person", "yesno"}  # no word may be put before or after: it would be part of what is asked
SLIPS = [("কী", "কি"), ("ী", "ি"), ("ণ", "ন"), ("ঠান্ডা", "ঠাণ্ডা"), ("ষ", "শ"), ("ঁ", ""), ("ো", ""), ("কীভাবে", "কিভাবে")]


def rows(name: str) -> list[list[str]]:
    """The lines of `pairs/NAME.tsv`, their cells."""
    return [line.split("\t") for line in (HERE / "pairs" / f"{name}.tsv").read_text("utf-8").splitlines() if line]


def written() -> list[tuple[str, str]]:
    """The hand-written (prompt or what it asks of, answer), one for each wording between bars."""
    names = sorted(path.stem for path in (HERE / "pairs").glob("*.tsv"))
    return [(asked, row[-1]) for name in names for row in rows(name) for asked in row[0].split("|")]


@cache
def sections(name: str) -> dict[str, list[str]]:
    """{section: its lines} of `wordings.txt` or `slots.txt`."""
    found: dict[str, list[str]] = {}
    for line in (HERE / name).read_text("utf-8").splitlines():
        if line.startswith("["):
            section = found.setdefault(line.strip("[]"), [])
        elif line and not line.startswith("#"):
            section.append(line)
    return found


def wordings() -> dict[str, list[str]]:
    """{family: its wordings}."""
    return sections("wordings.txt")


NUMBERS = sections("slots.txt")["numbers"]  # from 0 to 20


def genitive(word: str) -> str:
    """The word with its genitive ending: মা gives মায়ের, নদী gives নদীর, গাছ gives গাছের."""
    if word in ("বড়", "ছোট", "ঘন", "ভালো", "কালো"):
        return word + "র"
    if re.fullmatch(r"[\u0995-\u09b9]\u09be|.*[ইউ]", word):
        return word + "য়ের"
    return word + ("র" if re.search(r"[ািীুূেৈোৌওআএ]$", word) else "ের")


def bangla(number: int) -> str:
    return str(number).translate(BANGLA_DIGITS)


def follows(reply: str, rule: dict) -> bool:
    """Whether a reply keeps a rule of `test.jsonl`: every key of it must hold.

    A member of a list counts where a word begins with it, each once; a number never counts within a larger one.
    """
    text = nfc(reply).strip()
    said = text.split()

    def holds(part: str) -> bool:
        if re.fullmatch("[০-৯]+", part):
            return bool(re.search(f"(?<![০-৯]){part}(?![০-৯])", text))
        return nfc(part) in text

    counted, rest = 0, text
    for member in sorted(map(nfc, rule.get("count_from", ())), key=len, reverse=True):
        number = r"(?![০-৯])" if member[-1] in "০১২৩৪৫৬৭৮৯" else ""
        pattern = rf"(?<![\w\u0980-\u09ff]){re.escape(member)}{number}"
        counted += bool(re.search(pattern, rest))
        rest = re.sub(pattern, "·", rest)
    return (
        ("contains" not in rule or holds(rule["contains"]))
        and ("any" not in rule or any(map(holds, rule["any"])))
        and ("equals_any" not in rule or text in map(nfc, rule["equals_any"]))
        and ("not_contains" not in rule or nfc(rule["not_contains"]) not in text)
        and counted >= rule.get("n", 0)
        and len(said) <= rule.get("max_words", 1000)
    )


def held_out(name: str) -> list[dict]:
    """`test.jsonl` or `dev.jsonl`: prompt and rule."""
    return [json.loads(line) for line in (HERE / name).read_text("utf-8").splitlines() if line]


@dataclass(frozen=True)
class Turn:
    """A question and its answer."""

    prompt: str
    answer: str


class Writer:
    """Writes turns, the same ones for the same seed."""

    def __init__(self, seed: int):
        self.random = random.Random(seed)
        self.tables = {path.stem: rows(path.stem) for path in (HERE / "pairs").glob("*.tsv")}
        self.names = (HERE / "pairs" / "names.txt").read_text("utf-8").split()
        self.common = (HERE / "pairs" / "words.txt").read_text("utf-8").split()
        text = " ".join(piece.text for piece in corpus.splits()["train"])
        counted = Counter(re.findall(r"[\u0985-\u09ce\u09dc-\u09df\u09bc]+", text))
        self.wide = sorted(word for word, count in counted.items() if count > 1 and 1 < len(word) < 10)
        self.families: dict[str, Callable[[], Turn]] = {name: getattr(self, f"_{name}") for name in SHARES}

    def turn(self) -> Turn:
        """A turn of a family drawn by its share, worded at random and not always typed with care."""
        (family,) = self.random.choices(list(SHARES), SHARES.values())
        turn = self.families[family]()
        return Turn(nfc(self._typed(turn.prompt, family)), nfc(turn.answer))

    def person(self) -> str:
        if self.random.random() < 0.5:
            return self.random.choice(self.names)
        return self.random.choice(self.wide if self.random.random() < 0.5 else self.names)

    def _typed(self, prompt: str, family: str) -> str:
        """As people type: with or without the last mark, with a word before or after, now and then with a slip."""
        chance = self.random.random
        if chance() < 0.45:
            prompt = prompt.rstrip("?।")
        elif prompt[-1] not in "?।" and chance() < 0.25 and family not in ("echo", "twice"):
            prompt += self.random.choice("?।")
        if family not in STRICT and chance() < 0.14:
            prompt = f"{self._slot('before')} {prompt}"
        if family not in STRICT and chance() < 0.09:
            prompt = f"{prompt.rstrip('?।')} {self._slot('after')}"
        if family not in ("echo", "twice", "person"):
            if chance() < 0.2:
                prompt = prompt.replace(*self.random.choice(SLIPS[:1] + SLIPS))
            if chance() < 0.05 and len(prompt) > 12:
                place = self.random.randrange(3, len(prompt) - 1)
                prompt = prompt[:place] + prompt[place + 1 :]
            if chance() < 0.15:
                prompt = prompt.replace("?", self.random.choice([" ?", "??", "???"]))
                prompt = prompt.replace(" এর", self.random.choice(["-এর", "এর", "'র"]))
        return prompt

    def _worded(self, family: str, **values: str) -> str:
        return self.random.choice(wordings()[family]).format(**values)

    def _slot(self, name: str) -> str:
        return self.random.choice(sections("slots.txt")[name])

    def _quoted(self, word: str) -> str:
        mark = self.random.choice("'\"") if self.random.random() < 0.2 else ""
        return mark + word + mark

    def _whole(self, table: str) -> Turn:
        asked, answer = self.random.choice(self.tables[table])
        return Turn(self.random.choice(asked.split("|")), answer)

    def _talk(self) -> Turn:
        return self._whole("talk")

    def _lists(self) -> Turn:
        return self._whole("lists")

    def _unknown(self) -> Turn:
        return self._whole("unknown")

    def _opposite(self) -> Turn:
        word, other = self.random.choice(self.tables["opposites"])
        return Turn(self._worded("opposite", w=self._quoted(word), w_=genitive(word)), f"উল্টোটা হলো {other}।")

    def _synonym(self) -> Turn:
        word, other = self.random.choice(self.tables["synonyms"])
        return Turn(self._worded("synonym", w=self._quoted(word), w_=genitive(word)), f"আরেকটা শব্দ হলো {other}।")

    def _fact(self, table: str) -> tuple[str, str]:
        asked, answer = self.random.choice(self.tables[table])
        return self.random.choice(asked.split("|")), answer

    def _what(self) -> Turn:
        asked, answer = self._fact("facts")
        family = "national" if "জাতীয়" in asked and self.random.random() < 0.4 else "what"
        return Turn(self._worded(family, x=asked, x_=genitive(asked), last=asked.split()[-1]), answer)

    def _who(self) -> Turn:
        asked, answer = self._fact("who")
        return Turn(self._worded("who", x=asked, x_=genitive(asked)), answer)

    def _when(self) -> Turn:
        asked, answer = self._fact("when")
        return Turn(self._worded("when", x=asked, x_=genitive(asked)), answer)

    def _howmany(self) -> Turn:
        place, thing, answer = self.random.choice(self.tables["howmany"])
        return Turn(self._worded("howmany", p=place, t=thing), answer)

    def _group(self) -> Turn:
        names, members = self.random.choice(self.tables["groups"])
        members = members.split(", ")
        number = self.random.randint(1, len(members))
        head = self.random.choice([bangla(number), bangla(number), NUMBERS[number]])
        ending = self.random.choice(["টা", "টা", "টি", "টি", " টি", " টা"])
        said = {1: "একটা", 2: "দুটি"}.get(number) if self.random.random() < 0.3 else None
        if self.random.random() < 0.08:
            number, said = 3, self.random.choice(["কয়েকটা", "কিছু", "কয়েকটি", "কতগুলো"])
        group = self.random.choice([name for name in names.split("|") if name[-1] == "র"])
        return Turn(self._worded("group", n=said or head + ending, g=group), ", ".join(members[:number]) + "।")

    def _number(self, number: int, in_words: bool) -> str:
        return NUMBERS[number] if in_words else bangla(number)

    def _reckoning(self, family: str, first: int, second: int, result: int) -> Turn:
        kind = self.random.random()
        spelt = [self._number(number, kind < 0.3) for number in (first, second)]
        if kind > 0.92:
            spelt = [str(first), str(second)]
        things = {"o": self._slot("things"), "who": self._slot("owners")}
        return Turn(self._worded(family, a=spelt[0], b=spelt[1], **things), f"উত্তর {bangla(result)}।")

    def _sum(self) -> Turn:
        one, two = self.random.randint(0, 10), self.random.randint(1, 10)
        return self._reckoning("sum", one, two, one + two)

    def _difference(self) -> Turn:
        whole = self.random.randint(1, 10) if self.random.random() < 0.85 else self.random.randint(11, 20)
        part = self.random.randint(1, min(whole, 10))
        return self._reckoning("difference", whole, part, whole - part)

    def _neighbour(self) -> Turn:
        number = self.random.randint(1, 19)
        step, family = self.random.choice([(1, "after"), (-1, "before")])
        spelt = self._number(number, self.random.random() < 0.3)
        return Turn(self._worded(family, a=spelt), f"উত্তর {bangla(number + step)}।")

    def _count(self) -> Turn:
        first = self.random.choice([1, 1, 1, 1, 2, 3, 4, 5])
        last = self.random.randint(first + 1, min(first + 9, 12))
        in_words = self.random.random() < 0.25
        spelt = [self._number(number, in_words) for number in range(first, last + 1)]
        return Turn(self._worded("count", a=spelt[0], b=spelt[-1]), ", ".join(spelt) + "।")

    def _yesno(self) -> Turn:
        answer = self.random.choice(["হ্যাঁ", "না"])
        questions = [q for asked, said in self.tables["yesno"] if said == answer for q in asked.split("|")]
        return Turn(self._worded("yesno", q=self.random.choice(questions)), answer + "।")

    def _word(self) -> str:
        return self.random.choice(self.wide if self.random.random() < 0.7 else self.common)

    def _echo(self) -> Turn:
        word = self._word()
        if self.random.random() < 0.15:
            word += " " + self._word()
        return Turn(self._worded("echo", w=self._quoted(word)), f"{word}।")

    def _twice(self) -> Turn:
        word = self._word()
        return Turn(self._worded("twice", w=self._quoted(word)), f"{word} {word}")

    def _person(self) -> Turn:
        answers = {
            "salam": "আসসালামু আলাইকুম, {n}!",
            "wish": "শুভেচ্ছা, {n}! ভালো থেকো।",
            "meet": "হ্যালো {n}! তোমার সঙ্গে কথা বলে ভালো লাগছে।",
            "birthday": "শুভ জন্মদিন, {n}! অনেক ভালো থেকো।",
            "thank": "ধন্যবাদ, {n}!",
            "part": "বিদায়, {n}! ভালো থেকো।",
        }
        (family,) = self.random.choices(list(answers), [6, 6, 5, 6, 1.5, 1.5])
        name = self.person()
        return Turn(self._worded(family, n=name), answers[family].format(n=name))

    def _howto(self) -> Turn:
        asked, answer = self._fact("howto")
        form = next(
            (form for end, form in (("তে", "to"), ("ব", "shall"), ("য়", "does"), ("ে", "does")) if asked.endswith(end)),
            "doing",
        )
        return Turn(self._worded(f"howto_{form}", h=asked, h_=genitive(asked)), answer)

    def _define(self) -> Turn:
        asked, answer = self._fact("define")
        return Turn(self._worded("define", x=asked), answer)

    def conversation(self, turns: list[Turn]) -> list[dict[str, str]]:
        """The turns as messages; now and then with a system message, or with a name told and asked for again."""
        turns = list(turns)
        if self.random.random() < 0.08:
            name = self.person()
            turns.insert(0, Turn(self._worded("meet", n=name), f"হ্যালো {name}! তোমার সঙ্গে কথা বলে ভালো লাগছে।"))
            turns.append(Turn(self._typed(self._worded("name"), "person"), f"তোমার নাম {name}।"))
        elif self.random.random() < 0.02:
            turns.insert(0, Turn(self._worded("name"), "এটা আমি জানি না। তুমি না বললে আমি জানব কী করে?"))
        found = []
        if self.random.random() < 0.25:
            found.append({"role": "system", "content": self._slot("system")})
        for turn in turns:
            found.append({"role": "user", "content": turn.prompt})
            found.append({"role": "assistant", "content": turn.answer})
        return found


def same_as_held_out(turns: list[Turn]) -> set[str]:
    """The prompts that ask what a held-out prompt asks, in nearly its words.

    Near is what `near_duplicates` says; that the same is asked shows in an answer that keeps the held-out rule.
    """
    rules = {row["prompt"]: row["rule"] for name in ("test.jsonl", "dev.jsonl") for row in held_out(name)}
    answers = {turn.prompt: turn.answer for turn in turns}
    forms = {" ".join(words(prompt)) for prompt in rules}
    near = near_duplicates(list(rules), sorted(answers))
    found = {prompt for held, prompt, _ in near if follows(answers[prompt], rules[held])}
    return found | {prompt for prompt in answers if " ".join(words(prompt)) in forms}


def conversations(number: int, seed: int) -> list[list[dict[str, str]]]:
    """`number` turns, less those too near to a held-out prompt, in conversations of one to three."""
    writer = Writer(seed)
    turns = [writer.turn() for _ in range(number)]
    forbidden = same_as_held_out(turns)
    turns = [turn for turn in turns if turn.prompt not in forbidden]
    found = []
    while turns:
        length = writer.random.choice([1, 1, 2, 3, 4])
        found.append(writer.conversation(turns[:length]))
        del turns[:length]
    return found
