"""Writing files: what travels how, what a commit may do, what it refuses, and many who commit at once."""

import base64
import hashlib
import json
import random
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import quote

import pytest
from huggingface_hub import CommitOperationAdd, CommitOperationCopy, CommitOperationDelete
from huggingface_hub.errors import EntryNotFoundError, HfHubHTTPError, RevisionNotFoundError


def file(path: str, content: bytes = b"text\n") -> tuple[str, dict]:
    return "file", {"path": path, "content": base64.b64encode(content).decode(), "encoding": "base64"}


def paths(api, repo: str, revision: str | None = None) -> set[str]:
    return set(api.list_repo_files(repo, revision=revision)) - {".gitattributes"}


def test_a_folder_goes_up_and_comes_down_whole(api, new_repo, tmp_path):
    """Small files, one of 50 MB, an empty one, Bangla names, folders in folders: every byte compared."""
    there, back = tmp_path / "there", tmp_path / "back"
    chance = random.Random(0)
    contents = {
        "README.md": "---\nlanguage: bn\n---\nবাংলা\n".encode(),
        "empty.txt": b"",
        "empty.bin": b"",
        "weights/model.safetensors": chance.randbytes(50_000_000),
        "weights/deep/er/vocab.txt": b"a\r\nb\rc\n",
        "তথ্য/বাংলা নাম.txt": "ক্ষুদ্র".encode(),
        "তথ্য/ছবি #1 100%?.png": b"\x89PNG\r\n\x1a\n" + chance.randbytes(1000),
        ".hidden": b"y",
        "র\u200d্যাব ড\u09bc \u09dc.txt": b"a joiner, and one letter spelled in both ways",
    }
    for path, content in contents.items():
        (there / path).parent.mkdir(parents=True, exist_ok=True)
        (there / path).write_bytes(content)
    repo = new_repo("dataset")
    api.upload_folder(repo_id=repo, repo_type="dataset", folder_path=there)
    assert set(api.list_repo_files(repo, repo_type="dataset")) == {*contents, ".gitattributes"}
    api.snapshot_download(repo, repo_type="dataset", local_dir=back)
    for path, content in contents.items():
        assert (back / path).read_bytes() == content, path
    large = api.get_paths_info(repo, ["weights/model.safetensors", "empty.bin"], repo_type="dataset")
    assert large[0].lfs.sha256 == hashlib.sha256(contents["weights/model.safetensors"]).hexdigest()
    assert (large[0].size, large[1].size, large[1].lfs) == (50_000_000, 0, None)


def test_a_commit_adds_copies_and_deletes_at_once(api, repo):
    api.create_commit(
        repo_id=repo,
        commit_message="first",
        operations=[CommitOperationAdd(path, path.encode()) for path in ("a", "b", "old/x", "old/y/z", "keep/k")]
        + [CommitOperationAdd("w.bin", b"\0w")],
    )
    done = api.create_commit(
        repo_id=repo,
        commit_message="second",
        commit_description="two\nlines",
        operations=[
            CommitOperationDelete("a"),
            CommitOperationDelete("old/"),
            CommitOperationCopy("b", "copies/b"),
            CommitOperationCopy("w.bin", "copies/w.bin"),
            CommitOperationAdd("new", b"new"),
        ],
    )
    assert paths(api, repo) == {"b", "keep/k", "w.bin", "copies/b", "copies/w.bin", "new"}
    newest, older = api.list_repo_commits(repo)[:2]
    assert (newest.commit_id, newest.title, newest.message) == (done.oid, "second", "two\nlines")
    assert newest.authors == ["rahim"]
    assert paths(api, repo, older.commit_id) == {"a", "b", "old/x", "old/y/z", "keep/k", "w.bin"}
    assert done.commit_url.endswith(f"/{repo}/commit/{done.oid}")


def test_a_file_becomes_a_folder_and_back(api, repo):
    def commit(*operations) -> None:
        api.create_commit(repo_id=repo, operations=operations, commit_message="x")

    commit(CommitOperationAdd("thing", b"file"))
    commit(CommitOperationAdd("thing/inside", b"folder"))
    assert paths(api, repo) == {"thing/inside"}
    commit(CommitOperationAdd("thing", b"file again"))
    assert paths(api, repo) == {"thing"}
    commit(CommitOperationDelete("thing"), CommitOperationAdd("thing/inside", b"1"))
    assert paths(api, repo) == {"thing/inside"}
    commit(CommitOperationDelete("thing/"), CommitOperationAdd("thing/other", b"2"))
    assert paths(api, repo) == {"thing/other"}, "what the folder held is gone, what came later is there"


@pytest.mark.parametrize(
    ("operations", "left"),
    [
        ([file("x"), file("x/y")], {"x/y"}),
        ([file("x/y"), file("x")], {"x"}),
        ([file("x/y"), ("deletedFolder", {"path": "x"})], set()),
        ([file("x/y"), ("deletedFile", {"path": "x/y"}), file("x/y/z")], {"x/y/z"}),
        ([file("x"), ("deletedEntry", {"path": "x"}), file("z")], {"z"}),
        ([file("x", b"1"), file("x", b"2")], {"x"}),
    ],
)
def test_operations_count_in_their_order(api, commit, repo, operations, left):
    assert commit(repo, *operations).status_code == 200
    assert paths(api, repo) == left


def test_deleting_what_is_not_there_is_refused(api, repo):
    head = api.model_info(repo).sha
    for path in ("nothing", "nothing/", ".gitattributes/x"):
        with pytest.raises(EntryNotFoundError):
            api.create_commit(
                repo_id=repo,
                operations=[CommitOperationAdd("a", b"a"), CommitOperationDelete(path)],
                commit_message="x",
            )
    assert api.model_info(repo).sha == head, "a refused commit leaves nothing"


def test_a_stale_parent_is_refused(api, repo):
    """Also a short id names the parent."""
    first = api.model_info(repo).sha

    def add(path: str, parent: str):
        return api.create_commit(
            repo_id=repo,
            operations=[CommitOperationAdd(path, b"x")],
            commit_message="x",
            parent_commit=parent,
        )

    second = add("a", first).oid
    with pytest.raises(HfHubHTTPError, match="The branch was updated since you opened this page") as refused:
        add("b", first)
    assert refused.value.response.status_code == 412
    add("b", second[:7])
    assert paths(api, repo) == {"a", "b"}


def test_nothing_changed_makes_no_commit(api, repo):
    """The client compares ids that `preupload` gives: of git for small files, sha256 for large ones."""
    for content in (b"small", b"\0large"):
        first = api.upload_file(repo_id=repo, path_in_repo="x", path_or_fileobj=content).oid
        assert api.upload_file(repo_id=repo, path_in_repo="x", path_or_fileobj=content).oid == first
    assert len(api.list_repo_commits(repo)) == 3


def test_only_branches_take_commits(api, repo, commit):
    api.create_tag(repo, tag="v1", tag_message="annotated")
    api.create_tag(repo, tag="v2")
    head = api.model_info(repo).sha
    for revision in ("v1", "nowhere", head, "refs%2Ftags%2Fv1", "refs%2Ftags%2Fv2", "refs%2Fheads%2Fnowhere", "refs"):
        refused = commit(repo, file("x"), revision=revision)
        assert (refused.status_code, refused.headers["X-Error-Code"]) == (404, "RevisionNotFound"), revision
    with pytest.raises(RevisionNotFoundError):
        api.upload_file(repo_id=repo, path_in_repo="x", path_or_fileobj=b"x", revision="nowhere")
    assert {tag.target_commit for tag in api.list_repo_refs(repo).tags} == {head}
    assert commit(repo, file("x"), revision="refs%2Fheads%2Fmain").status_code == 200
    assert paths(api, repo) == {"x"}


@pytest.mark.parametrize(
    "path",
    ["../x", "..", ".", "a/../b", "a/./b", "/etc/passwd", "//x", "a//b", "..\\x", "\\x", "C:\\x", "c:/x", "", "a/"]
    + ["a\0b", "\0", "a\nb", "a\tb", "\x7f", "\x85", ".git/config", "a/.GIT/x", "\ud800", "\udcff"],
)
def test_paths_that_leave_the_repo_are_refused(api, commit, untouched, path):
    for operation in (file(path), ("lfsFile", {"path": path, "oid": "0" * 64}), ("deletedFile", {"path": path})):
        if operation[0] == "deletedFile" and path == "a/":
            continue  # a folder may be named so
        assert commit(untouched, operation).status_code == 422
    assert paths(api, untouched) == set()


def test_long_paths_are_refused_where_no_disk_could_hold_them(commit, api, repo):
    assert commit(repo, file("a" * 256)).status_code == 422
    assert commit(repo, file("ক" * 86)).status_code == 422, "86 letters, 258 bytes"
    assert commit(repo, file("/".join(["a"] * 2500))).status_code == 422
    assert commit(repo, file("a" * 255), file("ক" * 85), file("/".join(["d" * 255] * 8))).status_code == 200
    assert len(paths(api, repo)) == 3


def test_odd_names_are_only_odd(commit, repo, http):
    """`folder/..\\..\\file` leaves no folder but on Windows, where the client refuses it."""
    for path in ("folder/..\\..\\file", "a:b", "con", "-rf", "*?[x]", "%2e%2e", "a%00b", "'\"<&>", "…", "~", "HEAD"):
        assert commit(repo, file(path, path.encode())).status_code == 200
        assert http.get(f"/{repo}/resolve/main/{quote(path, safe='')}").content == path.encode()


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\n\n",
        b"nonsense",
        b"[]",
        b"null",
        b"{}",
        b'{"key": "header"}',
        b'{"key": "header", "value": []}',
        b'{"key": "header", "value": {}}',
        b'{"key": "header", "value": {"summary": ""}}',
        b'{"key": "header", "value": {"summary": 5}}',
        b'{"key": "header", "value": {"summary": "x", "parentCommit": 5}}',
        b'{"key": "file", "value": {"path": "x", "content": ""}}',
        b'{"key": "header", "value": {"summary": "x"}}\n{"key": "other", "value": {"path": "x"}}',
        b'{"key": "header", "value": {"summary": "x"}}\n{"key": "\\ud800", "value": {"path": "x"}}',
        b'{"key": "header", "value": {"summary": "x"}}\n{"key": ["file"], "value": {"path": "x"}}',
        b'{"key": "header", "value": {"summary": "x"}}\n{"key": "file", "value": {"path": 5}}',
        b'{"key": "header", "value": {"summary": "x"}}\n{"key": "file", "value": {"path": "x"}}',
        b'{"key": "header", "value": {"summary": "x"}}\n{"key": "file", "value": {"path": "x", "content": 5}}',
        b'{"key": "header", "value": {"summary": "x"}}\n'
        b'{"key": "file", "value": {"path": "x", "content": "!", "encoding": "base64"}}',
        b'{"key": "header", "value": {"summary": "x"}}\n'
        b'{"key": "file", "value": {"path": "x", "content": "\xe0\xa6\x95", "encoding": "base64"}}',
        b'{"key": "header", "value": {"summary": "x"}}\n{"key": "file", "value": {"path": "x", "content": "\\ud800"}}',
        b'{"key": "header", "value": {"summary": "x"}}\n{"key": "lfsFile", "value": {"path": "x"}}',
        b'{"key": "header", "value": {"summary": "x"}}\n{"key": "lfsFile", "value": {"path": "x", "oid": {}}}',
        b'{"key": "header", "value": {"summary": "x"}}\n{"key": "lfsFile", "value": {"path": "x", "oid": "\\ud800"}}',
        b'{"key": "header", "value": {"summary": "x"}}\n{"key": "lfsFile", "value": {"path": "x", "oid": "../../x"}}',
        b'{"key": "header", "value": {"summary": "x"}}\n\xff\xfe',
        b"[" * 100_000,
        b'{"key": "header", "value": {"summary": "x", "description": ' + b"[" * 100_000,
        b'{"key": "header", "value": ' + b"9" * 5000,
        '{"key": "header", "value": {"summary": "x"}}'.encode("utf-16"),
    ],
)
def test_malformed_commits_are_refused(http, api, untouched, body):
    answer = http.post(f"/api/models/{untouched}/commit/main", content=body)
    assert answer.status_code == 400, answer.text
    assert answer.headers["X-Error-Message"]
    assert len(api.list_repo_commits(untouched)) == 1


def test_a_large_file_may_not_travel_as_a_regular_one(commit, repo):
    assert commit(repo, file("x", bytes(10_000_000))).status_code == 200
    assert commit(repo, file("x", bytes(10_000_001))).status_code == 400


def test_preupload_says_how_each_file_travels(http, repo, commit):
    commit(repo, file("same.txt", b"same"), file(".gitignore", b"*.log\n/build\n!keep.log\n[\n"))
    sample = base64.b64encode(b"text").decode()
    wanted = {
        "a.txt": (sample, 4, "regular"),
        "model.safetensors": (sample, 4, "lfs"),
        "deep/model.BIN": (sample, 4, "regular"),
        "deep/model.bin": (sample, 4, "lfs"),
        "long.txt": (sample, 10_000_001, "lfs"),
        "binary": (base64.b64encode(b"a\0b").decode(), 3, "lfs"),
        "bangla.txt": (base64.b64encode("বাংলা".encode()).decode(), 15, "regular"),
        "not base64": ("ক!", 4, "regular"),
        "same.txt": (sample, 4, "regular"),
        "x.log": (sample, 4, "regular"),
        "keep.log": (sample, 4, "regular"),
        "build/x": (sample, 4, "regular"),
    }
    files = [{"path": path, "sample": sample, "size": size} for path, (sample, size, _) in wanted.items()]
    answer = http.post(f"/api/models/{repo}/preupload/main", json={"files": files}).json()["files"]
    assert [(file["path"], file["uploadMode"]) for file in answer] == [(path, wanted[path][2]) for path in wanted]
    assert {file["path"] for file in answer if file["shouldIgnore"]} == {"x.log", "build/x"}
    oids = {file["path"]: file["oid"] for file in answer}
    assert oids.pop("same.txt") == hashlib.sha1(b"blob 4\0same").hexdigest()
    assert set(oids.values()) == {None}

    given = {"gitIgnore": "*.txt", "gitAttributes": "*.txt filter=lfs"}
    [answer] = http.post(f"/api/models/{repo}/preupload/main", json={"files": files[:1], **given}).json()["files"]
    assert (answer["uploadMode"], answer["shouldIgnore"]) == ("lfs", True)


def test_files_that_gitignore_names_stay_behind(api, repo):
    api.create_commit(
        repo_id=repo,
        commit_message="x",
        operations=[CommitOperationAdd(".gitignore", b"*.tmp"), CommitOperationAdd("a.tmp", b"a")],
    )
    assert paths(api, repo) == {".gitignore"}


ODD = ["[", "[[:nonsense:]]", "[z-a]", "\\", "*" * 200 + "y", "!x.txt", "/", "x.txt/", "\0"]


@pytest.mark.parametrize("pattern", ODD)
def test_odd_patterns_match_nothing(http, untouched, pattern):
    attributes = f"{pattern} filter=lfs"
    body = {"files": [{"path": "x.txt", "size": 1}], "gitAttributes": attributes, "gitIgnore": pattern}
    answer = http.post(f"/api/models/{untouched}/preupload/main", json=body)
    assert (answer.status_code, answer.json()["files"][0]["uploadMode"]) == (200, "regular")


@pytest.mark.parametrize("pattern", ["*a" * 40 + "b", "**/a/" * 40 + "b", "*a" * 20 + "/**/" + "*a" * 20])
def test_patterns_cannot_keep_the_hub_busy(http, untouched, pattern):
    """As regular expressions these would go on for years."""
    path = "/".join(["a" * 200] * 10)
    body = {"files": [{"path": path, "size": 1}], "gitAttributes": f"{pattern} filter=lfs", "gitIgnore": pattern}
    assert http.post(f"/api/models/{untouched}/preupload/main", json=body, timeout=10).status_code == 200


def test_a_thousand_small_files_in_one_commit(api, repo, tmp_path):
    contents = {f"d{i % 7}/file {i:04}.txt": f"{i}\n".encode() for i in range(1000)}
    done = api.create_commit(
        repo_id=repo,
        operations=[CommitOperationAdd(path, content) for path, content in contents.items()],
        commit_message="many",
    )
    assert paths(api, repo) == set(contents)
    some = random.Random(0).sample(sorted(contents), 20)
    for path in some:
        assert Path(api.hf_hub_download(repo, path, revision=done.oid)).read_bytes() == contents[path]


def test_too_many_operations_are_refused(http, untouched):
    header = json.dumps({"key": "header", "value": {"summary": "x"}})
    line = json.dumps({"key": "file", "value": {"path": "x", "content": ""}})
    answer = http.post(f"/api/models/{untouched}/commit/main", content="\n".join([header, *[line] * 25_001]))
    assert answer.status_code == 400
    assert "at most" in answer.headers["X-Error-Message"]


def test_eight_who_commit_at_once_all_get_in(hub, api, new_repo):
    """Small and large files, the card too; meanwhile others read, and search in the end knows the last card."""
    repo = new_repo()
    start, done = threading.Barrier(10), threading.Event()

    def write(number: int) -> list[str]:
        mine = hub.api("rahim")
        start.wait()
        made = []
        for step in range(4):
            card = f"---\ntags: [w{number}-{step}, shared]\n---\n".encode()
            operations = [CommitOperationAdd(f"{number}/{step}.{end}", b"\0%d" % step) for end in ("bin", "dat")]
            operations += [CommitOperationAdd("README.md", card)]
            made.append(mine.create_commit(repo_id=repo, operations=operations, commit_message=f"{number} {step}").oid)
        return made

    def read(path: str) -> set[int]:
        seen = set()
        with hub.http() as http:
            start.wait()
            while not done.is_set():
                seen.add(http.get(path).status_code)
        return seen

    with ThreadPoolExecutor(10) as pool:
        readers = [pool.submit(read, path) for path in (f"/api/models/{repo}", f"/api/models?search={repo}&full=1")]
        writers = [pool.submit(write, number) for number in range(8)]
        made = [oid for writer in writers for oid in writer.result()]
        done.set()
        assert set.union(*(reader.result() for reader in readers)) == {200}
    history = [commit.commit_id for commit in api.list_repo_commits(repo)]
    assert len(set(made)) == 32 and set(made) < set(history) and len(history) == 33
    assert paths(api, repo) == {f"{n}/{s}.{end}" for n in range(8) for s in range(4) for end in ("bin", "dat")} | {
        "README.md"
    }
    last = api.list_repo_commits(repo)[0].title.replace(" ", "-")
    [listed] = api.list_models(search=repo)
    assert listed.tags == [f"w{last}", "shared"]
    assert api.model_info(repo).tags == listed.tags
