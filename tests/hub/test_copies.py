"""Copies made inside the Hub: whole repos with their history, and files within a repo and between two."""

import hashlib
import os
import subprocess
import sys
import uuid

import pytest
from huggingface_hub import CommitOperationAdd, CommitOperationCopy, CommitOperationDelete, Volume
from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, RepositoryNotFoundError, RevisionNotFoundError


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def stored(hub) -> int:
    return sum(path.is_file() for path in (hub.data / "objects").rglob("*"))


def refused(status: int):
    return pytest.raises(HfHubHTTPError, check=lambda error: error.response.status_code == status)


@pytest.fixture
def target() -> str:
    """The name of a repo that is not there yet."""
    return f"karim/{uuid.uuid4().hex[:12]}"


def add(api, repo: str, files: dict[str, bytes], **options) -> str:
    operations = [CommitOperationAdd(path, content) for path, content in files.items()]
    return api.create_commit(repo_id=repo, operations=operations, commit_message="add", **options).oid


@pytest.mark.parametrize("kind", ["model", "dataset", "space"])
def test_a_duplicate_has_history_branches_tags_and_large_files(hub, api, new_repo, target, kind):
    repo, weights = new_repo(kind), [os.urandom(1000) for _ in range(2)]
    of = {"repo_type": kind}
    first = add(api, repo, {"w.bin": weights[0], "README.md": b"---\nlicense: mit\n---\n"}, **of)
    api.create_tag(repo, tag="v1", tag_message="the first", **of)
    api.create_branch(repo, branch="dev/x", **of)
    add(api, repo, {"w.bin": weights[1]}, **of)
    before = stored(hub)
    url = hub.api("karim").duplicate_repo(repo, to_id=target, **of)
    assert (url.repo_id, url.repo_type, url.files_copy_pending) == (target, kind, False)
    assert stored(hub) == before, "no byte is stored twice"

    mine, info = hub.api(), hub.api().repo_info(target, files_metadata=True, **of)
    assert (info.sha, info.private, info.likes) == (api.repo_info(repo, **of).sha, False, 0)
    assert "license:mit" in info.tags
    theirs = api.list_repo_commits(repo, **of)
    assert [c.commit_id for c in mine.list_repo_commits(target, **of)] == [c.commit_id for c in theirs]
    assert mine.list_repo_refs(target, **of) == api.list_repo_refs(repo, **of)
    prefix = "" if kind == "model" else f"{kind}s/"
    with hub.http() as http:
        for revision, content in (("main", weights[1]), ("v1", weights[0]), (first, weights[0])):
            assert http.get(f"/{prefix}{target}/resolve/{revision}/w.bin").content == content
    add(hub.api("karim"), target, {"x": b"x"}, **of)
    assert not api.file_exists(repo, "x", **of), "from here on they are two"
    api.delete_repo(repo, **of)
    with hub.http() as http:
        assert http.get(f"/{prefix}{target}/resolve/main/w.bin").content == weights[1]


def test_what_was_squashed_away_is_not_copied(hub, api, http, repo, target):
    old, squashed, uploaded = os.urandom(100), os.urandom(100), os.urandom(100)
    commit = add(api, repo, {"w.bin": old})
    api.super_squash_history(repo)
    add(api, repo, {"w.bin": squashed})
    api.super_squash_history(repo)
    wanted = {"operation": "upload", "objects": [{"oid": sha256(uploaded), "size": 100}]}
    action = http.post(f"/{repo}.git/info/lfs/objects/batch", json=wanted).json()["objects"][0]["actions"]["upload"]
    http.put(action["href"], content=uploaded).raise_for_status()

    karim = hub.api("karim")
    karim.duplicate_repo(repo, to_id=target)
    assert [file.file_oid for file in karim.list_lfs_files(target)] == [sha256(squashed)]
    with pytest.raises(RevisionNotFoundError):
        karim.model_info(target, revision=commit)


def test_a_name_that_is_taken(hub, api, repo, new_repo):
    other = new_repo()
    sha = api.model_info(other).sha
    with refused(409):
        api.duplicate_repo(repo, to_id=other)
    assert api.duplicate_repo(repo, to_id=other, exist_ok=True).repo_id == other
    assert api.model_info(other).sha == sha
    assert api.duplicate_repo(repo, exist_ok=True).repo_id == repo, "its own name"


def test_a_copy_is_never_more_open_by_itself(hub, api, new_repo, target):
    secret, gated = new_repo(owner="khulna", private=True), new_repo()
    api.update_repo_settings(gated, gated="manual")
    with pytest.raises(RepositoryNotFoundError):
        hub.api("karim").duplicate_repo(secret, to_id=target)
    selim = hub.api("selim")
    assert selim.model_info(selim.duplicate_repo(secret).repo_id).private
    name = f"selim/{uuid.uuid4().hex[:8]}"
    assert not selim.model_info(selim.duplicate_repo(secret, to_id=name, visibility="public").repo_id).private
    assert api.model_info(api.duplicate_repo(gated, to_id=f"{gated}-2", private=True).repo_id).private

    with pytest.raises(GatedRepoError):
        hub.api("karim").duplicate_repo(gated, to_id=target)
    api.grant_access(gated, "karim")
    hub.api("karim").duplicate_repo(gated, to_id=target)
    assert hub.api().model_info(target).gated == "manual"
    with pytest.raises(GatedRepoError):
        hub.api("selim").duplicate_repo(target)


def test_who_may_duplicate_where(hub, api, repo, target):
    space = api.create_repo(f"rahim/{uuid.uuid4().hex[:8]}", repo_type="space", space_sdk="static").repo_id
    before = {*(hub.data / "repos").iterdir()}
    for who, status in ((None, 401), ("rahim, read-only", 403), ("selim", 403)):
        with hub.http(who) as http:
            answer = http.post(f"/api/models/{repo}/duplicate", json={"repository": target})
            assert answer.status_code == status
    for body in ({}, {"repository": 7}, {"repository": "x"}, {"repository": "rahim/a/b"}, {"repository": "rahim/.."}):
        with hub.http("rahim") as http:
            assert http.post(f"/api/models/{repo}/duplicate", json=body).status_code == 400, body
    with refused(501):
        api.duplicate_repo(
            space, f"{space}-2", repo_type="space", space_volumes=[Volume(type="model", source="a/b", mount_path="/x")]
        )
    assert not hub.api().repo_exists(target)
    assert {*(hub.data / "repos").iterdir()} == before, "what is refused leaves no folder"


def test_files_are_copied_within_a_repo(hub, api, http, repo):
    weights = os.urandom(1000)
    old = add(api, repo, {"w.bin": weights, "a/config.json": b"{}"})
    add(api, repo, {"w.bin": os.urandom(1000)})
    operations = [
        CommitOperationCopy("w.bin", "best/w.bin", src_revision=old),
        CommitOperationCopy("a/config.json", "best/config.json"),
        CommitOperationDelete("a/"),
    ]
    api.create_commit(repo_id=repo, operations=operations, commit_message="copy")
    assert http.get(f"/{repo}/resolve/main/best/w.bin").content == weights
    api.copy_files(f"hf://{repo}/best/", f"hf://{repo}/last/")
    files = set(api.list_repo_files(repo)) - {".gitattributes"}
    assert files == {"w.bin", "best/w.bin", "best/config.json", "last/w.bin", "last/config.json"}
    assert http.get(f"/{repo}/resolve/main/last/w.bin").content == weights


def test_small_files_are_copied_between_repos(hub, api, new_repo):
    source, target = new_repo("dataset", private=True), new_repo()
    add(api, source, {"data/a.csv": b"a\n", "data/b.csv": b"b\n"}, repo_type="dataset")
    api.copy_files(f"hf://datasets/{source}/data/", f"hf://{target}/csv/")
    assert {"csv/a.csv", "csv/b.csv"} <= set(api.list_repo_files(target))
    karim = hub.api("karim")
    with pytest.raises(RepositoryNotFoundError):
        karim.copy_files(f"hf://datasets/{source}/data/", f"hf://{karim.create_repo('mine', exist_ok=True).repo_id}/")


def note(http, source: str, target: str, *contents: bytes, kind: str = "models"):
    """What the client sends before a commit that copies large files between repos."""
    files = [{"xetHash": "0" * 64, "sha256": sha256(content), "filename": "w.bin"} for content in contents]
    body = {"target": {"type": "model", "name": target}, "files": files}
    return http.post(f"/api/{kind}/{source}/lfs-files/duplicate", json=body)


def test_large_files_are_copied_between_repos(hub, api, http, commit, new_repo):
    source, target, weights, other = new_repo("dataset"), new_repo(), os.urandom(1000), os.urandom(10)
    add(api, source, {"w.bin": weights}, repo_type="dataset")
    pointer = ("lfsFile", {"path": "copied.bin", "algo": "sha256", "oid": sha256(weights)})
    assert commit(target, pointer).status_code == 400, "not yet"
    before = stored(hub)
    answer = note(http, source, target, weights, other, weights, kind="datasets").json()
    assert [file["sha256"] for file in answer["failed"]] == [sha256(other)]
    assert commit(target, pointer).status_code == 200
    assert http.get(f"/{target}/resolve/main/copied.bin").content == weights and stored(hub) == before
    api.delete_repo(source, repo_type="dataset")
    assert http.get(f"/{target}/resolve/main/copied.bin").content == weights


def test_a_large_file_is_copied_by_its_readers_only(hub, api, new_repo):
    weights = os.urandom(1000)
    secret, gated, public = new_repo(private=True), new_repo(), new_repo()
    for repo in (secret, gated, public):
        add(api, repo, {"w.bin": weights})
    api.update_repo_settings(gated, gated="manual")
    mine = hub.api("karim").create_repo(f"karim/{uuid.uuid4().hex[:8]}").repo_id
    with hub.http("karim") as karim:
        assert note(karim, secret, mine, weights).status_code == 404
        assert note(karim, gated, mine, weights).headers["X-Error-Code"] == "GatedRepo"
        locked = new_repo()
        api.update_repo_settings(locked, gated="manual")
        assert note(karim, public, locked, weights).headers["X-Error-Code"] == "GatedRepo"
        told = [note(karim, public, repo, weights) for repo in (secret, "rahim/absent")]
        assert told[0].status_code == 404 and told[0].text == told[1].text
        api.move_repo(public, f"{public}-2")
        assert note(karim, f"{public}-2", public, weights).status_code == 404, "a former name is none to write to"
        assert list(hub.api("karim").list_lfs_files(mine)) == []
        assert note(karim, f"{public}-2", mine, weights).json()["failed"] == []
        assert [file.file_oid for file in hub.api("karim").list_lfs_files(mine)] == [sha256(weights)]
    for who, status in ((None, 401), ("rahim, read-only", 403)):
        with hub.http(who) as http:
            assert note(http, f"{public}-2", mine, weights).status_code == status


XET = """
import sys
from huggingface_hub import HfApi
HfApi().upload_file(repo_id=sys.argv[1], path_in_repo="weights/w.bin", path_or_fileobj=sys.argv[2])
"""


def test_the_client_copies_large_files_between_repos(hub, api, new_repo, tmp_path):
    """It does so only of files with a Xet hash, and sends nothing of them; also in a pull request to others' repos."""
    file, source, target = tmp_path / "w.bin", new_repo(), new_repo("dataset")
    file.write_bytes(os.urandom(100_000))
    environment = hub.environment("rahim", tmp_path / "home")
    del environment["HF_HUB_DISABLE_XET"]
    subprocess.run([sys.executable, "-c", XET, source, file], env=environment, check=True)
    api.copy_files(f"hf://{source}/weights", f"hf://datasets/{target}/")
    copy = CommitOperationCopy("weights/w.bin", "w.bin", src_repo_id=source, src_repo_type="model")
    proposed = hub.api("karim").create_commit(
        repo_id=target, repo_type="dataset", operations=[copy], commit_message="copy", create_pr=True
    )
    with hub.http() as http:
        for revision, path in (("main", "weights/w.bin"), (proposed.pr_revision.replace("/", "%2F"), "w.bin")):
            assert http.get(f"/datasets/{target}/resolve/{revision}/{path}").content == file.read_bytes()
    assert not api.file_exists(target, "w.bin", repo_type="dataset")


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"target": "rahim/x", "files": []},
        {"target": {"type": "bucket", "name": "rahim/x"}, "files": []},
        {"target": {"type": "model", "name": "rahim/x"}, "files": [{"sha256": 7}]},
        {"target": {"type": "model", "name": "rahim/x"}, "files": [{"sha256": "0" * 64}] * 1001},
    ],
)
def test_malformed_requests_are_refused(http, untouched, body):
    assert http.post(f"/api/models/{untouched}/lfs-files/duplicate", json=body).status_code == 400
