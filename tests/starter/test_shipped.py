"""The weights reach a student whole: through a clone made with git-lfs installed, and through the wheel."""

import hashlib
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

COURSE = Path(__file__).parents[2]
GIT_LFS = COURSE / ".tools" / "git-lfs" / "git_lfs" / "bin"


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@pytest.fixture(scope="module")
def shipped() -> dict[str, str]:
    """Path → sha256 of every file of a starter repo."""
    root = COURSE / "utils" / "starter"
    files = [path for kind in ("models", "datasets", "spaces") for path in (root / kind).rglob("*") if path.is_file()]
    found = {path.relative_to(COURSE).as_posix(): sha256(path.read_bytes()) for path in files}
    assert any(name.endswith(".safetensors") for name in found)
    return found


def test_no_file_of_a_starter_acts_on_the_courses_own_git(shipped: dict[str, str]) -> None:
    assert not [name for name in shipped if Path(name).name in (".gitattributes", ".gitignore")]


def test_clone_with_git_lfs_has_the_weights(shipped: dict[str, str], tmp_path: Path) -> None:
    lfs = shutil.which("git-lfs", path=os.pathsep.join([os.environ["PATH"], str(GIT_LFS)]))
    assert lfs, "git-lfs is missing: `make test` installs it, or install it yourself"
    home = tmp_path / "home"
    home.mkdir()
    path = os.pathsep.join([str(Path(lfs).parent), os.environ["PATH"]])
    env = os.environ | {"HOME": str(home), "GIT_CONFIG_GLOBAL": str(home / ".gitconfig"), "PATH": path}
    subprocess.run([lfs, "install", "--skip-repo"], check=True, env=env, capture_output=True)
    clone = tmp_path / "clone"
    subprocess.run(["git", "clone", "-q", "--no-local", str(COURSE), str(clone)], check=True, env=env)
    assert {name: sha256((clone / name).read_bytes()) for name in shipped} == shipped


def test_wheel_has_the_weights(shipped: dict[str, str], tmp_path: Path) -> None:
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(build, cwd=COURSE, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as packed:
        assert {name: sha256(packed.read(name)) for name in shipped} == shipped


def test_all_of_them_together_are_small() -> None:
    root = COURSE / "utils" / "starter"
    files = [path for kind in ("models", "datasets", "spaces") for path in (root / kind).rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 20_000_000
