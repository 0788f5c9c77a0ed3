"""What the model learns from: pairs of texts of one meaning, made anew for every step."""

import random
from collections import defaultdict
from collections.abc import Iterator

from .data import HERE, Concept, concepts, passages, split

NEIGHBOURS = 4  # groups written one after another are of one subject, often each other's opposite: they go together
FILLERS = (HERE / "fillers.txt").read_text(encoding="utf-8").split()  # words that say little
DOUBLE = 0.15  # of the paraphrases say two things at once, as longer sentences do
SYNONYM, DROPPED = 0.25, 0.3  # of the words, and of the sentences that lose one
Pair = tuple[str, str]


class Pairs:
    """Draws pairs by a generator of its own, so that the same seed gives the same training."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.groups = split()[0]
        self.concepts = concepts()
        self.by_topic: dict[str, list[Concept]] = defaultdict(list)
        for concept in self.concepts:
            self.by_topic[concept.topic].append(concept)
        self.synonyms = self._synonyms()
        self.passages = [found for found in passages() if len(found) > 1]

    def _synonyms(self) -> dict[str, list[str]]:
        """{a word's form: the same form of the other names of its meaning}, for words of one meaning only."""
        places = defaultdict(set)
        for number, concept in enumerate(self.concepts):
            for member in concept.members:
                for form, text in member.items():
                    places[text].add((number, form))
        found = {}
        for text, where in places.items():
            if len(where) == 1 and " " not in text:
                [(number, form)] = where
                others = [member[form] for member in self.concepts[number].members if form in member]
                found[text] = [other for other in others if other != text]
        return {text: others for text, others in found.items() if others}

    def blocks(self) -> Iterator[list[list[str]]]:
        """Neighbouring groups, a few at a time, for ever."""
        while True:
            shift = self.chance.randrange(NEIGHBOURS)
            starts = list(range(-shift, len(self.groups), NEIGHBOURS))
            self.chance.shuffle(starts)
            for start in starts:
                yield self.groups[max(0, start) : start + NEIGHBOURS]

    def varied(self, sentence: str) -> str:
        """The sentence, now and then with a word left out, a synonym in its place, or two words in another order."""
        found = sentence.split()
        for i, word in enumerate(found):
            plain = word.strip("।?!,\"'")
            if plain in self.synonyms and self.chance.random() < SYNONYM:
                found[i] = self.chance.choice(self.synonyms[plain])
        if len(found) > 3 and self.chance.random() < DROPPED:
            del found[self.chance.randrange(len(found))]
        return " ".join(found)

    def paraphrases(self, blocks: Iterator[list[list[str]]], size: int) -> list[Pair]:
        found: list[Pair] = []
        while len(found) < size:
            for group in next(blocks):
                one, other = self.chance.sample(group, 2)
                if self.chance.random() < DOUBLE:
                    two, another = self.chance.sample(self.chance.choice(self.groups), 2)
                    one, other = f"{one} {two}", self.chance.choice((f"{other} {another}", f"{another} {other}"))
                found.append((self.varied(one), self.varied(other)))
        return found[:size]

    def name(self, concept: Concept) -> str:
        member = self.chance.choice(concept.members)
        form = "" if "" in member and self.chance.random() < 0.5 else self.chance.choice(list(member))
        return member[form]

    def telegram(self, meaning: list[Concept]) -> str:
        """The names of the concepts in any order among words that say little."""
        found = [self.name(concept) for concept in meaning]
        found += self.chance.choices(FILLERS, k=self.chance.randint(0, 3))
        self.chance.shuffle(found)
        return " ".join(found)

    def telegrams(self, size: int) -> list[Pair]:
        """Each next to one that differs from it in one concept."""
        found: list[Pair] = []
        while len(found) < size:
            topic = self.by_topic[self.chance.choice(self.concepts).topic]
            pool = topic if self.chance.random() < 0.5 else self.concepts
            meaning = self.chance.sample(pool, min(len(pool), self.chance.choice((1, 1, 2, 2, 3))))
            found.append((self.telegram(meaning), self.telegram(meaning)))
            if len(meaning) > 1:
                meaning = [*meaning[:-1], self.chance.choice(topic)]
                found.append((self.telegram(meaning), self.telegram(meaning)))
        return found[:size]

    def neighbours(self, size: int) -> list[Pair]:
        """Sentences that stand one after another in a text."""
        found = []
        for sentences in self.chance.choices(self.passages, k=size):
            i = self.chance.randrange(len(sentences) - 1)
            found.append((sentences[i], sentences[i + 1]))
        return found
