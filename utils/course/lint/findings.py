"""A notebook as the rules see it, and what they say of it."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from utils.course import cells
from utils.course.cells import Cell

FENCE = re.compile(r"^(```|~~~).*?^\1", re.MULTILINE | re.DOTALL)
INLINE_CODE = re.compile(r"(`+)(.+?)\1", re.DOTALL)
LINK = re.compile(r"(!?)\[((?:[^\[\]]|\[[^\]]*\])*)\]\(([^()\s]*(?:\([^()]*\)[^()\s]*)*)[^)]*\)")
COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong: where, what, and how to mend it."""

    file: str
    cell: str  # its id; empty for the notebook as a whole
    what: str
    mend: str

    def __str__(self) -> str:
        return f"{self.file}{' · ' + self.cell if self.cell else ''} · {self.what} → {self.mend}"


@dataclass
class Notebook:
    """A notebook's file, its place in the course, and its cells."""

    path: Path
    course: Path
    data: dict
    broken: list[Finding] = field(default_factory=list)  # why no rule can look at it

    @classmethod
    def read(cls, path: Path, course: Path) -> "Notebook":
        notebook = cls(path, course, {})
        try:
            notebook.data = json.loads(path.read_text(encoding="utf-8"))
        except (ValueError, OSError) as error:
            notebook.broken = [notebook.finding(f"JSON পড়া যায় না ({error})", "git এর শেষ ঠিক সংস্করণটা ফেরত আনো")]
            return notebook
        import nbformat

        try:
            nbformat.validate(notebook.data)
        except nbformat.ValidationError as error:
            reason = str(error).splitlines()[0]
            notebook.broken = [notebook.finding(f"nbformat এর নিয়মে পড়ে না ({reason})", "JupyterLab এ খুলে save করো")]
        return notebook

    @property
    def name(self) -> str:
        return self.path.relative_to(self.course).as_posix()

    @property
    def is_chapter(self) -> bool:
        return self.name.startswith("chapters/")

    @property
    def number(self) -> str:
        """As the file's name has it, such as "01"."""
        return self.path.stem[:2]

    @property
    def cells(self) -> list[Cell]:
        return self.data["cells"]

    def finding(self, what: str, mend: str, cell: Cell | None = None) -> Finding:
        return Finding(self.name, cell.get("id", "?") if cell else "", what, mend)

    def kind(self, kind: str) -> list[Cell]:
        """The cells of a type, "code" or "markdown", without those that a command generates."""
        generated = {id(cell) for tag in ("badge", "bootstrap") for cell in cells.tagged(self.data, tag)}
        return [cell for cell in self.cells if cell["cell_type"] == kind and id(cell) not in generated]

    def prose(self) -> Iterator[tuple[Cell, str]]:
        """Each markdown cell with the text that a reader reads in it: no code, no link's address, no comment."""
        for cell in self.kind("markdown"):
            yield cell, prose(cells.source(cell))

    def text(self) -> str:
        """All markdown as it is written."""
        return "\n\n".join(cells.source(cell) for cell in self.kind("markdown"))

    def code(self) -> str:
        return "\n".join(cells.source(cell) for cell in self.kind("code"))


def prose(markdown: str) -> str:
    """What is read of a markdown text; code becomes `` ` ` ``, so that an ending still has something before it."""
    text = COMMENT.sub("", FENCE.sub("", markdown))
    text = INLINE_CODE.sub("``", text)
    return LINK.sub(lambda match: match[2], text)


def nbgrader(cell: Cell) -> dict:
    """What nbgrader knows of a cell; empty for one that it does not handle."""
    return cell["metadata"].get("nbgrader", {})


def is_test(cell: Cell) -> bool:
    return bool(nbgrader(cell).get("grade") and not nbgrader(cell).get("solution"))
