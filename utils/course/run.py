"""Run the series: every chapter in a fresh kernel against a fresh local Hub, measured and reported.

papermill and nbconvert take seconds to import, so they are not imported before there is something to run.
"""

import os
import shutil
import stat
import sys
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from utils.course import budget, report
from utils.course.report import Failure, Result
from utils.course.tree import CourseError, root
from utils.hub.local import HubFailed, LocalHub

DEVICES = ("auto", "cpu", "cuda")


def run(
    names: list[str] | None = None,
    out: Path = Path("build"),
    hub: str = "local",
    device: str = "auto",
    chapters: Path | None = None,
    timeout: int = 600,
    write_budget: bool = False,
) -> list[Result]:
    """Execute notebooks one after the other; a notebook that fails does not stop the rest.

    Each gets an empty folder `out/workspaces/NAME` as its workspace (PATHSHALA_HOME: its Hub and its HF_HOME) and works
    in a scratch folder there, so that a run leaves nothing beside the chapters. The executed notebooks are in
    `out/notebooks`, their HTML in `out/html`, the report in `out/report.html` and `out/report.json`.

    Args:
        names: notebooks by name, file name or path; none means all.
        out: folder for all that a run writes.
        hub: "local", or the address of a Hub, for which no local one is started.
        device: "auto", "cpu" or "cuda".
        chapters: the folder of the notebooks; the course's own by default.
        timeout: seconds that one cell may take.
        write_budget: write the measured figures into the notebooks that passed; they are measured on the CPU.

    Returns:
        one row a notebook, in reading order.

    Raises:
        CourseError: no such notebook, or an argument that makes no sense.
        KeyboardInterrupt: after the report of what had run was written.
    """
    if hub != "local" and not hub.startswith(("http://", "https://")):
        raise CourseError(f'hub "{hub}" চিনি না। লেখো local, অথবা http:// বা https:// দিয়ে শুরু একটা ঠিকানা।')
    if device not in DEVICES:
        raise CourseError(f'device "{device}" চিনি না। লেখো {", ".join(DEVICES[:-1])} অথবা {DEVICES[-1]}।')
    if write_budget:
        if device == "cuda":
            raise CourseError("budget মাপা হয় CPU তে, কারণ GPU ছাড়া কত লাগে সেটাই লেখা থাকবে। --device cuda বাদ দাও।")
        device = "cpu"
    chapters = chapters or root() / "chapters"
    chosen = select(names or [], chapters)
    out = out.resolve()
    for folder in ("notebooks", "html", "workspaces"):
        (out / folder).mkdir(parents=True, exist_ok=True)

    console = Console()
    results: list[Result] = []
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    try:
        with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
            series = progress.add_task("notebook", total=len(chosen))
            for path in chosen:
                result = _execute(path, out, hub, device, timeout, progress)
                results.append(result)
                _convert(result, out)
                progress.advance(series)
                if result.failure:
                    report.show_failure(result, console)
                elif not console.is_terminal:
                    console.print(f"{report.WORDS[result.state]}: {result.notebook}, {result.seconds:.1f} s")
                if result.state == "interrupted":
                    raise KeyboardInterrupt
    finally:
        report.write(results, out)
        report.show(results, console)
        console.print(f"report: {out / 'report.html'}", soft_wrap=True)
    if write_budget:
        passed = [(path, row) for path, row in zip(chosen, results, strict=True) if row.state == "ok"]
        if placeless := [path.name for path, row in passed if not budget.write(path, row)]:
            raise CourseError(f"{', '.join(placeless)} — এখানে <!-- budget --> লেখা cell নেই, তাই বসানো গেল না।")
    return results


def select(names: list[str], chapters: Path) -> list[Path]:
    """The notebooks of a folder that are named, in reading order; all when none is.

    Raises:
        CourseError: the folder holds no notebook, or none of that name.
    """
    known = {path.stem: path for path in sorted(chapters.glob("*.ipynb"))}
    if not known:
        raise CourseError(f"{chapters} এ কোনো notebook নেই। --chapters দিয়ে ঠিক folder টা দেখাও।")
    wanted = [Path(name).name.removesuffix(".ipynb") for name in names]
    if unknown := [name for name in wanted if name not in known]:
        lines = "\n".join(f"  {name}" for name in known)
        raise CourseError(f"{', '.join(unknown)} — এই নামে কোনো notebook নেই। আছে এগুলো:\n{lines}")
    return [path for name, path in known.items() if name in wanted or not wanted]


def _execute(path: Path, out: Path, hub: str, device: str, timeout: int, progress: Progress) -> Result:
    """One notebook in an empty workspace, whose Hub runs for as long as the notebook does."""
    from utils.course.execution import execute

    home, executed = out / "workspaces" / path.stem, out / "notebooks" / path.name
    # What an earlier run left behind; its Hub may live on for some seconds.
    if leftover := LocalHub.running(home):
        leftover.stop()
    _remove(home)
    executed.unlink(missing_ok=True)
    (home / "cwd").mkdir(parents=True)
    bar = progress.add_task(path.stem, total=None)
    try:
        with LocalHub.open(home) if hub == "local" else nullcontext():
            result = execute(
                path,
                executed,
                cwd=home / "cwd",
                # debugpy warns on stderr of every kernel of a Python with frozen modules.
                environment={**os.environ, "PATHSHALA_HOME": str(home), "PYDEVD_DISABLE_FILE_VALIDATION": "1"},
                parameters={"HUB": hub, "DEVICE": device},
                timeout=timeout,
                on_cell=lambda index, count: progress.update(bar, completed=index, total=count),
            )
    except HubFailed as error:
        result = Result(path.stem, state="failed", failure=Failure(0, "", str(error)))
    finally:
        progress.remove_task(bar)
    result.download_mb = round(_size(home / "hf") / 1e6, 1)
    return result


def _convert(result: Result, out: Path) -> None:
    """The executed notebook, as far as it came, as HTML."""
    from nbconvert import HTMLExporter

    executed = out / "notebooks" / f"{result.notebook}.ipynb"
    if executed.exists():
        result.html = f"html/{result.notebook}.html"
        html, _ = HTMLExporter(language_code="bn").from_filename(str(executed))
        (out / result.html).write_text(html, encoding="utf-8")


def _size(folder: Path) -> int:
    """Bytes on disk under a folder; a cache's links to its own files count once."""
    return sum(path.lstat().st_size for path in folder.rglob("*") if path.is_file() and not path.is_symlink())


def _remove(folder: Path) -> None:
    """Delete a folder, git's read-only files in it too, which Windows keeps otherwise."""

    def unlock(function: Callable[[str], object], path: str, _: object) -> None:
        os.chmod(path, stat.S_IWRITE)
        function(path)

    if folder.exists():
        shutil.rmtree(folder, **{"onexc" if sys.version_info >= (3, 12) else "onerror": unlock})
