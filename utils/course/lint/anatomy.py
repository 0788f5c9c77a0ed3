"""The parts of a chapter and of an exercise, in their order: what a reader finds in the same place every time."""

import ast
import re
from collections.abc import Iterator

from utils.course import cells
from utils.course.lint.findings import Finding, Notebook, is_test, nbgrader, prose
from utils.notebook.bangla import bn
from utils.notebook.quiz import questions

INTRO, RECAP = "## এই অধ্যায়ে", "## এই অধ্যায়ে কী শিখলে?"
GUESS, OPEN, HINT = "আগে অনুমান করো", "**নিজে করো", "ইঙ্গিত"
BUDGET = re.compile(r"<!-- budget -->\n.+\n<!-- /budget -->", re.DOTALL)
QUIZ = re.compile(r'^quiz\("(\d\d)", "([\w-]+)"\)', re.MULTILINE)


def title(notebook: Notebook) -> Iterator[Finding]:
    word = "অধ্যায়" if notebook.is_chapter else "অনুশীলন"
    wanted = f"# {word} {bn(int(notebook.number))}: " if notebook.number.isdigit() else ""
    first = cells.source(notebook.cells[0]) if notebook.cells else ""
    if not wanted or not first.startswith(wanted):
        yield notebook.finding(f'শিরোনাম "{wanted}…" দিয়ে শুরু হয়নি', "প্রথম cell টা শিরোনাম করো, সংখ্যাটা file এর নামের")
    opening = "\n".join(cells.source(cell) for cell in notebook.cells[:3])
    if "badge" not in [tag for cell in notebook.cells[:2] for tag in cell["metadata"].get("tags", ())]:
        yield notebook.finding("badge টা শিরোনামের ঠিক পরে নেই", "দ্বিতীয় cell এ রাখো")
    if not re.search(r'^> "', opening, re.MULTILINE):
        yield notebook.finding("শুরুতে শিক্ষার্থীর প্রশ্নটা নেই", '> "…" দিয়ে শুরু করো')


def chapter(notebook: Notebook) -> Iterator[Finding]:
    if not notebook.is_chapter:
        return
    text = notebook.text()
    intro, _, _rest = text.partition(INTRO + "\n")[2].partition("\n## ")
    goals = len(re.findall(r"^- ", intro, re.MULTILINE))
    if not 3 <= goals <= 5:
        yield notebook.finding(f'"{INTRO}" এ কাজ {bn(goals)}টা', "৩ থেকে ৫টা লেখো, - দিয়ে")
    if not BUDGET.search(text):
        yield notebook.finding(
            "budget এর লাইন নেই", "<!-- budget --> … <!-- /budget --> রেখে pathshala run --write-budget"
        )
    headings = re.findall(r"^## .+$", text, re.MULTILINE)
    if not headings or headings[0] != INTRO or headings[-1] != RECAP:
        yield notebook.finding(f'প্রথম "{INTRO}", শেষ "{RECAP}" হওয়ার কথা', "শিরোনামগুলো সাজাও")
    for heading, body in _sections(notebook):
        if GUESS not in body:
            yield notebook.finding(f'"{heading}" এ "{GUESS}" নেই', "ফলাফলের আগে একটা অনুমান চাও")
        tasks = body.split(OPEN)[1:]
        if not tasks:
            yield notebook.finding(f'"{heading}" এ "নিজে করো" নেই', "একটা খোলা কাজ দাও, ইঙ্গিত সহ")
        if any(HINT not in task.split("\n\n")[0] for task in tasks):
            yield notebook.finding(f'"{heading}" এর একটা "নিজে করো" তে ইঙ্গিত নেই', "(ইঙ্গিত: …) যোগ করো")
    recap = text.rpartition(RECAP)[2]
    stem = notebook.path.stem
    if f"](../exercises/{stem}/{stem}.ipynb)" not in recap:
        yield notebook.finding("শেষে অনুশীলনের link নেই", f"[…](../exercises/{stem}/{stem}.ipynb)")
    if "**পরের অধ্যায়:**" not in recap:
        yield notebook.finding("শেষে পরের অধ্যায়ের কথা নেই", "**পরের অধ্যায়:** … লেখো")


def _sections(notebook: Notebook) -> list[tuple[str, str]]:
    """(heading, all of its text) of the sections between the introduction and the recap; code stands in its place."""
    text = "\n\n".join(cells.source(cell) for cell in notebook.cells)
    parts = re.split(r"^## (.+)$", text, flags=re.MULTILINE)[1:]
    pairs = list(zip(parts[::2], parts[1::2], strict=True))
    return [pair for pair in pairs if f"## {pair[0]}" not in (INTRO, RECAP)]


def quizzes(notebook: Notebook) -> Iterator[Finding]:
    if not notebook.is_chapter:
        return
    asked = QUIZ.findall(notebook.code())
    if not 2 <= len(asked) <= 3:
        yield notebook.finding(f"quiz {bn(len(asked))}টা", "২ বা ৩টা রাখো")
    for number, name in asked:
        try:
            one = questions(number)[name]
        except (FileNotFoundError, KeyError):
            yield notebook.finding(
                f'quiz("{number}", "{name}") এর প্রশ্ন নেই', f"utils/notebook/quizzes/{number}.yml এ লেখো"
            )
            continue
        right = [answer for answer in one["answers"] if answer.get("correct")]
        if len(right) != 1:
            yield notebook.finding(f'quiz "{name}" এ ঠিক উত্তর {bn(len(right))}টা', "একটা রাখো")
        if not all(answer.get("feedback") for answer in one["answers"]):
            yield notebook.finding(f'quiz "{name}" এর সব উত্তরের ব্যাখ্যা নেই', "প্রতিটায় feedback লেখো")


def deliberate_error(notebook: Notebook) -> Iterator[Finding]:
    """A chapter has one, tagged so that a run goes on, and reads it afterwards."""
    found = cells.tagged(notebook.data, "raises-exception")
    if notebook.is_chapter and not found:
        yield notebook.finding("ইচ্ছে করে করা কোনো error নেই", "একটা রাখো, `raises-exception` tag দিয়ে")
    for cell in found:
        after = notebook.cells[notebook.cells.index(cell) + 1 :][:1]
        if not after or after[0]["cell_type"] != "markdown" or "error" not in prose(cells.source(after[0])):
            yield notebook.finding("error টা পড়ে বোঝানো হয়নি", "পরের cell এ error এর শেষ লাইনটা পড়ো", cell)


def exercise(notebook: Notebook) -> Iterator[Finding]:
    if notebook.is_chapter:
        return
    if "## এই অনুশীলনে\n" not in notebook.text():
        yield notebook.finding('"## এই অনুশীলনে" নেই', "শুরুতে বলো কী কী করতে হবে")
    tested = [cell for cell in notebook.cells if is_test(cell)]
    if not 3 <= len(tested) <= 5:
        yield notebook.finding(f"নিজে নিজে দেখা হয় এমন ধাপ {bn(len(tested))}টা", "৩ থেকে ৫টা রাখো")
    for cell in tested:
        before = notebook.cells[notebook.cells.index(cell) - 1]
        task = nbgrader(before).get("grade_id")
        if not nbgrader(before).get("solution") or nbgrader(cell)["grade_id"] != f"test_{task}":
            yield notebook.finding("পরীক্ষার আগে তার ধাপ নেই", "grade_id: NAME আর test_NAME, পাশাপাশি", cell)
            continue
        if task not in _functions(cells.source(before)):
            yield notebook.finding(f"ধাপটা {task} নামের function না, বা docstring নেই", f"def {task}(…) লেখো", before)
        source = cells.source(cell)
        if "### BEGIN HIDDEN TESTS" not in source or "### END HIDDEN TESTS" not in source:
            yield notebook.finding("লুকানো পরীক্ষা নেই", "### BEGIN HIDDEN TESTS … ### END HIDDEN TESTS", cell)


def _functions(source: str) -> set[str]:
    """The functions that a cell defines with a docstring."""
    try:
        tree = ast.parse(source)
    except SyntaxError:
        return set()
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef) and ast.get_docstring(node)}


RULES = (title, chapter, quizzes, deliberate_error, exercise)
