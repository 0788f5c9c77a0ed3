"""A chapter's budget line: what it costs to run, as measured and rounded up, never as guessed."""

import re
from math import ceil
from pathlib import Path

from utils.course import cells
from utils.course.report import Result, digits

BLOCK = re.compile(r"<!-- budget -->.*?<!-- /budget -->", re.DOTALL)


def line(result: Result) -> str:
    """The line for a run on the CPU, rounded up to whole minutes, 10 MB and 0.5 GB."""
    minutes = digits(max(1, ceil(result.seconds / 60)))
    download = 10 * ceil(result.download_mb / 10)
    memory = ceil(result.peak_mb / 500) / 2
    return f"**চালাতে সময়:** {minutes} মিনিট · **download:** {download} MB · **RAM:** {memory:g} GB · **GPU:** লাগে না"


def write(notebook: Path, result: Result) -> bool:
    """Put the line between a chapter's `<!-- budget -->` comments.

    Returns:
        False where the chapter has no such place.
    """
    found = False

    def change(content: dict) -> None:
        nonlocal found
        for cell in content["cells"]:
            if cell["cell_type"] == "markdown" and BLOCK.search(text := cells.source(cell)):
                found = True
                cells.set_source(cell, BLOCK.sub(f"<!-- budget -->\n{line(result)}\n<!-- /budget -->", text))

    cells.edit(notebook, change)
    return found
