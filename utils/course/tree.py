"""The course on disk: where it lies, its notebooks, and the one error that its commands raise for people."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


class CourseError(Exception):
    """Something a person can put right. The message is in Bangla and says how; the command shows no traceback."""


def root() -> Path:
    """The course's folder. An ordinary install carries only `utils`, so a command that needs the notebooks asks here.

    Raises:
        CourseError: there are no chapters beside the installed `utils`.
    """
    if not (ROOT / "chapters").is_dir():
        raise CourseError(
            "এখানে course এর notebook নেই — শুধু package টা install করা আছে।\n"
            "repo টা clone করো, তারপর তার folder এর ভেতর থেকে `make run` বা `uv pip install -e .` চালাও।"
        )
    return ROOT


def notebooks(folder: Path) -> list[Path]:
    """The notebooks of a folder and of the folders in it, in reading order; a checkpoint is none."""
    return sorted(path for path in folder.rglob("*.ipynb") if ".ipynb_checkpoints" not in path.parts)
