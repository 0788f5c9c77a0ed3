"""Edit a notebook's cells in place: what was not meant to change stays as it was, byte for byte.

`nbformat.write` sorts keys and fixes the indent at one space, so a notebook that another editor saved would change in
every line. Here the file keeps its own order of keys, indent and last newline.
"""

import json
import re
from collections.abc import Callable
from pathlib import Path

Cell = dict


def tagged(notebook: dict, tag: str) -> list[Cell]:
    """The cells whose metadata carry the tag."""
    return [cell for cell in notebook["cells"] if tag in cell["metadata"].get("tags", [])]


def source(cell: Cell) -> str:
    """A cell's text, which the file holds as one string or as a list of lines."""
    return "".join(cell["source"])


def set_source(cell: Cell, text: str) -> None:
    """Give a cell a new text in the form that its old one had."""
    cell["source"] = text if isinstance(cell["source"], str) else text.splitlines(keepends=True)


def edit(path: Path, change: Callable[[dict], None]) -> bool:
    """Let `change` alter the notebook in place; write the file only if it did.

    Returns:
        whether the file changed.
    """
    raw = path.read_bytes().decode()
    text = raw.replace("\r\n", "\n")
    notebook = json.loads(text)
    before = json.dumps(notebook)
    change(notebook)
    if json.dumps(notebook) == before:
        return False
    indent = re.match(r"\{\n([ \t]+)", text)
    new = json.dumps(notebook, ensure_ascii=False, indent=indent[1] if indent else None)
    new += text[len(text.rstrip()) :]
    path.write_bytes((new if raw == text else new.replace("\n", "\r\n")).encode())
    return True
