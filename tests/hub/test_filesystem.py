"""The Hub as a file system (`HfFileSystem`): looked through, read in pieces, written, copied and removed."""

import os

import pytest
from huggingface_hub import CommitOperationAdd, HfFileSystem
from huggingface_hub.errors import EntryNotFoundError, RepositoryNotFoundError

LARGE = os.urandom(300_000)
FILES = {
    "README.md": b"# \xe0\xa6\x96\xe0\xa6\xac\xe0\xa6\xb0\n",
    "data/a.csv": b"x,y\n1,2\n",
    "data/deep/b.bin": LARGE,
}


@pytest.fixture(params=["model", "dataset", "space"])
def kind(request) -> str:
    return request.param


@pytest.fixture
def fs(hub) -> HfFileSystem:
    return HfFileSystem(endpoint=hub.url, token=hub.api("rahim").token, skip_instance_cache=True)


@pytest.fixture
def root(api, new_repo, kind) -> str:
    """A repo of this kind with some files, as a path of the file system."""
    repo = new_repo(kind)
    adds = [CommitOperationAdd(path, content) for path, content in FILES.items()]
    api.create_commit(repo_id=repo, repo_type=kind, operations=adds, commit_message="files")
    return repo if kind == "model" else f"{kind}s/{repo}"


def test_looked_through(fs, root):
    assert {os.path.relpath(path, root) for path in fs.find(root)} == {*FILES, ".gitattributes"}
    assert fs.glob(f"{root}/**/*.bin") == [f"{root}/data/deep/b.bin"]
    assert sorted(fs.ls(f"{root}/data", detail=False)) == [f"{root}/data/a.csv", f"{root}/data/deep"]
    assert [(os.path.relpath(at, root), folders, files) for at, folders, files in fs.walk(f"{root}/data")] == [
        ("data", ["deep"], ["a.csv"]),
        ("data/deep", [], ["b.bin"]),
    ]
    info = fs.info(f"{root}/data/deep/b.bin", expand_info=True)
    assert (info["type"], info["size"]) == ("file", len(LARGE)) and info["last_commit"].title == "files"
    assert fs.isdir(f"{root}/data") and fs.isfile(f"{root}/README.md") and not fs.exists(f"{root}/nothing")
    assert fs.du(root) == sum(map(len, FILES.values())) + fs.info(f"{root}/.gitattributes")["size"]
    assert fs.modified(f"{root}/README.md").year >= 2026
    assert fs.url(f"{root}/data/a.csv").endswith("/resolve/main/data/a.csv")


def test_read_whole_and_in_pieces(fs, root):
    for path, content in FILES.items():
        assert fs.cat_file(f"{root}/{path}") == content
    assert fs.cat_file(f"{root}/data/deep/b.bin", start=1000, end=2000) == LARGE[1000:2000]
    assert fs.tail(f"{root}/data/deep/b.bin", 100) == LARGE[-100:]
    with fs.open(f"{root}/data/deep/b.bin", block_size=4096) as file:
        file.seek(123_456)
        assert file.read(7) == LARGE[123_456:123_463]
        file.seek(0)
        assert file.read() == LARGE
    with fs.open(f"{root}/data/deep/b.bin", block_size=0) as stream:
        assert stream.read(10) == LARGE[:10]
    with fs.open(f"{root}/README.md", "r", encoding="utf-8") as file:
        assert file.read() == "# খবর\n"


def test_written_copied_moved_removed(fs, root, tmp_path):
    with fs.open(f"{root}/notes.txt", "w", encoding="utf-8") as file:
        file.write("এক\n")
    assert fs.read_text(f"{root}/notes.txt", encoding="utf-8") == "এক\n"
    fs.cp_file(f"{root}/data/deep/b.bin", f"{root}/copy.bin")
    assert fs.cat_file(f"{root}/copy.bin") == LARGE
    fs.mv(f"{root}/copy.bin", f"{root}/moved.bin")
    assert fs.exists(f"{root}/moved.bin") and not fs.exists(f"{root}/copy.bin")
    (tmp_path / "local").mkdir()
    (tmp_path / "local" / "z.txt").write_text("z")
    fs.put(str(tmp_path / "local"), f"{root}/put", recursive=True)
    fs.get(f"{root}/put", str(tmp_path / "back"), recursive=True)
    assert (tmp_path / "back" / "z.txt").read_text() == "z"
    fs.rm(f"{root}/data", recursive=True)
    assert not fs.exists(f"{root}/data")
    with pytest.raises(EntryNotFoundError):
        fs.rm(f"{root}/data/a.csv")


def test_earlier_revisions(api, fs, root, kind):
    repo = root.split("/", 1)[1] if kind != "model" else root
    before = api.repo_info(repo, repo_type=kind).sha
    api.create_branch(repo, repo_type=kind, branch="dev/one")
    fs.pipe_file(f"{root}@dev%2Fone/README.md", b"on the branch")
    assert fs.cat_file(f"{root}@dev%2Fone/README.md") == b"on the branch"
    assert fs.cat_file(f"{root}/README.md") == fs.cat_file(f"{root}@{before}/README.md") == FILES["README.md"]
    assert fs.cat_file(f"{root}/README.md", revision="dev/one") == b"on the branch"


def test_private_repos_are_not_there_for_strangers(hub, new_repo):
    secret = new_repo(private=True)
    fs = HfFileSystem(endpoint=hub.url, token=hub.api("karim").token, skip_instance_cache=True)
    assert not fs.exists(f"{secret}/README.md")
    with pytest.raises((FileNotFoundError, RepositoryNotFoundError)):
        fs.ls(secret)
