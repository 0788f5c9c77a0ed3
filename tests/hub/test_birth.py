"""Starter repos: a folder becomes a repo with history, the same on every machine, whole or not at all."""

import shutil
from pathlib import Path

import pytest

from utils.hub import accounts
from utils.hub.birth import bear, meta_token, student_token
from utils.hub.hub import Hub
from utils.hub.tables import Repo

HISTORY = """
models/pioneers/first:
  commits: [v0.9]
  tags: [v1.0, 714eb0f]
  aliases: [first-model]
datasets/pioneers/news:
  gated: manual
  aliases: [news]
"""


@pytest.fixture(scope="module")
def starters(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("starters")
    files = {
        "models/pioneers/first/README.md": b"---\nlanguage: bn\n---\n",
        "models/pioneers/first/model.safetensors": b"\0today's weights",
        "models/pioneers/first/.history/v0.9/model.safetensors": b"\0older weights",
        "datasets/pioneers/news/data/train.csv": b"text\n",
    }
    for path, content in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(content)
    (root / "history.yml").write_text(HISTORY)
    return root


def born(data: Path, starters: Path) -> Hub:
    hub = Hub(data)
    bear(hub, starters)
    return hub


def shape(hub: Hub) -> dict[str, tuple]:
    with hub.db() as db:
        repos = {repo.full_name: hub.git(repo) for repo in db.query(Repo)}
    return {name: (git.list_refs("refs/heads/"), git.list_refs("refs/tags/")) for name, git in repos.items()}


def test_the_same_commits_on_every_machine(tmp_path, starters):
    first, second = born(tmp_path / "1", starters), born(tmp_path / "2", starters)
    assert shape(first) == shape(second)
    branches, tags = shape(first)["pioneers/first"]
    assert set(branches) == {"main"} and tags["v1.0"] == tags["714eb0f"] == branches["main"] != tags["v0.9"]
    before = shape(first)
    bear(first, starters)
    assert shape(first) == before, "a second birth changes nothing"


def test_earlier_versions_are_read_by_their_tags(mortal_hub, starters):
    """And old ids without an owner lead to them, also where they stand in the middle of an address."""
    hub = mortal_hub
    hub.stop()
    born(hub.data, starters).close()
    hub.start()
    api = hub.api("rahim")
    assert (
        Path(api.hf_hub_download("pioneers/first", "model.safetensors", revision="v0.9")).read_bytes()
        == b"\0older weights"
    )
    assert Path(api.hf_hub_download("first-model", "model.safetensors")).read_bytes() == b"\0today's weights"
    assert ".history" not in str(api.list_repo_files("first-model")), "its machinery is no part of the repo"
    for revision in (None, "v1.0", "714eb0f"):
        assert api.model_info("First-Model", revision=revision).id == "pioneers/first"
    assert [info.path for info in api.get_paths_info("first-model", ["README.md"])] == ["README.md"]
    assert api.dataset_info("news").gated == "manual"
    assert api.dataset_info("news", revision="main").id == "pioneers/news"
    with hub.http() as http:
        moved = http.get("/datasets/news/resolve/main/data/train.csv?download=true")
        assert (moved.status_code, moved.headers["location"]) == (
            307,
            "/datasets/pioneers/news/resolve/main/data/train.csv?download=true",
        )
        assert http.get("/api/models/no-such-model").headers["X-Error-Code"] == "RepoNotFound"
        assert http.get("/no-such-model/resolve/main/x").headers["X-Error-Code"] == "RepoNotFound"
        assert http.get("/api/models/no-such-model/tree/main").status_code == 501


def test_a_birth_that_is_cut_off_is_made_up_for(tmp_path, starters):
    """What is missing is what the file could not be read for; the next start brings the whole repo."""
    broken = tmp_path / "starters"
    shutil.copytree(starters, broken)
    (broken / "history.yml").write_text("models/pioneers/first:\n  tags: ['not a..tag']\n")
    hub = Hub(tmp_path / "data")
    with pytest.raises(Exception, match="not a..tag"):
        bear(hub, broken)
    assert shape(hub) == {}
    hub.serving()
    bear(hub, starters)
    assert set(shape(hub)) == {"pioneers/first", "pioneers/news"}
    assert len(list(hub.repos.iterdir())) == 2, "the half-made folder is gone"
    hub.close()


def test_meta_answers_for_the_llama_and_the_student_does_not(tmp_path, starters):
    """The same token at every start, and a new one where its file was lost."""
    with_llama = tmp_path / "starters"
    shutil.copytree(starters, with_llama)
    (with_llama / "models/meta-llama/Llama").mkdir(parents=True)
    (with_llama / "models/meta-llama/Llama/README.md").write_text("# Llama\n")
    (with_llama / "history.yml").write_text("models/meta-llama/Llama:\n  gated: manual\n")
    hub = born(tmp_path / "data", with_llama)
    file = tmp_path / "meta.token"
    meta, student = meta_token(hub, file), student_token(hub, tmp_path / "student.token")
    with hub.db() as db:
        llama, other = hub.find(db, "model", "meta-llama/Llama"), hub.find(db, "model", "pioneers/first")
        may = {token: accounts.authenticate(db, token).may_write(db, llama) for token in (meta, student)}
        assert may == {meta: True, student: False}
        assert not accounts.authenticate(db, meta).may_write(db, other)
        assert not accounts.authenticate(db, student).may_read_files(db, llama)
    assert file.stat().st_mode & 0o077 == 0
    assert meta_token(hub, file) == meta
    file.unlink()
    again = meta_token(hub, file)
    with hub.db() as db:
        assert again != meta and accounts.knows(db, again) and not accounts.knows(db, meta)
    hub.close()
