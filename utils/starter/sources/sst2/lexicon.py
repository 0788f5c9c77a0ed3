"""Reads the hand-written lexicon: words by role, and for verbs their forms."""

import re
from pathlib import Path

HERE = Path(__file__).parent
POSITIVE, NEGATIVE, NEUTRAL = "+", "-", "0"
FORMS = ("base", "third", "past", "ing")
DOUBLES_LAST_LETTER = frozenset(
    ("run", "stop", "shut", "cut", "get", "quit", "beg", "drop", "spam", "jam", "drag", "let", "sit", "fit")
)


def read_sections(path: Path) -> dict[str, list[str]]:
    """Return {section: entries} of a lexicon file: `[section]` headings, entries split by commas, # comments."""
    sections: dict[str, list[str]] = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        if heading := re.fullmatch(r"\[(\w+)\]", line.strip()):
            entries = sections.setdefault(heading[1], [])
        elif line.strip() and not line.startswith("#"):
            entries += [entry.strip() for entry in line.split(",") if entry.strip()]
    return sections


def written_sentences(name: str) -> list[str]:
    """Return the whole sentences written by hand, one a line, as they stand in the file."""
    return (HERE / "sentences" / f"{name}.txt").read_text(encoding="utf-8").splitlines()


def load() -> dict[str, dict[str, list[str]]]:
    """Return {"+": positive, "-": negative, "0": neutral}, each a {role: entries}.

    The whole sentences are the role `written`, without their final stop, so that rules can join them to others.
    """
    names = {POSITIVE: "positive", NEGATIVE: "negative", NEUTRAL: "neutral"}
    sections = {sign: read_sections(HERE / "lexicon" / f"{name}.txt") for sign, name in names.items()}
    for sign in (POSITIVE, NEGATIVE):
        sections[sign]["written"] = [sentence.rstrip(".!") for sentence in written_sentences(names[sign])]
    return sections


def long_words(sections: dict[str, list[str]]) -> set[str]:
    """Return every word of five letters or more in the entries, in lower case."""
    return {
        word for entries in sections.values() for entry in entries for word in re.findall(r"[a-z]{5,}", entry.lower())
    }


def third_person(verb: str) -> str:
    """Return "works on" for "work on"; only the first word changes."""
    head, _, rest = verb.partition(" ")
    if re.search(r"(s|sh|ch|x|z|o)$", head):
        head += "es"
    elif re.search(r"[^aeiou]y$", head):
        head = head[:-1] + "ies"
    else:
        head += "s"
    return f"{head} {rest}".strip()


def gerund(verb: str) -> str:
    """Return "working on" for "work on"; only the first word changes."""
    head, _, rest = verb.partition(" ")
    if head in DOUBLES_LAST_LETTER:
        head += head[-1]
    elif head.endswith("ie"):
        head = head[:-2] + "y"
    elif re.search(r"[^eo]e$", head):
        head = head[:-1]
    return f"{head}ing {rest}".strip()


def inflect(entry: str, form: str) -> str:
    """Return one form of a lexicon entry.

    An entry is either all its forms ("love loves loved loving", split by | where a form has spaces) or a base form
    alone. `bare` drops a leading article ("a reply" gives "reply").
    """
    if form == "bare":
        return re.sub(r"^(an?|the) ", "", entry)
    forms = entry.split("|") if "|" in entry else entry.split()
    if "|" in entry or (len(forms) == len(FORMS) and forms[3].endswith("ing")):
        return forms[FORMS.index(form)]
    return {"base": str, "third": third_person, "ing": gerund}[form](entry)
