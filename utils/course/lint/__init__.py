"""What every notebook of the course must be: found, and where it is mechanical repaired, by `pathshala lint`.

findings.py   a notebook as the rules see it, and what a rule says of it
structure.py  the form: parameters, outputs, metadata, ids, generated cells, released exercises
anatomy.py    the parts that a chapter and an exercise have, and their order
code.py       code cells: length, ruff, test cells, plots
language.py   Bangla: Unicode, punctuation, digits, words
links.py      links and pictures
repair.py     `--fix`
"""

from collections.abc import Callable, Iterator
from pathlib import Path

from utils.course.lint import anatomy, code, language, links, structure
from utils.course.lint.findings import Finding, Notebook
from utils.course.tree import notebooks, root

Rule = Callable[[Notebook], Iterator[Finding]]
RULES: tuple[Rule, ...] = (*structure.RULES, *anatomy.RULES, *code.RULES, *language.RULES, *links.RULES)


def lint(course: Path | None = None) -> list[Finding]:
    """All that is wrong with the notebooks in chapters/ and solutions/, and with what is released from them."""
    course = course or root()
    found = []
    for path in sources(course):
        notebook = Notebook.read(path, course)
        found += notebook.broken
        if not notebook.broken:
            found += [finding for rule in RULES for finding in rule(notebook)]
    return found + list(structure.released(course))


def sources(course: Path) -> list[Path]:
    """The notebooks that people write."""
    return [path for folder in ("chapters", "solutions") for path in notebooks(course / folder)]
