"""Links that lead somewhere, and pictures that say what they show."""

import re
from collections.abc import Iterator
from urllib.parse import unquote, urlsplit

from utils.course import cells
from utils.course.lint.findings import FENCE, INLINE_CODE, LINK, Finding, Notebook

IMG = re.compile(r"<img\b[^>]*>", re.IGNORECASE)
ALT = re.compile(r"""\balt\s*=\s*["'][^"']+["']""", re.IGNORECASE)


def links(notebook: Notebook) -> Iterator[Finding]:
    for cell in notebook.kind("markdown"):
        text = INLINE_CODE.sub("", FENCE.sub("", cells.source(cell)))
        for picture, shown, target in LINK.findall(text):
            if not shown.strip():
                what = "ছবির বর্ণনা (alt) নেই" if picture else "link এর লেখা নেই"
                yield notebook.finding(f"{what}: {target}", "[ ] এর ভেতর লেখো", cell)
            if reason := _wrong(notebook, target):
                yield notebook.finding(f"link {target}: {reason}", "ঠিকানাটা মেলাও", cell)
        for tag in IMG.findall(text):
            if not ALT.search(tag):
                yield notebook.finding("<img> এ alt নেই", 'alt="…" দাও', cell)


def _wrong(notebook: Notebook, target: str) -> str | None:
    """Why a link leads nowhere; None if it does."""
    if target.startswith("#"):
        return None if _anchor(notebook, unquote(target[1:])) else "এই notebook এ এমন শিরোনাম নেই"
    try:
        parts = urlsplit(target)
    except ValueError:
        return "ঠিকানাটা ভাঙা"
    if parts.scheme:
        well = parts.scheme == "https" and parts.hostname and "." in parts.hostname
        return None if well else "https:// দিয়ে পুরো ঠিকানা না"
    file = notebook.path.parent / unquote(parts.path)
    return None if parts.path and file.exists() else "এমন file নেই"


def _anchor(notebook: Notebook, wanted: str) -> bool:
    headings = re.findall(r"^#+ (.+)$", notebook.text(), re.MULTILINE)
    return wanted in {heading.strip().replace(" ", "-") for heading in headings}


RULES = (links,)
