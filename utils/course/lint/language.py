"""Bangla: its Unicode, punctuation, digits and words, in what a reader reads."""

import re
import unicodedata
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import yaml

from utils.course import cells
from utils.course.lint.findings import FENCE, INLINE_CODE, Finding, Notebook

LETTER = "\u0980-\u09e3\u09f0-\u09ff"  # Bangla without its digits
UNITS = "GB|MB|kB|KB|TB|GiB|MiB|ms|px|Hz|GHz|fps"
VERSION = re.compile(r"[A-Za-z`*]+ [0-9][0-9.]*|^ *[0-9]+\.", re.MULTILINE)  # "transformers 5", and a list's numbers
QUESTION = re.compile(r'"[^"\n]*"')  # what a student asks is quoted as he says it


@cache
def glossary() -> dict[str, dict]:
    """The word lists of `glossary.yml`: keep, gloss, fixed, voice."""
    return yaml.safe_load(Path(__file__).parents[1].joinpath("glossary.yml").read_text(encoding="utf-8"))


def unicode_form(notebook: Notebook) -> Iterator[Finding]:
    for cell in notebook.cells:
        text = cells.source(cell)
        if unicodedata.normalize("NFC", text) != text:
            yield notebook.finding("লেখা NFC না", "pathshala lint --fix", cell)
        if "\u200c" in text:
            yield notebook.finding("ZWNJ (U+200C) আছে", "pathshala lint --fix", cell)
        if re.search("(?<!র)\u200d|\u200d(?!্য)", text):
            yield notebook.finding("র‍্য ছাড়া অন্য জায়গায় ZWJ", "মুছে দাও", cell)


def punctuation(notebook: Notebook) -> Iterator[Finding]:
    for cell, text in notebook.prose():
        if "\u0965" in text or re.search(rf"^[^|\n]*[{LETTER}]\s?\|\s*$", text, re.MULTILINE):
            yield notebook.finding("দাঁড়ির জায়গায় অন্য চিহ্ন", "। (U+0964) লেখো", cell)
        if re.search(r"[ \t]।", text):
            yield notebook.finding("দাঁড়ির আগে ফাঁকা", "pathshala lint --fix", cell)
        if re.search(r"^#+ .*।\s*$", text, re.MULTILINE):
            yield notebook.finding("শিরোনামে দাঁড়ি", "মুছে দাও", cell)
        if re.search("[“”‘’]", text):
            yield notebook.finding("বাঁকা উদ্ধৃতি চিহ্ন", 'সোজা " লেখো', cell)
        if "..." in text:
            yield notebook.finding("তিনটা ফুটকি", "… লেখো", cell)
        for sentence in re.split(r"[।?!\n]", text):
            if sentence.count(" — ") > 1:
                yield notebook.finding(f"এক বাক্যে দুটো dash: {sentence.strip()[:50]}", "একটা রাখো", cell)
        if re.search(r"[০-৯]\s*-\s*[০-৯]", text):
            yield notebook.finding("পরিসরে hyphen", "৩–৫ এর মতো en dash লেখো", cell)


def digits(notebook: Notebook) -> Iterator[Finding]:
    for cell, text in notebook.prose():
        for match in re.finditer(rf"(?<![\w.,/#-])([0-9][0-9.,]*)\s?([{LETTER}]+)", VERSION.sub("", text)):
            yield notebook.finding(f"বাংলা শব্দের আগে ইংরেজি সংখ্যা: {match[0]}", "বাংলা সংখ্যা লেখো", cell)
        for match in re.finditer(rf"[০-৯][০-৯.,]*\s?({UNITS})\b", text):
            yield notebook.finding(f"একক এর আগে বাংলা সংখ্যা: {match[0]}", "2 GB এর মতো লেখো", cell)


def backticks(notebook: Notebook) -> Iterator[Finding]:
    """No Bangla in backticks but for what the code really uses."""
    used = notebook.code()
    for cell in notebook.kind("markdown"):
        for match in INLINE_CODE.finditer(FENCE.sub("", cells.source(cell))):
            words = re.findall(rf"[{LETTER}][{LETTER}\u09e6-\u09ef\u200d]*", match[2])
            if any(word not in used for word in words):
                yield notebook.finding(f"backtick এ বাংলা, code এ যা নেই: {match[0]}", "backtick তুলে দাও", cell)


def words(notebook: Notebook) -> Iterator[Finding]:
    """One spelling a term in the whole series; the reader is তুমি."""
    wrong = {form: right for right, forms in glossary()["keep"].items() for form in forms}
    wrong |= {form: right for right, forms in glossary()["fixed"].items() for form in forms}
    wrong |= glossary()["voice"]
    for cell, text in notebook.prose():
        text = QUESTION.sub("", text)
        for form, right in wrong.items():
            if re.search(rf"(?<![{LETTER}\u200d]){re.escape(form)}(?![{LETTER}])", text):
                yield notebook.finding(f'"{form}"', f'"{right}" লেখো', cell)


def endings(notebook: Notebook) -> Iterator[Finding]:
    """An ending after a Latin word stands apart: "Hub এ"."""
    for cell, text in notebook.prose():
        for match in re.finditer(rf"[A-Za-z][A-Za-z0-9]*-?[{LETTER}]+", text):
            yield notebook.finding(f"ইংরেজি শব্দে বিভক্তি জোড়া: {match[0]}", 'আলাদা করে লেখো: "Hub এ"', cell)


def glosses(notebook: Notebook) -> Iterator[Finding]:
    """A term is explained where a chapter first uses it, in the glossary's words."""
    if not notebook.is_chapter:
        return
    text = "\n\n".join(text for _cell, text in notebook.prose()).replace("**", "")
    for term, gloss in glossary()["gloss"].items():
        first = re.search(rf"(?<![\w/-]){re.escape(term)}(?![\w/-])", text, re.IGNORECASE)
        if first and not text[first.end() :].startswith(f" ({gloss})"):
            yield notebook.finding(f'"{first[0]}" প্রথমবার ব্যাখ্যা ছাড়া', f'"{first[0]} ({gloss})" লেখো')


RULES = (unicode_form, punctuation, digits, backticks, words, endings, glosses)
