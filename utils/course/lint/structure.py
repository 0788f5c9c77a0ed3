"""The form of a notebook: what papermill, nbgrader, GitHub and git expect of it."""

import ast
from collections.abc import Iterator
from pathlib import Path
from shutil import copy, copytree
from tempfile import TemporaryDirectory

from utils.course import cells
from utils.course.address import badge, bootstrap
from utils.course.lint.findings import Finding, Notebook, is_test, nbgrader
from utils.course.release import release

# What a cell's metadata may hold; anything else is an editor's, or an extension's.
CELL_METADATA = {"tags", "nbgrader", "jupyter"}
TAGS = {"badge", "bootstrap", "parameters", "raises-exception"}
NOTEBOOK_METADATA = {"kernelspec", "language_info"}
START = "start(hub=HUB, device=DEVICE)"


def parameters(notebook: Notebook) -> Iterator[Finding]:
    found = cells.tagged(notebook.data, "parameters")
    if len(found) != 1:
        yield notebook.finding(f"`parameters` tag এর cell {len(found)}টা", "ঠিক একটা রাখো")
    for cell in found:
        try:
            tree = ast.parse(cells.source(cell))
        except SyntaxError:
            yield notebook.finding("parameters cell টা Python না", "শুধু নাম = মান লেখো", cell)
            continue
        for line in tree.body:
            if not (isinstance(line, ast.Assign) and _literal(line.value) and isinstance(line.targets[0], ast.Name)):
                yield notebook.finding(
                    f"parameters cell এ literal ছাড়া কিছু আছে: {ast.unparse(line)}", "পরের cell এ নাও", cell
                )
        after = notebook.cells[notebook.cells.index(cell) + 1 :][:1]
        if not after or START not in cells.source(after[0]):
            yield notebook.finding(f"parameters এর পরের cell এ {START} নেই", "start() ওখানেই ডাকো", cell)


def _literal(node: ast.expr) -> bool:
    try:
        ast.literal_eval(node)
    except ValueError:
        return False
    return True


def clean(notebook: Notebook) -> Iterator[Finding]:
    """No outputs, no counts, no metadata that an editor left."""
    for cell in notebook.cells:
        if cell.get("outputs"):
            yield notebook.finding("output রয়ে গেছে", "pathshala lint --fix", cell)
        if cell.get("execution_count") is not None:
            yield notebook.finding("execution_count রয়ে গেছে", "pathshala lint --fix", cell)
        for key in sorted(set(cell["metadata"]) - CELL_METADATA):
            yield notebook.finding(f"বাড়তি metadata: {key}", "pathshala lint --fix", cell)
        for tag in sorted(set(cell["metadata"].get("tags", ())) - TAGS):
            yield notebook.finding(f"অচেনা tag: {tag}", f"চেনা tag: {', '.join(sorted(TAGS))}", cell)
    for key in sorted(set(notebook.data["metadata"]) - NOTEBOOK_METADATA):
        what = f"notebook এ বাড়তি metadata: {key}"
        if key == "widgets":
            what += " (GitHub এ notebook খোলে না)"
        yield notebook.finding(what, "pathshala lint --fix")
    if notebook.data["metadata"].get("kernelspec", {}).get("name") != "python3":
        yield notebook.finding("kernel টা python3 না", 'kernelspec এর name "python3" করো')


def ids(notebook: Notebook) -> Iterator[Finding]:
    seen = set()
    for cell in notebook.cells:
        if not cell.get("id"):
            yield notebook.finding("একটা cell এর id নেই", "pathshala lint --fix", cell)
        elif cell["id"] in seen:
            yield notebook.finding("একই id দুই cell এ", "একটার id বদলাও", cell)
        seen.add(cell.get("id"))
    grades = [nbgrader(cell)["grade_id"] for cell in notebook.cells if nbgrader(cell)]
    for grade_id in sorted({one for one in grades if grades.count(one) > 1}):
        yield notebook.finding(f"একই grade_id দুই cell এ: {grade_id}", "একটা বদলাও")


def generated(notebook: Notebook) -> Iterator[Finding]:
    """The badge and the bootstrap cell are those that the course's address makes."""
    for tag, wanted in (("badge", badge(notebook.name)), ("bootstrap", bootstrap())):
        found = cells.tagged(notebook.data, tag)
        if len(found) != 1:
            yield notebook.finding(f"`{tag}` tag এর cell {len(found)}টা", "ঠিক একটা রাখো")
        for cell in found:
            if cells.source(cell) != wanted:
                yield notebook.finding(f"{tag} cell টা তৈরি করা সংস্করণের সঙ্গে মেলে না", "pathshala lint --fix", cell)


def tests(notebook: Notebook) -> Iterator[Finding]:
    """Test cells stand alone: nbgrader scores a cell with anything on stderr 0, and an import may write there."""
    for cell in filter(is_test, notebook.cells):
        try:
            tree = ast.parse(cells.source(cell))
        except SyntaxError as error:
            yield notebook.finding(f"পরীক্ষার cell টা Python না ({error.msg})", "বানান দেখো", cell)
            continue
        if any(isinstance(node, ast.Import | ast.ImportFrom) for node in ast.walk(tree)):
            yield notebook.finding("পরীক্ষার cell এ import আছে", "import ছাড়া লেখো", cell)


def released(course: Path) -> Iterator[Finding]:
    """exercises/ is what nbgrader makes of solutions/ now."""
    if not any(course.glob("solutions/*/*.ipynb")):
        return
    with TemporaryDirectory() as folder:
        again = Path(folder)
        copy(course / "nbgrader_config.py", again)
        copytree(course / "solutions", again / "solutions")
        release(course=again, say=lambda _line: None)
        made, there = _files(again / "exercises"), _files(course / "exercises")
    for name in sorted(made.keys() | there.keys()):
        if made.get(name) != there.get(name):
            yield Finding(f"exercises/{name}", "", "solutions/ থেকে এখন যা হয়, তা না", "pathshala release")


def _files(folder: Path) -> dict[str, bytes]:
    found = (path for path in folder.rglob("*") if path.is_file() and ".ipynb_checkpoints" not in path.parts)
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}


RULES = (parameters, clean, ids, generated, tests)
