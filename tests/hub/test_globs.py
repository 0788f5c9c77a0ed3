"""Patterns of .gitattributes and .gitignore mean what they mean to git, which is asked itself."""

import subprocess
import time

import pytest

from utils.hub.globs import Attributes, Ignored

PATHS = [
    *("a", "a.bin", "x.tar.gz", "x.tar", "d/a.bin", "d/e/a.bin", "d/e/f/a", "saved_model/v", "saved_model/a/b"),
    *("my file.txt", "my-file.txt", "build/x", "src/build/x", "src/build", "keep.log", "d/keep.log", "d/b.log"),
    *("[x]", "x", "#note", "!bang", "বাংলা.txt", "d/বাংলা.txt", "A.BIN", "tfevents", "a.tfevents.1", "d/x/y/z/a"),
]
PATTERNS = [
    *("*.bin", "*.tar.*", "saved_model/**/*", "saved_model/**", "*tfevents*", "/a", "d/a.bin", "d/*", "**/build/x"),
    *("d/**/a", "**", "*", "?", "[ab]", "[!a]", "[^a]", "my[[:space:]]file.txt", "*.log", "\\[x\\]", "বাংলা.txt"),
    *("d/", "build", "build/", "/build", "src/*/x", "*/a.bin", "d/?/a.bin", "a*", "*a", "x.tar*", "**/a", "a/**"),
]


@pytest.fixture(scope="module")
def git(tmp_path_factory):
    folder = tmp_path_factory.mktemp("globs")

    def run(*arguments: str, lines: list[str]) -> str:
        done = subprocess.run(
            ["git", "-c", "core.quotePath=false", "-c", "core.excludesFile=/dev/null", *arguments],
            cwd=folder,
            input="\n".join(lines),
            capture_output=True,
            encoding="utf-8",
        )
        assert done.stderr == ""
        return done.stdout

    run("init", "-q", lines=[])

    def ask(name: str, content: str) -> set[str]:
        (folder / name).write_text(content, encoding="utf-8")
        if name == ".gitattributes":
            said = run("check-attr", "--stdin", "filter", lines=PATHS).splitlines()
            return {line.removesuffix(": filter: lfs") for line in said if line.endswith(": filter: lfs")}
        return set(run("check-ignore", "--no-index", "--stdin", lines=PATHS).splitlines())

    return ask


@pytest.mark.parametrize("pattern", PATTERNS)
def test_attributes(git, pattern):
    content = f"# large files\n{pattern} filter=lfs diff=lfs merge=lfs -text\n"
    ours = Attributes(content.encode())
    assert {path for path in PATHS if ours.large(path)} == git(".gitattributes", content)


@pytest.mark.parametrize("pattern", PATTERNS)
def test_ignored(git, pattern):
    ours = Ignored(f"{pattern}\n".encode())
    assert {path for path in PATHS if path in ours} == git(".gitignore", f"{pattern}\n")


def test_later_lines_count(git):
    attributes = "*.bin filter=lfs\n/a.bin -filter\nd/** filter=lfs\nd/e/* !filter\n*.txt text\n"
    ours = Attributes(attributes.encode())
    assert {path for path in PATHS if ours.large(path)} == git(".gitattributes", attributes)
    ignored = "*.log\n!keep.log\nd/\n!d/a.bin\nbuild/*\n!build/x\n# comment\n\\#note\n\\!bang\n\n"
    ours = Ignored(ignored.encode())
    assert {path for path in PATHS if path in ours} == git(".gitignore", ignored)


@pytest.mark.parametrize(
    "pattern", ["*a" * 100 + "b", "**/a*/" * 40 + "b", "*a" * 20 + "/**/" + "*a" * 20, "**/" * 400 + "b"]
)
def test_no_pattern_takes_long(pattern):
    """As regular expressions of a whole path these would go on for years."""
    path = "/".join(["a" * 40] * 100)
    started = time.monotonic()
    assert not Attributes(f"{pattern} filter=lfs".encode()).large(path + "/c")
    assert path + "/c" not in Ignored(f"{pattern}x".encode())
    assert time.monotonic() - started < 5
