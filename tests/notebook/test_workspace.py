"""Where a student's Hub and files lie, and how one starts over."""

import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from utils.hub.local import LocalHub
from utils.notebook import workspace

PATHSHALA = Path(sys.executable).with_name("pathshala")


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with none of ours above it, as the current one."""
    monkeypatch.delenv("PATHSHALA_HOME", raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path.resolve()


def test_pathshala_home_is_taken_at_its_word(elsewhere, monkeypatch):
    monkeypatch.setenv("PATHSHALA_HOME", "mine/../here")

    assert workspace.home() == elsewhere / "here"


def test_in_the_course_every_folder_shares_one_workspace(elsewhere, monkeypatch):
    (elsewhere / "pyproject.toml").write_text('[tool.pathshala]\nrepository = "a/b"\n')
    inside = elsewhere / "exercises" / "01"
    inside.mkdir(parents=True)
    for folder in (elsewhere, inside):
        monkeypatch.chdir(folder)

        assert workspace.home() == elsewhere / ".pathshala"


def test_another_projects_folder_is_not_the_course(elsewhere, monkeypatch):
    (elsewhere / "pyproject.toml").write_text("[project]\n")
    (elsewhere / "notebooks").mkdir()
    monkeypatch.chdir(elsewhere / "notebooks")

    assert workspace.home() == elsewhere / "notebooks" / ".pathshala"


def test_the_nearest_workspace_wins(elsewhere, monkeypatch):
    (elsewhere / ".pathshala").mkdir()
    (elsewhere / "a" / "b").mkdir(parents=True)
    monkeypatch.chdir(elsewhere / "a" / "b")

    assert workspace.home() == elsewhere / ".pathshala"


def test_reset_without_a_workspace_does_nothing(elsewhere):
    assert workspace.reset() is None
    assert list(elsewhere.iterdir()) == []


def test_reset_stops_the_hub_and_removes_all(elsewhere, environment):
    """As typed in a terminal while a notebook still holds the Hub."""
    home = elsewhere / ".pathshala"
    with LocalHub.open(home) as hub:
        (home / "hf" / "hub").mkdir(parents=True)

        done = subprocess.run([PATHSHALA, "reset", "--yes"], env=environment(), capture_output=True, text=True)

        assert done.returncode == 0, done.stderr
        assert not home.exists()
        assert not psutil.pid_exists(hub.pid) or psutil.Process(hub.pid).status() == psutil.STATUS_ZOMBIE
