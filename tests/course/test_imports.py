"""Who may import whom: the packages by the contracts in pyproject.toml, the notebooks from `utils.notebook` alone."""

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

COURSE = Path(__file__).parents[2]
NOTEBOOKS = sorted(
    path for folder in ("chapters", "exercises", "solutions") for path in COURSE.glob(f"{folder}/**/*.ipynb")
)


def test_the_contracts_hold():
    linter = Path(sys.executable).with_name("lint-imports")
    process = subprocess.run([linter, "--no-cache"], cwd=COURSE, capture_output=True, text=True, encoding="utf-8")
    assert process.returncode == 0, process.stdout


def imported(source: str) -> set[str]:
    """The modules that a cell imports; shell lines and magics are none of Python's."""
    lines = [line for line in source.splitlines() if not line.lstrip().startswith(("!", "%"))]
    found = set()
    for node in ast.walk(ast.parse("\n".join(lines))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module == "utils":
            found |= {f"utils.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add(node.module)
    return found


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.relative_to(COURSE).as_posix())
def test_notebooks_import_nothing_of_ours_but_utils_notebook(path):
    notebook = json.loads(path.read_text(encoding="utf-8"))
    cells = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    # A deliberate error may be one of syntax.
    cells = [cell for cell in cells if "raises-exception" not in cell["metadata"].get("tags", [])]
    ours = {name for cell in cells for name in imported("".join(cell["source"])) if name.split(".")[0] == "utils"}
    assert {name for name in ours if name.split(".")[:2] != ["utils", "notebook"]} == set()
