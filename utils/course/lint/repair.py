"""`pathshala lint --fix`: what can be repaired without a thought."""

import re
import unicodedata
import uuid
from pathlib import Path

from utils.course import cells
from utils.course.address import badge, bootstrap
from utils.course.lint import sources
from utils.course.lint.structure import CELL_METADATA, NOTEBOOK_METADATA
from utils.course.release import release
from utils.course.tree import root


def repair(course: Path | None = None) -> list[str]:
    """Mends the notebooks, and releases the exercises anew where a solution changed. Returns the changed files."""
    course = course or root()
    changed = []
    for path in sources(course):
        name = path.relative_to(course).as_posix()
        if cells.edit(path, lambda notebook, name=name: _mend(notebook, name)):
            changed.append(name)
    assignments = sorted({name.split("/")[1] for name in changed if name.startswith("solutions/")})
    if assignments:
        changed += [
            path.relative_to(course).as_posix() for path in release(assignments, course, say=lambda _line: None)
        ]
    return changed


def _mend(notebook: dict, name: str) -> None:
    for key in set(notebook["metadata"]) - NOTEBOOK_METADATA:
        del notebook["metadata"][key]
    for cell in notebook["cells"]:
        cell.setdefault("id", uuid.uuid4().hex[:8])
        for key in set(cell["metadata"]) - CELL_METADATA:
            del cell["metadata"][key]
        if cell["cell_type"] == "code":
            cell["outputs"], cell["execution_count"] = [], None
        text = unicodedata.normalize("NFC", cells.source(cell).replace("\u200c", ""))
        if cell["cell_type"] == "markdown":
            text = re.sub(r"[ \t]+।", "।", text)
        if text != cells.source(cell):
            cells.set_source(cell, text)
    for tag, wanted in (("badge", badge(name)), ("bootstrap", bootstrap())):
        for cell in cells.tagged(notebook, tag):
            if cells.source(cell) != wanted:
                cells.set_source(cell, wanted)
