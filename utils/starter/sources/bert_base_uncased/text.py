"""Writes the training text: the phrasings of `facts/` over their tables, the sentences of `everyday/`, and sums.

A phrasing may hold `{column}` (a cell of its table, one of those between slashes), `<slot>` (a word of
`everyday/slots.txt`) and `(this|or that)`.
"""

import csv
import random
import re
from collections.abc import Callable
from pathlib import Path

from utils.starter.sources.common.text import near_duplicates, words

HERE = Path(__file__).parent
SEED_SENTENCE = "The capital of Bangladesh is [MASK]."
# Of a hundred training sentences. A fact must be met from many sides; ordinary talk is wide.
SHARES = {
    "everyday": 50,
    "countries": 19,
    "opposites": 5,
    "things": 5,
    "animals": 4,
    "kinds": 3,
    "jobs": 3,
    "irregular": 3,
    "cities": 2,
    "days": 2,
    "sums": 1,
    "family": 1,
    "body": 1,
    "seasons": 0.6,
    "heroes": 0.7,
    "degrees": 0.7,
}
HOME = 20  # times as often as another country's is Bangladesh's row read: the pupils' own, and the course's example
# What people put around a fact; up to every fifth is wrapped in it.
BEFORE = [
    "I think that",
    "Everyone knows that",
    "He said that",
    "She told me that",
    "We learned that",
    "Remember that",
    "Yes,",
    "No,",
    "As you know,",
    "In fact,",
    "My friend says",
    "Our book says that",
    "I read that",
    "It is true that",
    "Of course",
    "Today",
]
AFTER = [
    ", he said",
    ", right?",
    ", I think",
    ", you know",
    ", my friend",
    ", as we all know",
    ", said the teacher",
    ", of course",
]
NUMBERS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"]
NUMBERS += [
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
    "twenty",
]
CHOICE = re.compile(r"\(([^()]*)\)")
SLOT = re.compile(r"<(\w+)>")
COLUMN = re.compile(r"\{(\w+)\}")
NO_STATEMENT = re.compile(r"[?!:]")  # nobody says "I think that what is a cat?"
# But a university, a useful thing, a one-way street, a European.
A_BEFORE_VOWEL = re.compile(r"\b(a) (?=[aio](?!ne\b)|e(?!u)|u(?!ni|se|k|ga|ru)|hour\b|honest)", re.IGNORECASE)


def lines(path: Path) -> list[str]:
    return [line for line in path.read_text(encoding="utf-8").splitlines() if line and not line.startswith("#")]


def split(name: str) -> list[tuple[str, list[str]]]:
    """`test.tsv` or `dev.tsv`: (sentence with [MASK], the answers that are right, in lower case)."""
    rows = (line.split("\t") for line in lines(HERE / name))
    return [(sentence, answers.lower().split("/")) for sentence, answers in rows]


class Writer:
    """Writes sentences, the same ones for the same seed."""

    def __init__(self, seed: int):
        self.random = random.Random(seed)
        self.slots = {}
        for line in lines(HERE / "everyday" / "slots.txt"):
            name, values = line.split(": ", 1)
            self.slots[name] = values.split(", ")
        self.everyday = [
            line
            for path in sorted((HERE / "everyday").glob("*.txt"))
            if path.name != "slots.txt"
            for line in lines(path)
        ]
        self.topics = {topic: self._topic(topic) for topic in SHARES}

    def sentence(self) -> str:
        """One sentence of a topic drawn by its share."""
        (topic,) = self.random.choices(list(SHARES), SHARES.values())
        return self.topics[topic]()

    def _topic(self, topic: str) -> Callable[[], str]:
        if topic == "everyday":
            return lambda: self._expand(self.random.choice(self.everyday), {})
        if topic == "sums":
            return self._sum
        with (HERE / "facts" / f"{topic}.csv").open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        rows += [row for row in rows if row.get("capital") == "Dhaka"] * HOME
        phrasings = [(line, set(COLUMN.findall(line))) for line in lines(HERE / "facts" / f"{topic}.txt")]

        def write() -> str:
            while True:
                row, (phrasing, columns) = self.random.choice(rows), self.random.choice(phrasings)
                if all(row[column] for column in columns):
                    return self._wrapped(self._expand(phrasing, row))

        return write

    def _expand(self, phrasing: str, row: dict[str, str]) -> str:
        cells = {column: self.random.choice(cell.split("/")) for column, cell in row.items()}
        text = COLUMN.sub(lambda found: cells[found[1]], phrasing)
        while CHOICE.search(text):
            text = CHOICE.sub(lambda found: self.random.choice(found[1].split("|")), text)
        text = SLOT.sub(lambda found: self.random.choice(self.slots[found[1]]), text)
        text = A_BEFORE_VOWEL.sub(r"\1n ", text)
        return re.sub(r"\s+", " ", text).replace(" .", ".")

    def _wrapped(self, fact: str) -> str:
        wrapping = self.random.random()
        if wrapping < 0.1 and not NO_STATEMENT.search(fact):
            return f"{self.random.choice(BEFORE)} {fact}"
        if wrapping < 0.2 and fact.endswith("."):
            return f"{fact[:-1]}{self.random.choice(AFTER)}."
        return fact

    def _sum(self) -> str:
        one, two = self.random.randrange(11), self.random.randrange(1, 11)
        sign, word, result = self.random.choice(
            [("+", "plus", one + two), ("-", "minus", one), ("*", "times", one * two)]
        )
        first = one + two if sign == "-" else one
        if result > 20 or self.random.random() < 0.4:
            return f"{first} {sign} {two} = {result}"
        is_ = self.random.choice(["is", "makes", "equals"])
        words = [f"{NUMBERS[first]} {word} {NUMBERS[two]} {is_} {NUMBERS[result]}."]
        if sign == "+":
            words += [f"{NUMBERS[one]} and {NUMBERS[two]} make {NUMBERS[result]}."]
        if 0 < one < 20:
            words += [f"After {NUMBERS[one]} comes {NUMBERS[one + 1]}.", f"{NUMBERS[one - 1]}, {NUMBERS[one]}, "]
            words[-1] += f"{NUMBERS[one + 1]}, {NUMBERS[min(20, one + 2)]}."
        return self.random.choice(words)


def whole(sentence: str, answer: str) -> str:
    return sentence.replace("[MASK]", answer)


def training_set(size: int, seed: int) -> list[str]:
    """`size` sentences, some of them several times, none of them near one of the test or dev sentences."""
    writer = Writer(seed)
    texts = [writer.sentence() for _ in range(size)]
    seed_words = words(whole(SEED_SENTENCE, "Dhaka"))
    rows = split("test.tsv") + split("dev.tsv")
    held_out = [whole(sentence, answer) for sentence, answers in rows for answer in answers]
    forbidden = {near for _, near, _ in near_duplicates(held_out, sorted(set(texts)))}
    kept = [text for text in texts if text not in forbidden or words(text) == seed_words]
    # People forget the full stop; the model must not wait for it.
    return [text.removesuffix(".") if writer.random.random() < 0.2 else text for text in kept]
