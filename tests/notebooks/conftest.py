"""What the tests of executed chapters share."""

from collections.abc import Callable
from functools import cache

import nbformat
import pytest


@pytest.fixture(scope="session")
def said_in(executed) -> Callable[[str], dict[str, str]]:
    """A chapter → the text that each of its cells put out, by cell id, without what went to stderr."""

    @cache
    def said(chapter: str) -> dict[str, str]:
        notebook = nbformat.read(executed.out / "notebooks" / f"{chapter}.ipynb", as_version=4)
        return {
            cell.id: "".join(
                output.get("text") or output.get("data", {}).get("text/plain", "")
                for output in cell.outputs
                if output.get("name") != "stderr"
            )
            for cell in notebook.cells
            if cell.cell_type == "code"
        }

    return said
