"""The workspace: the folder where one student's local Hub, its repos and the client's cache live."""

import os
import shutil
from pathlib import Path

from utils.hub.local import LocalHub

NAME = ".pathshala"


def home() -> Path:
    """`PATHSHALA_HOME`; else `.pathshala` in the course's folder or the nearest one above; else in this folder."""
    if given := os.environ.get("PATHSHALA_HOME"):
        return Path(given).resolve()
    here = Path.cwd()
    for folder in (here, *here.parents):
        if (folder / NAME).is_dir() or _is_course(folder):
            return folder / NAME
    return here / NAME


def _is_course(folder: Path) -> bool:
    try:
        return "[tool.pathshala]" in (folder / "pyproject.toml").read_text(encoding="utf-8")
    except OSError:
        return False


def reset() -> Path | None:
    """Stops the workspace's Hub and removes all that is in it. Returns the folder, or None if there was none."""
    folder = home()
    if not folder.is_dir():
        return None
    if hub := LocalHub.running(folder):
        hub.stop()
    shutil.rmtree(folder)
    return folder
