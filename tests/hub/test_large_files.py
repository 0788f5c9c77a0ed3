"""Large files listed and deleted, history squashed, and what is told of a model's safetensors files."""

import hashlib
import json
import os
import struct
from concurrent.futures import ThreadPoolExecutor

import pytest
from huggingface_hub import CommitOperationAdd
from huggingface_hub.errors import BadRequestError, HfHubHTTPError, RemoteEntryNotFoundError, RevisionNotFoundError


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def add(api, repo: str, files: dict[str, bytes], **options) -> str:
    operations = [CommitOperationAdd(path, content) for path, content in files.items()]
    return api.create_commit(repo_id=repo, operations=operations, commit_message="add", **options).oid


def on_disk(hub, content: bytes) -> bool:
    name = sha256(content)
    return (hub.data / "objects" / name[:2] / name[2:4] / name).exists()


def delete(api, repo: str, *contents: bytes, **options) -> None:
    wanted = {sha256(content) for content in contents}
    files = [file for file in api.list_lfs_files(repo) if file.file_oid in wanted]
    assert len(files) == len(wanted)
    api.permanently_delete_lfs_files(repo, files, **options)


def test_the_large_files_of_a_repo(api, repo):
    first, second = os.urandom(100), os.urandom(200)
    add(api, repo, {"checkpoints/1.bin": first, "notes.txt": b"x"})
    add(api, repo, {"checkpoints/1.bin": second})
    api.create_branch(repo, branch="dev")
    add(api, repo, {"dev.bin": b"\0dev"}, revision="dev")
    files = {file.file_oid: file for file in api.list_lfs_files(repo)}
    assert {(file.filename, file.size, file.ref) for file in files.values()} == {
        ("checkpoints/1.bin", 100, "refs/heads/main"),
        ("checkpoints/1.bin", 200, "refs/heads/main"),
        ("dev.bin", 4, "refs/heads/dev"),
    }
    newest = api.list_repo_commits(repo)[0].created_at
    assert all(abs((newest - file.pushed_at).total_seconds()) < 60 for file in files.values())


def test_deleted_from_the_whole_history(hub, api, http, repo):
    old, new, kept = os.urandom(100), os.urandom(100), os.urandom(100)
    base = api.model_info(repo).sha
    add(api, repo, {"a/b/old.bin": old, "kept.bin": kept, "README.md": b"---\nlicense: mit\n---\n"})
    api.create_tag(repo, tag="v1", tag_message="annotated")
    api.create_tag(repo, tag="light")
    api.create_branch(repo, branch="before", revision=base)
    api.create_branch(repo, branch="dev")
    add(api, repo, {"a/b/old.bin": new})
    delete(api, repo, old)
    assert not on_disk(hub, old) and on_disk(hub, new)
    for revision in ("v1", "light", "dev"):
        assert set(api.list_repo_files(repo, revision=revision)) == {".gitattributes", "kept.bin", "README.md"}
    assert http.get(f"/{repo}/resolve/main/a/b/old.bin").content == new
    commits = api.list_repo_commits(repo)
    assert [commit.title for commit in commits] == ["add", "add", "initial commit"]
    assert commits[-1].commit_id == base == api.list_repo_commits(repo, revision="before")[0].commit_id
    info = api.model_info(repo)
    assert info.sha == commits[0].commit_id and "license:mit" in info.tags
    assert {file.file_oid for file in api.list_lfs_files(repo)} == {sha256(new), sha256(kept)}
    add(api, repo, {"a/b/old.bin": old})
    assert http.get(f"/{repo}/resolve/main/a/b/old.bin").content == old, "it may come again"


def test_deleted_without_touching_history(hub, api, http, repo):
    weights = os.urandom(100)
    oid = add(api, repo, {"w.bin": weights})
    delete(api, repo, weights, rewrite_history=False)
    assert api.model_info(repo).sha == oid and "w.bin" in api.list_repo_files(repo)
    assert list(api.list_lfs_files(repo)) == [] and not on_disk(hub, weights)
    with pytest.raises(RemoteEntryNotFoundError):
        api.hf_hub_download(repo, "w.bin")
    assert http.get(f"/{repo}/raw/main/w.bin").text.startswith("version https://git-lfs")


def test_other_repos_keep_what_they_hold(hub, api, http, new_repo):
    mine, theirs, weights = new_repo(), new_repo(), os.urandom(100)
    for repo in (mine, theirs):
        add(api, repo, {"w.bin": weights})
    delete(api, mine, weights)
    assert not api.file_exists(mine, "w.bin")
    assert http.get(f"/{theirs}/resolve/main/w.bin").content == weights
    delete(api, theirs, weights)
    assert not on_disk(hub, weights), "the last one takes the bytes along"


def test_a_deletion_never_takes_what_a_commit_was_promised(hub, api, new_repo):
    """Two repos bring in and delete the same bytes again and again: whose commit was accepted can read its file."""
    weights, repos = os.urandom(100), [new_repo() for _ in range(3)]

    def live(repo: str) -> int:
        mine, rounds = hub.api("rahim"), 0
        with hub.http("rahim") as http:
            for number in range(6):
                try:
                    add(mine, repo, {f"{number}.bin": weights})
                except HfHubHTTPError as error:  # deleted between the upload's end and its note: to be sent again
                    assert error.response.status_code in (400, 503), error
                    continue
                assert http.get(f"/{repo}/resolve/main/{number}.bin").content == weights
                delete(mine, repo, weights)
                assert http.get(f"/{repo}/resolve/main/{number}.bin").status_code == 404
                rounds += 1
        return rounds

    with ThreadPoolExecutor(3) as pool:
        assert all(pool.map(live, repos))
    assert not on_disk(hub, weights)


def test_commits_that_come_during_a_deletion_are_not_lost(hub, api, http, repo):
    weights = [os.urandom(100) for _ in range(8)]
    for number, content in enumerate(weights):
        add(api, repo, {f"{number}.bin": content})
    with ThreadPoolExecutor(2) as pool:
        texts = pool.submit(lambda: [add(hub.api("rahim"), repo, {f"{n}.txt": b"x"}) for n in range(8)])
        for content in weights:
            delete(api, repo, content)
        texts.result()
    assert set(api.list_repo_files(repo)) == {".gitattributes", *(f"{n}.txt" for n in range(8))}
    assert len(api.list_repo_commits(repo)) == 17


def test_what_was_deleted_stays_so_after_a_kill(mortal_hub):
    api, weights = mortal_hub.api("rahim"), [os.urandom(100) for _ in range(2)]
    repo = api.create_repo("rahim/weights").repo_id
    add(api, repo, {"0.bin": weights[0], "1.bin": weights[1]})
    delete(api, repo, weights[0])
    mortal_hub.kill()
    mortal_hub.start()
    assert set(api.list_repo_files(repo)) == {".gitattributes", "1.bin"}
    assert [file.file_oid for file in api.list_lfs_files(repo)] == [sha256(weights[1])]
    with mortal_hub.http() as http:
        assert http.get(f"/{repo}/resolve/main/1.bin").content == weights[1]


def test_who_sees_and_deletes_large_files(hub, api, repo):
    weights = os.urandom(100)
    add(api, repo, {"w.bin": weights})
    body = {"deletions": {"sha": [sha256(weights)], "rewriteHistory": True}}
    for who, status in ((None, 401), ("rahim, read-only", 403), ("karim", 403)):
        with hub.http(who) as http:
            assert http.get(f"/api/models/{repo}/lfs-files").status_code == status
            assert http.post(f"/api/models/{repo}/lfs-files/batch", json=body).status_code == status
    with hub.http("karim") as http:
        mine = hub.api("karim").create_repo("karim/thief", exist_ok=True).repo_id
        assert http.post(f"/api/models/{mine}/lfs-files/batch", json=body).status_code == 200
    assert on_disk(hub, weights), "a repo that does not hold it deletes nothing"


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"deletions": []},
        {"deletions": {"sha": "x"}},
        {"deletions": {"sha": ["../../hub.db"]}},
        {"deletions": {"sha": ["A" * 64]}},
        {"deletions": {"sha": ["0" * 64] * 1001}},
        {"deletions": {"sha": [], "rewriteHistory": "perhaps"}},
    ],
)
def test_malformed_deletions_are_refused(http, untouched, body):
    assert http.post(f"/api/models/{untouched}/lfs-files/batch", json=body).status_code == 400


def test_squashing(api, http, repo):
    old, new = os.urandom(100), os.urandom(100)
    first = add(api, repo, {"w.bin": old, "a.txt": b"a"})
    api.create_tag(repo, tag="v1")
    api.create_branch(repo, branch="dev/x")
    add(api, repo, {"w.bin": new})
    before = api.get_paths_info(repo, ["w.bin", "a.txt"])
    api.super_squash_history(repo, commit_message="All in one")
    [only] = api.list_repo_commits(repo)
    assert (only.title, only.authors) == ("All in one", ["rahim"])
    assert api.get_paths_info(repo, ["w.bin", "a.txt"]) == before and api.model_info(repo).sha == only.commit_id
    refs = api.list_repo_refs(repo)
    assert {ref.name: ref.target_commit for ref in refs.branches + refs.tags} == {
        "main": only.commit_id,
        "dev/x": first,
        "v1": first,
    }
    api.delete_tag(repo, tag="v1")
    api.super_squash_history(repo, branch="dev/x")
    assert api.list_repo_commits(repo, revision="dev/x")[0].title.startswith("Super-squash branch 'dev/x'")
    assert {file.file_oid for file in api.list_lfs_files(repo)} == {sha256(old), sha256(new)}
    with pytest.raises(RevisionNotFoundError):
        api.super_squash_history(repo, branch="nowhere")
    api.create_tag(repo, tag="v2")
    for revision in ("v2", first):
        with pytest.raises(BadRequestError):
            api.super_squash_history(repo, branch=revision)


def test_repos_by_the_room_they_take(hub, api, new_repo):
    small, large = new_repo(owner="khulna"), new_repo("dataset", owner="khulna", private=True)
    add(api, small, {"w.bin": b"\0" + os.urandom(1000)})
    add(api, large, {"w.bin": b"\0" + os.urandom(9000)}, repo_type="dataset")
    add(api, large, {"w.bin": b"\0" + os.urandom(9000)}, repo_type="dataset")
    for who in ("rahim", "selim"):
        repos = {repo.id: repo for repo in hub.api(who).list_user_repos("khulna")}
        assert (repos[large].storage, repos[large].type, repos[large].visibility) == (18002, "dataset", "private")
        assert (repos[small].storage, repos[small].visibility) == (1001, "public")
        assert list(repos).index(large) < list(repos).index(small)
        assert 0 < repos[small].storage_percent < repos[large].storage_percent <= 100
    mine = new_repo()
    assert mine in [repo.id for repo in hub.api("rahim, read-only").list_user_repos()]
    for who, status in ((None, 401), ("karim", 403)):
        with pytest.raises(HfHubHTTPError) as refused:
            list(hub.api(who).list_user_repos("khulna"))
        assert refused.value.response.status_code == status


# safetensors


def weights(*tensors: tuple[str, str, list[int], int], metadata: dict | None = None, header: bytes | None = None):
    """A safetensors file of (name, dtype, shape, bytes) with zeros in it."""
    about, at = {"__metadata__": metadata} if metadata else {}, 0
    for name, dtype, shape, size in tensors:
        about[name] = {"dtype": dtype, "shape": shape, "data_offsets": [at, at + size]}
        at += size
    text = json.dumps(about).encode() if header is None else header
    return struct.pack("<Q", len(text)) + text + bytes(at)


def test_parameters_of_a_model(api, repo):
    add(api, repo, {"model.safetensors": weights(("a", "F32", [2, 3], 24), ("b", "I64", [], 8), ("c", "F32", [0], 0))})
    expected = {"parameters": {"F32": 6, "I64": 1}, "total": 7}
    assert api.model_info(repo).safetensors == expected
    assert api.model_info(repo, expand=["safetensors"]).safetensors == expected
    assert api.get_safetensors_metadata(repo).parameter_count == expected["parameters"]
    assert [row.safetensors for row in api.list_models(search=repo, expand=["safetensors"])] == [expected]
    add(api, repo, {"model.safetensors": weights(("a", "BF16", [2], 4))})
    assert api.model_info(repo).safetensors.total == 2
    api.delete_file("model.safetensors", repo)
    assert api.model_info(repo).safetensors is None


def test_a_sharded_model(hub, api, new_repo):
    repo = new_repo()
    shards = {f"model-0000{n}-of-00002.safetensors": weights((f"t{n}", "F16", [n, 8], 16 * n)) for n in (1, 2)}
    weight_map = {f"t{n}": f"model-0000{n}-of-00002.safetensors" for n in (1, 2)}
    index = json.dumps({"metadata": {"total_size": 48}, "weight_map": weight_map}).encode()
    add(api, repo, {"model.safetensors.index.json": index, **shards})
    add(api, repo, {"sub/other.index.json": index, **{f"sub/{name}": content for name, content in shards.items()}})
    assert api.model_info(repo).safetensors == {"parameters": {"F16": 24}, "total": 24}
    for filename in ("model.safetensors.index.json", "sub/other.index.json"):
        found = hub.api().get_sharded_safetensors_metadata(repo, filename=filename)
        assert (found.metadata, found.weight_map, found.parameter_count) == (
            {"total_size": 48},
            weight_map,
            {"F16": 24},
        )
    api.update_repo_settings(repo, gated="manual")
    with hub.http("karim") as http:
        answer = http.get(f"/api/models/{repo}/safetensors-metadata/model.safetensors.index.json")
    assert answer.headers["X-Error-Code"] == "GatedRepo"
    api.delete_file("model-00002-of-00002.safetensors", repo)
    assert api.model_info(repo).safetensors is None
    with hub.http("rahim") as http:
        for path, status in {
            "model.safetensors.index.json": 404,
            "README.md": 404,
            "sub": 404,
            "%2E%2E%2Fx": 404,
            ".gitattributes": 422,
            "model-00001-of-00002.safetensors": 422,
        }.items():
            assert http.get(f"/api/models/{repo}/safetensors-metadata/{path}").status_code == status, path


MALFORMED = [
    b"",
    b"\0",
    struct.pack("<Q", 2**63),
    struct.pack("<Q", 25_000_001) + b"{}",
    weights(header=b"[]"),
    weights(header=b"not json"),
    weights(header=b"\xff\xfe"),
    weights(header=b'{"a":' * 100_000),
    weights(header=b'{"a": 1}'),
    weights(header=b'{"a": {"dtype": "F32", "shape": [1]}}'),
    weights(header=b'{"__metadata__": 1}'),
    weights(header=b'{"a": {"dtype": ["F32"], "shape": [1], "data_offsets": [0, 0]}}'),
    weights(header=b'{"a": {"dtype": "F32", "shape": "1", "data_offsets": [0, 0]}}'),
    weights(header=b'{"a": {"dtype": "F32", "shape": 1, "data_offsets": "00"}}'),
    weights(header=b'{"a": {"dtype": "F32", "shape": [0], "data_offsets": [0, 0, 0]}}'),
    weights(("a", "F32", [2], 4)),
    weights(("a", "F32", [-1], 4)),
    weights(("a", "F32", [True], 4)),
    weights(("a", "F32", [10**300, 10**300], 4)),
    weights(("a", "f\ud800", [1], 4)),
    weights(header=b'{"a": {"dtype": "U8", "shape": [9], "data_offsets": [0, 9]}}'),
    weights(header=b'{"a": {"dtype": "U8", "shape": [' + b"1" * 5000 + b'], "data_offsets": [0, 0]}}'),
]


def test_malformed_files_have_no_summary(api, repo):
    for number, content in enumerate(MALFORMED):
        add(api, repo, {"model.safetensors": content})
        assert api.model_info(repo).safetensors is None, (number, content[:60])
    good = weights(("a", "U8", [4], 4))
    for index in (b"[]", b"{}", b'{"weight_map": 1}', b'{"weight_map": {"a": 1}}', b'{"weight_map": {"a": "../x"}}'):
        add(api, repo, {"model.safetensors.index.json": index})
        api.delete_file("model.safetensors", repo) if api.file_exists(repo, "model.safetensors") else None
        assert api.model_info(repo).safetensors is None, index
    add(api, repo, {"model.safetensors": good})
    assert api.model_info(repo).safetensors.total == 4


def test_the_weights_of_another_repo_are_not_told(api, http, commit, new_repo):
    """A pointer to what was uploaded elsewhere is a pointer to nothing."""
    secret, mine = new_repo(private=True), new_repo()
    content = weights(("hidden", "F32", [4], 16), metadata={"x": os.urandom(8).hex()})
    add(api, secret, {"model.safetensors": content})
    pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{sha256(content)}\nsize {len(content)}\n"
    assert commit(mine, ("file", {"path": "model.safetensors", "content": pointer})).status_code == 400
    assert api.model_info(mine).safetensors is None
