"""The linter: the course passes, and each rule finds the one bad notebook that is made for it."""

import copy
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from utils.cli import app
from utils.course import cells
from utils.course.lint import RULES, code, lint
from utils.course.lint.findings import Notebook
from utils.course.lint.repair import repair
from utils.course.tree import ROOT

CHAPTER, SOLUTION = (
    "chapters/01_what_is_hugging_face.ipynb",
    "solutions/01_what_is_hugging_face/01_what_is_hugging_face.ipynb",
)
Change = Callable[[dict], None]


def the(notebook: dict, cell_id: str) -> dict:
    return next(cell for cell in notebook["cells"] if cell["id"] == cell_id)


def put(cell_id: str, old: str, new: str) -> Change:
    """Replaces a piece of a cell's text, which must be there."""

    def change(notebook: dict) -> None:
        text = cells.source(the(notebook, cell_id))
        assert old in text, old
        cells.set_source(the(notebook, cell_id), text.replace(old, new, 1))

    return change


def say(text: str) -> Change:
    """Adds a sentence to a paragraph of the chapter."""
    return put("lesson", "\n", f"\n\n{text}\n")


def meta(cell_id: str, **metadata: object) -> Change:
    return lambda notebook: the(notebook, cell_id)["metadata"].update(metadata)


def drop(cell_id: str) -> Change:
    return lambda notebook: notebook["cells"].remove(the(notebook, cell_id))


def move_to_end(cell_id: str) -> Change:
    def change(notebook: dict) -> None:
        cell = the(notebook, cell_id)
        notebook["cells"].remove(cell)
        notebook["cells"].append(cell)

    return change


def set_key(cell_id: str, key: str, value: object) -> Change:
    return lambda notebook: the(notebook, cell_id).update({key: value})


OUTPUT = [{"output_type": "stream", "name": "stdout", "text": "x"}]
# What is done to a good notebook → part of what the linter says of it.
BAD_CHAPTERS: dict[str, Change] = {
    # form
    "`parameters` tag এর cell 0টা": drop("parameters"),
    "parameters cell এ literal ছাড়া কিছু আছে": put("parameters", '"local"', 'str("local")'),
    "parameters এর পরের cell এ start(": put("start", "start(hub=HUB, device=DEVICE)", "start()"),
    "output রয়ে গেছে": set_key("result", "outputs", OUTPUT),
    "execution_count রয়ে গেছে": set_key("result", "execution_count", 3),
    "বাড়তি metadata: collapsed": meta("result", collapsed=True),
    "notebook এ বাড়তি metadata: widgets": lambda notebook: notebook["metadata"].update(widgets={}),
    "অচেনা tag: wip": meta("result", tags=["wip"]),
    "kernel টা python3 না": lambda notebook: notebook["metadata"]["kernelspec"].update(name="conda-env"),
    "একই id দুই cell এ": set_key("first", "id", "result"),
    "badge cell টা তৈরি করা সংস্করণের সঙ্গে মেলে না": put("badge", "pathshala-bn", "somebody"),
    "bootstrap cell টা তৈরি করা সংস্করণের সঙ্গে মেলে না": put("bootstrap", "import", "import re,"),
    "nbformat এর নিয়মে পড়ে না": lambda notebook: the(notebook, "result").pop("outputs"),
    # anatomy
    'শিরোনাম "# অধ্যায় ১: …" দিয়ে শুরু হয়নি': put("title", "১", "২"),
    "badge টা শিরোনামের ঠিক পরে নেই": move_to_end("badge"),
    "শুরুতে শিক্ষার্থীর প্রশ্নটা নেই": put("hook", '> "', "> "),
    '"## এই অধ্যায়ে" এ কাজ ২টা': lambda notebook: [put("hook", "\n- ", "\n")(notebook) for _ in range(3)],
    "budget এর লাইন নেই": put("hook", "<!-- budget -->", ""),
    "হওয়ার কথা": put("recap", "## এই অধ্যায়ে কী শিখলে?", "## সারাংশ"),
    'এ "আগে অনুমান করো" নেই': put("mistake", "আগে অনুমান করো", "ভাবো"),
    'এ "নিজে করো" নেই': put("bangla", "**নিজে করো:**", "করো:"),
    '"নিজে করো" তে ইঙ্গিত নেই': put("first-read", "ইঙ্গিত", "কথা"),
    "শেষে অনুশীলনের link নেই": put("recap", "../exercises/01", "../exercises/02"),
    "শেষে পরের অধ্যায়ের কথা নেই": put("recap", "**পরের অধ্যায়:**", "পরে:"),
    "quiz ১টা": lambda notebook: [drop(name)(notebook) for name in ("quiz-where", "quiz-confident")],
    'quiz("01", "nowhere") এর প্রশ্ন নেই': put("quiz-where", '"where"', '"nowhere"'),
    "ইচ্ছে করে করা কোনো error নেই": lambda notebook: the(notebook, "typo")["metadata"].pop("tags"),
    "error টা পড়ে বোঝানো হয়নি": drop("typo-read"),
    # code
    "code 16 লাইন": put("result", "result", "\n".join(f"a{n} = {n}" for n in range(15)) + "\nresult"),
    "ruff F821": put("result", "result", "resullt"),
    "লেখচিত্রের বর্ণনা (alt) নেই": put("bars", "show(", "import matplotlib.pyplot as plt\nplt.figure()\nshow("),
    "লেখচিত্র show() দিয়ে দেখানো হয়নি": put("result", "result", "import matplotlib.pyplot as plt\nplt.plot([1])"),
    "utils.hub.local import করা": put("result", "result", "from utils.hub.local import LocalHub\nLocalHub"),
    # language
    "লেখা NFC না": say("খু\u09dcো"),
    "ZWNJ (U+200C) আছে": say("উদ্\u200cঘাটন"),
    "অন্য জায়গায় ZWJ": say("ক\u200dক"),
    "দাঁড়ির জায়গায় অন্য চিহ্ন": say("শেষ হলো |"),
    "দাঁড়ির আগে ফাঁকা": say("শেষ হলো ।"),
    "শিরোনামে দাঁড়ি": put("step-1", "### ধাপ ১: Hub এ একটা HTTP request", "### ধাপ ১: Hub এ একটা HTTP request।"),
    "বাঁকা উদ্ধৃতি চিহ্ন": say("“ঠিক”"),
    "তিনটা ফুটকি": say("চলছে..."),
    "এক বাক্যে দুটো dash": say("এটা — মানে ওটা — ঠিক।"),
    "পরিসরে hyphen": say("৩-৫ দিন"),
    "বাংলা শব্দের আগে ইংরেজি সংখ্যা: 3 লাইন": say("3 লাইন লেখো।"),
    "একক এর আগে বাংলা সংখ্যা: ২ GB": say("২ GB জায়গা লাগে।"),
    "backtick এ বাংলা": say("`নতুন কথা` লেখো।"),
    '"মডেল" → "model"': say("মডেল নামাও।"),
    '"কিভাবে" → "কীভাবে"': say("কিভাবে চলে দেখো।"),
    '"করুন" → "করো"': say("এবার করুন।"),
    "ইংরেজি শব্দে বিভক্তি জোড়া: Hubএ": say("Hubএ যাও।"),
    '"attention" প্রথমবার ব্যাখ্যা ছাড়া': say("এর ভেতরে attention আছে।"),
    # links
    "এমন file নেই": say("[দেখো](../chapters/00_nothing.ipynb)"),
    "এই notebook এ এমন শিরোনাম নেই": say("[দেখো](#নেই-এমন)"),
    "https:// দিয়ে পুরো ঠিকানা না": say("[দেখো](http://huggingface.co/docs)"),
    "ছবির বর্ণনা (alt) নেই": say("![](https://huggingface.co/front/logo.svg)"),
    "<img> এ alt নেই": say('<img src="https://huggingface.co/front/logo.svg">'),
}
BAD_SOLUTIONS: dict[str, Change] = {
    'শিরোনাম "# অনুশীলন ১: …" দিয়ে শুরু হয়নি': put("title", "# অনুশীলন ১", "# অধ্যায় ১"),
    '"## এই অনুশীলনে" নেই': put("intro", "## এই অনুশীলনে", "## শুরু"),
    "নিজে নিজে দেখা হয় এমন ধাপ ২টা": lambda notebook: [
        drop(name)(notebook) for task in ("verdict", "count-labels", "safe-verdict") for name in (task, f"test-{task}")
    ],
    "পরীক্ষার আগে তার ধাপ নেই": drop("label-of"),
    "ধাপটা label_of নামের function না": put("label-of", "def label_of", "def label"),
    "লুকানো পরীক্ষা নেই": put("test-label-of", "### BEGIN HIDDEN TESTS", "#"),
    "পরীক্ষার cell এ import আছে": put("test-label-of", "def check", "import os\ndef check"),
    "একই grade_id দুই cell এ": lambda notebook: the(notebook, "verdict")["metadata"]["nbgrader"].update(
        grade_id="label_of"
    ),
}


def findings(said: str, name: str, change: Change) -> list[str]:
    """What the rules say of the course's notebook after the change."""
    notebook = Notebook.read(ROOT / name, ROOT)
    notebook.data = copy.deepcopy(notebook.data)
    change(notebook.data)
    rules = RULES if "ruff" in said else [rule for rule in RULES if rule is not code.ruff]
    return [str(finding) for rule in rules for finding in rule(notebook)]


def test_the_course_passes():
    assert [str(finding) for finding in lint()] == []


@pytest.mark.parametrize("said", BAD_CHAPTERS)
def test_a_bad_chapter_is_found(said, tmp_path):
    if said.startswith("nbformat"):  # read from a file, as no rule sees it
        course = tmp_path
        (course / "chapters").mkdir()
        data = json.loads((ROOT / CHAPTER).read_text(encoding="utf-8"))
        BAD_CHAPTERS[said](data)
        (course / CHAPTER).write_text(json.dumps(data))
        found = [str(finding) for finding in Notebook.read(course / CHAPTER, course).broken]
    else:
        found = findings(said, CHAPTER, BAD_CHAPTERS[said])
    assert [one for one in found if said in one], found


@pytest.mark.parametrize("said", BAD_SOLUTIONS)
def test_a_bad_exercise_is_found(said):
    found = findings(said, SOLUTION, BAD_SOLUTIONS[said])
    assert [one for one in found if said in one], found


@pytest.fixture
def course(tmp_path: Path) -> Path:
    for name in ("nbgrader_config.py", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    for name in ("chapters", "solutions", "exercises"):
        shutil.copytree(ROOT / name, tmp_path / name)
    return tmp_path


def test_an_exercise_that_is_not_what_its_solution_makes_is_found(course):
    path = course / SOLUTION
    cells.edit(path, put("intro", "সোজা কথায়", "সোজা করে"))
    assert [(finding.file, finding.mend) for finding in lint(course)] == [
        (f"exercises/{SOLUTION.removeprefix('solutions/')}", "pathshala release")
    ]


def test_fix_repairs_what_is_mechanical_and_nothing_else(course):
    before = (course / CHAPTER).read_bytes()
    assert repair(course) == []
    spoiled: list[Change] = [
        set_key("result", "outputs", OUTPUT),
        set_key("result", "execution_count", 3),
        meta("result", collapsed=True),
        lambda notebook: notebook["metadata"].update(widgets={}),
        put("badge", "pathshala-bn", "somebody"),
        put("bootstrap", "import", "import re,"),
        put("lesson", "।", " ।"),
        put("lesson", "মনে", "ম\u200cনে"),
    ]
    for change in spoiled:
        cells.edit(course / CHAPTER, change)
    cells.edit(course / SOLUTION, put("intro", "।", " ।"))
    assert lint(course)
    assert repair(course) == [CHAPTER, SOLUTION, "exercises/01_what_is_hugging_face"]
    assert lint(course) == []
    assert (course / CHAPTER).read_bytes() == before


def test_the_command_says_where_what_and_how_and_fails(monkeypatch, course):
    cells.edit(course / CHAPTER, say("কিভাবে চলে দেখো।"))
    monkeypatch.setattr("utils.course.lint.root", lambda: course)
    done = CliRunner().invoke(app, ["lint"])
    assert done.exit_code == 1
    assert f'{CHAPTER} · lesson · "কিভাবে" → "কীভাবে" লেখো' in done.output
