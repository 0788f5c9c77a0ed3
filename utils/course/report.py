"""What a run of the series came to: a table on the terminal, a page to read, rows for a program."""

import json
from dataclasses import asdict, dataclass
from html import escape
from pathlib import Path
from typing import Literal
from urllib.parse import quote

from rich.console import Console
from rich.table import Table
from rich.text import Text

WORDS = {"ok": "✓ ঠিক আছে", "failed": "✗ ভুল হয়েছে", "interrupted": "■ থামানো হয়েছে"}
COLOURS = {"ok": "green", "failed": "red", "interrupted": "yellow"}
LAST_LINES = 8


@dataclass(frozen=True)
class Failure:
    """Why a notebook failed. `cell` counts code cells from 1, as Jupyter's `[1]` does; 0: before any cell ran."""

    cell: int
    source: str
    error: str


@dataclass
class Result:
    """One row of the report. Sizes are in MB (10⁶ bytes), `seconds` from the kernel's start to its end.

    `html` is the executed notebook's page, relative to the report; empty where nothing could be executed.
    """

    notebook: str
    cells: int = 0
    seconds: float = 0.0
    peak_mb: float = 0.0
    download_mb: float = 0.0
    html: str = ""
    state: Literal["ok", "failed", "interrupted"] = "ok"
    failure: Failure | None = None


def digits(number: int) -> str:
    """Bangla digits: 12 → ১২."""
    return str(number).translate(str.maketrans("0123456789", "০১২৩৪৫৬৭৮৯"))


def show_failure(result: Result, console: Console) -> None:
    """Where a notebook failed: the cell's number, its source and the error's last lines."""
    failure = result.failure
    assert failure
    console.print(Text(f"\n✗ {result.notebook}{_where(result)}", "bold red"))
    for line in failure.source.splitlines():
        console.print(Text(f"  │ {line}"), soft_wrap=True)
    for line in failure.error.splitlines()[-LAST_LINES:]:
        console.print(Text(f"  {line}", "red"), soft_wrap=True)


def show(results: list[Result], console: Console) -> None:
    """The table of the whole run."""
    table = Table("notebook")
    for heading in ("cell", "সেকেন্ড", "RAM, MB"):
        table.add_column(heading, justify="right")
    table.add_column("ফলাফল")
    for row in results:
        state = Text(WORDS[row.state], COLOURS[row.state])
        table.add_row(row.notebook, str(row.cells), f"{row.seconds:.1f}", f"{row.peak_mb:.0f}", state)
    console.print(table)


def write(results: list[Result], out: Path) -> None:
    """`report.json` and `report.html` in the folder `out`, beside the `html/` that the page links to."""
    rows = json.dumps([asdict(row) for row in results], ensure_ascii=False, indent=1)
    (out / "report.json").write_text(rows + "\n", encoding="utf-8")
    (out / "report.html").write_text(page(results), encoding="utf-8")


def page(results: list[Result]) -> str:
    """The run as one HTML page that needs nothing but itself."""
    ok = sum(row.state == "ok" for row in results)
    summary = f"{digits(len(results))}টার মধ্যে {digits(ok)}টা notebook পুরো চলেছে।"
    rows = "\n".join(_row(row) for row in results)
    failures = "\n".join(_section(row) for row in results if row.failure)
    return f"""<!doctype html>
<html lang="bn">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>পাঠশালা — notebook চালানোর ফলাফল</title>
<style>{STYLE}</style>
</head>
<body>
<main>
<h1>notebook চালানোর ফলাফল</h1>
<p>{summary}</p>
<div class="wide"><table>
<thead><tr><th>notebook<th>ফলাফল<th>cell<th>সেকেন্ড<th>RAM, MB<th>download, MB</tr></thead>
<tbody>
{rows}
</tbody>
</table></div>
{failures}
</main>
</body>
</html>
"""


def _where(result: Result) -> str:
    cell = result.failure.cell if result.failure else 0
    return f" — cell {cell}" if cell else ""


def _name(result: Result) -> str:
    """The notebook's name, linked to its executed form where there is one (an unreadable file has none)."""
    name = escape(result.notebook)
    return f'<a href="{quote(result.html)}">{name}</a>' if result.html else name


def _row(row: Result) -> str:
    return (
        f'<tr><td>{_name(row)}<td class="{row.state}">{WORDS[row.state]}<td>{row.cells}'
        f"<td>{row.seconds:.1f}<td>{row.peak_mb:.0f}<td>{row.download_mb:.0f}</tr>"
    )


def _section(row: Result) -> str:
    """The failed cell, the error's last line, and the whole of it for who opens it."""
    assert row.failure
    error = escape(row.failure.error)
    return (
        f"<section><h2>{_name(row)}{_where(row)}</h2>\n"
        f"<pre>{escape(row.failure.source)}</pre>\n"
        f'<details><summary class="failed">{error.splitlines()[-1]}</summary><pre>{error}</pre></details></section>'
    )


STYLE = """
:root { color-scheme: light dark; --text: #1c1e21; --page: #fff; --line: #d8dce1; --code: #f4f5f7; --link: #0b5cad;
  --ok: #17692f; --failed: #b3261e; --interrupted: #7a5b00 }
@media (prefers-color-scheme: dark) { :root { --text: #e6e8eb; --page: #15181c; --line: #3a4048; --code: #1f242a;
  --link: #7db8f5; --ok: #6fcf8a; --failed: #ff8a80; --interrupted: #e6c14c } }
body { margin: 0; color: var(--text); background: var(--page); line-height: 1.6;
  font-family: "Hind Siliguri", "Noto Sans Bengali", "Nirmala UI", "Kohinoor Bangla", system-ui, sans-serif }
main { max-width: 60rem; margin: 0 auto; padding: 1rem }
a { color: var(--link) }
.wide { overflow-x: auto }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums }
th, td { padding: .4rem .6rem; border-bottom: 1px solid var(--line); text-align: right; white-space: nowrap }
th:nth-child(-n + 2), td:nth-child(-n + 2) { text-align: left }
h2 { font-size: 1.1rem }
h2, summary { overflow-wrap: anywhere }
pre { padding: .8rem; overflow-x: auto; background: var(--code); border-radius: .4rem; line-height: 1.4 }
.ok { color: var(--ok) } .failed { color: var(--failed) } .interrupted { color: var(--interrupted) }
"""
