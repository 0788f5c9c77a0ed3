"""Writes the dataset of Bangla comments, and the rawer state it had before (v1.0)."""

import random
import re
import unicodedata
from pathlib import Path

from datasets import ClassLabel, Dataset, Features, List, Value, load_dataset

from utils.starter.sources.common import cards
from utils.starter.sources.common.text import near_duplicates, words

from . import data
from .lexicon import HERE, NEGATIVE, POSITIVE, load

REPO = "datasets/pathshala/bangla-sentiment"
EARLIER = ".history/v1.0"
SPLITS = ("train", "validation", "test")
SEED = 5
FROM_GRAMMAR = 2_400
EARLIER_WRITTEN, EARLIER_GRAMMAR, EARLIER_COPIES = 900, 450, 150
FIRST_FEATURES = Features({"text": Value("string"), "label": ClassLabel(names=list(data.LABELS))})
FEATURES = Features(FIRST_FEATURES | {"source": Value("string"), "marks": List(Value("string"))})


def splits() -> dict[str, list[data.Row]]:
    """Train (hand-written and the grammar's), validation (hand-written) and test (hand-written by somebody else)."""
    train, validation = data.kept()
    held_out = validation + data.test()
    made = data.apart(data.grammar_rows(FROM_GRAMMAR, SEED), held_out + train)
    known = {text for pair in _pairs_within(made) for text in pair[1:]}
    train = train + [row for row in made if row.text not in known]
    random.Random(SEED).shuffle(train)
    return {"train": train, "validation": validation, "test": data.test()}


def _pairs_within(rows: list[data.Row]) -> list[tuple[str, ...]]:
    """Near-duplicates among the rows themselves: (the earlier, the later), each pair once."""
    place = {row.text: number for number, row in enumerate(rows)}
    texts = list(place)
    return [(a, b) for a, b, _ in near_duplicates(texts, texts) if place[a] < place[b]]


def earlier(now: dict[str, list[data.Row]]) -> dict[str, list[data.Row]]:
    """The dataset as it was at first: copies, letters as any keyboard makes them, labels by counted words."""
    chance = random.Random(SEED)
    written = [row for row in now["train"] if row.source == "written"][:EARLIER_WRITTEN]
    made = [row for row in now["train"] if row.source == "grammar"][:EARLIER_GRAMMAR]
    rows = written + [data.Row(row.text, counted(row.text), row.source) for row in made]
    rows += [
        data.Row(f"{row.text.rstrip('।!. ')} !!", row.label, row.source) for row in chance.sample(rows, EARLIER_COPIES)
    ]
    rows = [data.Row(other_keyboard(row.text, chance), row.label, row.source) for row in rows]
    chance.shuffle(rows)
    tenth = len(rows) // 10
    return {"train": rows[2 * tenth :], "validation": rows[tenth : 2 * tenth], "test": rows[:tenth]}


def counted(text: str) -> int:
    """The label that a list of good and bad words gives: no negation, no irony."""
    lexicon = load()
    found = {*words(text)}
    good, bad = (len(found & {*lexicon[sign]["adj"], *lexicon[sign]["top"]}) for sign in (POSITIVE, NEGATIVE))
    return data.LABELS.index("positive" if good > bad else "negative" if bad > good else "neutral")


def other_keyboard(text: str, chance: random.Random) -> str:
    """The same letters in other code points (য় as one, ো as two), now and then a space too many."""
    composed = text.replace("য\u09bc", "\u09df").replace("ড\u09bc", "\u09dc")
    text = chance.choice((composed, unicodedata.normalize("NFD", text)))
    return text + " " if chance.random() < 0.2 else text


def save(rows: dict[str, list[data.Row]], features: Features, folder: Path) -> None:
    folder.mkdir(parents=True)
    for split, of_split in rows.items():
        columns = {name: [getattr(row, name) for row in of_split] for name in features}
        columns |= {"marks": [list(row.marks) for row in of_split]} if "marks" in features else {}
        Dataset.from_dict(columns, features=features).to_parquet(folder / f"{split}.parquet")


def read(folder: Path) -> dict[str, list[dict]]:
    """Split → rows of a shipped state of the dataset."""
    files = {split: str(folder / "data" / f"{split}.parquet") for split in SPLITS}
    return {split: list(rows) for split, rows in load_dataset("parquet", data_files=files).items()}


def figures(now: dict[str, list[dict]], first: dict[str, list[dict]]) -> dict[str, float]:
    """Counts of the current state, and of v1.0 beside it."""
    rows = [row for split in SPLITS for row in now[split]]
    true = {plain(row["text"]): row["label"] for row in rows}
    of_first = [row for split in SPLITS for row in first[split]]
    return {
        "rows": len(rows),
        "hand_written": sum(row["source"] == "written" for row in rows),
        "near_duplicates": across(now),
        "mixed_share": round(sum("mixed" in row["marks"] for row in rows) / len(rows), 4),
        "v1_0_rows": len(of_first),
        "v1_0_near_duplicates": across(first),
        "v1_0_not_nfc": sum(not unicodedata.is_normalized("NFC", row["text"]) for row in of_first),
        "v1_0_wrong_labels": sum(true.get(plain(row["text"]), row["label"]) != row["label"] for row in of_first),
    }


def plain(text: str) -> str:
    """A comment without what v1.0's copies and keyboards changed."""
    return re.sub(r"[।!.\s]+$", "", unicodedata.normalize("NFC", text))


def across(state: dict[str, list[dict]]) -> int:
    """How many near-duplicate pairs stand in two different splits."""
    train, validation, test = ([row["text"] for row in state[split]] for split in SPLITS)
    return len(near_duplicates(validation, train)) + len(near_duplicates(test, train + validation))


def build() -> None:
    now = splits()
    first = earlier(now)
    with cards.written(REPO) as folder:
        save(now, FEATURES, folder / "data")
        save(first, FIRST_FEATURES, folder / EARLIER / "data")
        measured = figures(read(folder), read(folder / EARLIER))
        of_split = {split: len(rows) for split, rows in now.items()}
        marked = {mark: sum(mark in row.marks for row in now["test"]) for mark in ("negation", "sarcasm", "noisy")}
        values = measured | of_split | marked | {"mixed_percent": round(100 * measured["mixed_share"])}
        (folder / "README.md").write_text(cards.render(HERE / "card.md", values), encoding="utf-8")
        (folder / EARLIER / "README.md").write_text(cards.render(HERE / "card_v1.0.md", values), encoding="utf-8")
    print(*(f"{name}: {value}" for name, value in values.items()), sep="\n")


def measure() -> dict[str, float]:
    """The counts of what is shipped; near-duplicates are pairs of comments in two different splits."""
    shipped = cards.STARTER / REPO
    return figures(read(shipped), read(shipped / EARLIER))
