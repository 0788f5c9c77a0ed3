"""Code cells: short enough to be read, clean by ruff, and no plot without a description."""

import ast
import json
import re
import subprocess
import sys
from collections.abc import Iterator

from utils.course import cells
from utils.course.lint.findings import Finding, Notebook

LONGEST = 15  # lines
SELECT = "E,F,UP,B,SIM"
# Imports stand where they are needed, and a file that a cell opens is closed with the kernel.
IGNORE = "E402,SIM115"


def length(notebook: Notebook) -> Iterator[Finding]:
    for cell in notebook.kind("code"):
        lines = len(cells.source(cell).splitlines())
        if lines > LONGEST:
            yield notebook.finding(f"code {lines} লাইন", f"{LONGEST} লাইনের মধ্যে আনো, নয়তো দুই cell এ ভাগ করো", cell)


def ruff(notebook: Notebook) -> Iterator[Finding]:
    """The notebook without what is not Python's business: generated cells, and a student's own variables."""
    checked = notebook.kind("code")
    shown = {"metadata": {}, "nbformat": 4, "nbformat_minor": 5, "cells": [_plain(cell) for cell in checked]}
    command = [sys.executable, "-m", "ruff", "check", "--isolated", "--line-length=120", "--output-format=json"]
    command += [f"--select={SELECT}", f"--ignore={IGNORE}", "--stdin-filename=notebook.ipynb", "-"]
    result = subprocess.run(command, input=json.dumps(shown), capture_output=True, text=True, encoding="utf-8")
    for one in json.loads(result.stdout or "[]"):
        cell = checked[one["cell"] - 1] if one.get("cell") else None
        yield notebook.finding(f"ruff {one['code']}: {one['message']}", f"লাইন {one['location']['row']} ঠিক করো", cell)


def _plain(cell: dict) -> dict:
    return {"cell_type": "code", "id": "c", "metadata": {}, "execution_count": None, "outputs": []} | {
        "source": cells.source(cell)
    }


def plots(notebook: Notebook) -> Iterator[Finding]:
    """A figure made in the open is given its description before it is shown; helpers' figures have theirs."""
    for cell in notebook.kind("code"):
        source = cells.source(cell)
        if re.search(r"\bplt\.(subplots|figure|plot|bar|imshow|show)\b", source):
            if "set_label(" not in source:
                yield notebook.finding("লেখচিত্রের বর্ণনা (alt) নেই", 'figure.set_label("…") দাও', cell)
            if "plt.show(" in source or "show(" not in source:
                yield notebook.finding("লেখচিত্র show() দিয়ে দেখানো হয়নি", "utils.notebook এর show(figure) ডাকো", cell)


def own_imports(notebook: Notebook) -> Iterator[Finding]:
    """Of the course a notebook imports utils.notebook alone."""
    for cell in notebook.kind("code"):
        try:
            tree = ast.parse(_without_magic(cells.source(cell)))
        except SyntaxError:
            continue  # ruff says so
        for node in ast.walk(tree):
            modules = [node.module] if isinstance(node, ast.ImportFrom) else []
            modules += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            for module in modules:
                if module and module.split(".")[0] == "utils" and not module.startswith("utils.notebook"):
                    yield notebook.finding(f"{module} import করা", "শুধু utils.notebook থেকে নাও", cell)


def _without_magic(source: str) -> str:
    return re.sub(r"^(\s*)[!%].*$", r"\1pass", source, flags=re.MULTILINE)


RULES = (length, ruff, plots, own_imports)
