"""Writes the dataset bangla-qa: questions on Bangladesh with their contexts, in SQuAD's format.

Run: pathshala starter build bangla-qa
"""

import random
from itertools import chain
from pathlib import Path

import pyarrow.parquet as pq
import yaml
from datasets import Dataset, Features, List, Value

from utils.starter.sources.common import cards, text

REPO = "datasets/pathshala/bangla-qa"
HERE = Path(__file__).parent
SEED = 7
SHARES = {"validation": 0.1, "test": 0.15}  # of the contexts; the rest is for training
# Contexts that speak of one another: a split between them would give an answer away.
TOGETHER = [
    ("সুন্দরবন", "সুন্দরবনের গাছ ও মধু", "রয়েল বেঙ্গল টাইগার"),
    ("পাল রাজবংশ", "পাহাড়পুর বৌদ্ধ বিহার"),
    ("পল্লিকবি জসীম উদ্দীন", "নকশিকাঁথা"),
    ("জাতীয় প্রতীক", "জাতীয় ফুল, পাখি ও গাছ"),
    ("ভাষা আন্দোলন", "আন্তর্জাতিক মাতৃভাষা দিবস", "কেন্দ্রীয় শহীদ মিনার"),
    ("মুঘল আমলের ঢাকা", "লালবাগ কেল্লা"),
    ("ময়নামতি ও শালবন বিহার", "শালবন"),
    ("মাস্টারদা সূর্য সেন", "প্রীতিলতা ওয়াদ্দেদার"),
    ("বিজয় দিবস", "জাতীয় স্মৃতিসৌধ"),
    ("বাংলাদেশের ক্রিকেট", "অনূর্ধ্ব-১৯ বিশ্বকাপ জয়"),
    ("পদ্মা সেতু", "পদ্মা নদী"),
    ("যমুনা সেতু", "যমুনা নদী"),
    ("জামদানি", "ঢাকাই মসলিন"),
    ("বীরশ্রেষ্ঠ", "মুক্তিযুদ্ধের সেক্টর"),
]
FEATURES = Features(
    {
        "id": Value("string"),
        "title": Value("string"),
        "context": Value("string"),
        "question": Value("string"),
        "answers": {"text": List(Value("string")), "answer_start": List(Value("int32"))},
        "source": Value("string"),
    }
)


def contexts() -> list[dict]:
    """What was written by hand: title, source, context and its questions."""
    return [one for name in ("part1", "part2") for one in yaml.safe_load((HERE / f"{name}.yml").read_text("utf-8"))]


def rows(written: list[dict]) -> list[dict]:
    """A row for each question. Raises ValueError for an answer that its context does not hold."""
    found = []
    for context in written:
        for number, qa in enumerate(context["qas"], start=1):
            start = context["context"].find(qa["a"])
            if start < 0:
                raise ValueError(f"{context['title']}: {qa['a']!r} is not in the context")
            found.append(
                {
                    "id": f"{context['title']} {number}",
                    "title": context["title"],
                    "context": context["context"],
                    "question": qa["q"],
                    "answers": {"text": [qa["a"]], "answer_start": [start]},
                    "source": context["source"],
                }
            )
    return found


def splits(written: list[dict]) -> dict[str, list[dict]]:
    """The contexts, split so that none stands in two and those that belong together stay so."""
    groups = {context["title"]: (context["title"],) for context in written}
    groups |= {title: group for group in TOGETHER for title in group}
    order = sorted(set(groups.values()))
    random.Random(SEED).shuffle(order)
    by_title = {context["title"]: context for context in written}
    found: dict[str, list[dict]] = {"train": [], "validation": [], "test": []}
    for group in order:
        room = [name for name, share in SHARES.items() if len(found[name]) < share * len(written)]
        found[room[0] if room else "train"] += [by_title[title] for title in group]
    return found


def build() -> None:
    """Writes the parquet files, measures them and renders the card."""
    with cards.written(REPO) as folder:
        counts = {}
        for split, written in splits(contexts()).items():
            found = rows(written)
            counts |= {f"{split}_rows": len(found), f"{split}_contexts": len(written)}
            (folder / "data").mkdir(exist_ok=True)
            Dataset.from_list(found, features=FEATURES).to_parquet(folder / "data" / f"{split}-00000-of-00001.parquet")
        measured = measure(folder)
        (folder / "README.md").write_text(cards.render(HERE / "card.md", counts | measured), encoding="utf-8")
    print(", ".join(f"{name} {value:g}" for name, value in (counts | measured).items()))


def measure(folder: Path = cards.STARTER / REPO) -> dict[str, float]:
    """Questions, contexts, answers not found in their context, contexts in two splits, letters that are Latin."""
    loaded = {path.name.split("-")[0]: pq.read_table(path).to_pylist() for path in folder.glob("data/*.parquet")}
    lost, words, questions = 0, 0, []
    for row in chain(*loaded.values()):
        answer, start = row["answers"]["text"][0], row["answers"]["answer_start"][0]
        lost += row["context"][start : start + len(answer)] != answer
        words += len(answer.split())
        questions.append(row["question"])
    seen = [{row["context"] for row in rows} for rows in loaded.values()]
    everything = "\n".join([*set().union(*seen), *questions])
    return {
        "questions": len(questions),
        "contexts": len(set().union(*seen)),
        "answers_not_in_context": lost,
        "contexts_in_two_splits": sum(map(len, seen)) - len(set().union(*seen)),
        "questions_asked_twice": len(questions) - len(set(questions)),
        "words_per_answer": round(words / len(questions), 2),
        "foreign_share": round(text.foreign_share(everything), 4),
    }
