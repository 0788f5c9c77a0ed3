"""Reading files: their bytes and ranges, folders page by page, what a path or a revision names."""

import os
from datetime import UTC, datetime
from urllib.parse import quote

import pytest
from huggingface_hub import CommitOperationAdd, RepoFolder
from huggingface_hub.errors import EntryNotFoundError, RepositoryNotFoundError, RevisionNotFoundError
from huggingface_hub.file_download import get_hf_file_metadata, hf_hub_url

SMALL, LARGE = "ক্ষুদ্র text, a few hundred bytes\n".encode() * 10, b"\0" + os.urandom(2_500_000)


@pytest.fixture(scope="module")
def library(hub) -> str:
    """A repo with a small, a large and an empty file, and one changed since."""
    api = hub.api("rahim")
    repo = api.create_repo("rahim/library").repo_id
    files = {"small.txt": SMALL, "large.bin": LARGE, "empty": b"", "d/e/deep.txt": b"deep", "d/বাংলা.txt": b"bn"}
    adds = [CommitOperationAdd(path, content) for path, content in files.items()]
    api.create_commit(repo_id=repo, operations=adds, commit_message="first")
    api.upload_file(repo_id=repo, path_in_repo="d/e/deep.txt", path_or_fileobj=b"deeper", commit_message="second")
    return repo


RANGES = {
    "bytes=0-0": slice(0, 1),
    "bytes=0-": slice(0, None),
    "bytes=5-9": slice(5, 10),
    "bytes=-7": slice(-7, None),
    "bytes=-99999999": slice(0, None),
    "bytes=5-99999999": slice(5, None),
    "bytes=99999999-": None,
    "bytes=99999999-99999999": None,
    "bytes=-0": None,
}
FILES = pytest.mark.parametrize(
    ("path", "content"), [("small.txt", SMALL), ("large.bin", LARGE)], ids=["small", "large"]
)


@FILES
@pytest.mark.parametrize("wanted", RANGES)
def test_ranges(stranger, library, path, content, wanted):
    """RFC 9110, 14.2; HEAD answers as GET does."""
    part, url, headers = RANGES[wanted], f"/{library}/resolve/main/{path}", {"Range": wanted}
    answer = stranger.get(url, headers=headers)
    head = stranger.head(url, headers=headers)
    assert (head.status_code, head.content) == (answer.status_code, b"")
    if part is None:
        assert (answer.status_code, answer.headers["Content-Range"]) == (416, f"bytes */{len(content)}")
        return
    assert (answer.status_code, answer.content) == (206, content[part])
    first, last = range(len(content))[part][0], range(len(content))[part][-1]
    assert answer.headers["Content-Range"] == head.headers["Content-Range"] == f"bytes {first}-{last}/{len(content)}"
    assert answer.headers["Content-Length"] == head.headers["Content-Length"] == str(len(answer.content))


@FILES
@pytest.mark.parametrize(
    "wanted", ["9-5", "a-b", "", "-", "1", "--1", "1-2-3", "\xb2-", "9" * 5000 + "-", "0-" + "9" * 5000]
)
@pytest.mark.parametrize("unit", ["bytes=", "lines=", ""])
def test_odd_ranges(stranger, library, path, content, wanted, unit):
    """They are refused or not looked at; the content is never cut wrongly."""
    headers = {"Range": (unit + wanted).encode("latin-1")}
    answer = stranger.get(f"/{library}/resolve/main/{path}", headers=headers)
    assert answer.status_code in (400, 416) or (answer.status_code, answer.content) == (200, content)


def test_several_ranges_are_whole_or_in_parts(stranger, library):
    for path, content in (("small.txt", SMALL), ("large.bin", LARGE)):
        answer = stranger.get(f"/{library}/resolve/main/{path}", headers={"Range": "bytes=0-3, 10-13"})
        if answer.status_code == 206:
            assert content[:4] in answer.content and content[10:14] in answer.content
        else:
            assert (answer.status_code, answer.content) == (200, content)


def test_an_empty_file(stranger, library):
    answer = stranger.get(f"/{library}/resolve/main/empty")
    assert (answer.status_code, answer.content, answer.headers["Content-Length"]) == (200, b"", "0")
    assert stranger.get(f"/{library}/resolve/main/empty", headers={"Range": "bytes=0-"}).status_code == 416


def test_what_the_client_reads_from_head(hub, api, library):
    for path, content in (("small.txt", SMALL), ("large.bin", LARGE), ("d/বাংলা.txt", b"bn")):
        found = get_hf_file_metadata(hf_hub_url(library, path, endpoint=hub.url), token=False)
        info = api.get_paths_info(library, [path])[0]
        assert found.commit_hash == api.model_info(library).sha
        assert found.etag == (info.lfs.sha256 if info.lfs else info.blob_id)
        assert found.size == info.size == len(content)


def test_files_are_shown_as_nothing_but_text(hub, api, stranger, repo):
    """What people upload must not run as a page of the Hub, where others are signed in."""
    page = b"<!DOCTYPE html><script>alert(1)</script>"
    names = ("page.html", "page.svg", "page.js", "\"quoted\" 'name'\\.txt", "বাংলা;filename=x.exe")
    adds = [CommitOperationAdd(name, page) for name in names]
    api.create_commit(repo_id=repo, operations=adds, commit_message="x")
    for name in names:
        headers = stranger.get(f"/{repo}/resolve/main/{quote(name)}").headers
        assert headers["Content-Type"] == "text/plain; charset=utf-8"
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert "sandbox" in headers["Content-Security-Policy"]
        assert headers["Content-Disposition"] == f"inline; filename*=UTF-8''{quote(name, safe='')}"


def test_revisions(api, stranger, library, repo):
    """A branch, a tag, a full or short commit id and a full ref all name a revision; slashes come as %2F."""
    commits = api.list_repo_commits(library)
    new, old = commits[0].commit_id, commits[1].commit_id
    api.create_branch(library, branch="dev/x", revision=old, exist_ok=True)
    api.create_tag(library, tag="v1/a", revision=old, tag_message="annotated", exist_ok=True)
    for revision, content in {
        "main": b"deeper",
        "refs/heads/main": b"deeper",
        "dev/x": b"deep",
        "refs/heads/dev/x": b"deep",
        "v1/a": b"deep",
        "refs/tags/v1/a": b"deep",
        old: b"deep",
        old[:7]: b"deep",
        new.upper(): b"deeper",
    }.items():
        answer = stranger.get(f"/{library}/resolve/{quote(revision, safe='')}/d/e/deep.txt")
        assert (answer.status_code, answer.content) == (200, content), revision
        assert answer.headers["X-Repo-Commit"] == (old if content == b"deep" else new)
        assert api.model_info(library, revision=revision).sha == answer.headers["X-Repo-Commit"]
        assert api.file_exists(library, "small.txt", revision=revision)

    blob = api.get_paths_info(library, ["small.txt"])[0].blob_id
    tree = next(entry for entry in api.list_repo_tree(library) if isinstance(entry, RepoFolder)).tree_id
    for revision in (
        "refs/pr/1",
        "nowhere",
        "dev",
        "refs/heads",
        "refs",
        "0" * 40,
        "0" * 41,
        blob,
        tree,
        blob[:8],
        "HEAD~1",
    ):
        for path in ("/{repo}/resolve/{revision}/small.txt", "/api/models/{repo}/tree/{revision}"):
            url = path.format(repo=library, revision=quote(revision, safe=""))
            answer = stranger.get(url)
            assert (answer.status_code, answer.headers["X-Error-Code"]) == (404, "RevisionNotFound"), revision
            assert answer.headers["X-Error-Message"] == f"Invalid rev id: {revision}"
    with pytest.raises(RevisionNotFoundError):
        api.model_info(library, revision="refs/pr/1")


def test_what_is_missing_is_said_exactly(api, stranger, library):
    with pytest.raises(RepositoryNotFoundError):
        api.hf_hub_download("rahim/nothing", "x")
    with pytest.raises(RevisionNotFoundError):
        api.hf_hub_download(library, "small.txt", revision="nowhere")
    with pytest.raises(EntryNotFoundError):
        api.hf_hub_download(library, "nothing")
    sha = api.model_info(library).sha
    for path in ("nothing", "d", "d/", "d/e", "small.txt/x", "", "d/nothing", ".git", ".git/config", "D/e/deep.txt"):
        for verb in ("resolve", "raw"):
            answer = stranger.get(f"/{library}/{verb}/main/{path}")
            assert (answer.status_code, answer.headers["X-Error-Code"]) == (404, "EntryNotFound"), path
            # The client then remembers that this commit does not have the file.
            assert answer.headers["X-Repo-Commit"] == sha
        assert stranger.head(f"/{library}/resolve/main/{path}").status_code == 404


def test_addresses_as_browsers_and_curl_write_them(stranger, library):
    """Quoted more than needed, or bytes as they are: the same file."""
    for path in (
        "d/%E0%A6%AC%E0%A6%BE%E0%A6%82%E0%A6%B2%E0%A6%BE.txt",
        "%64/%E0%A6%AC%e0%a6%be%E0%A6%82%E0%A6%B2%E0%A6%BE%2Etxt",
    ):
        assert stranger.get(f"/{library}/resolve/main/{path}").content == b"bn"
    assert (
        stranger.get(f"/{library}/resolve/main/d%2F%E0%A6%AC%E0%A6%BE%E0%A6%82%E0%A6%B2%E0%A6%BE.txt").content == b"bn"
    )
    assert stranger.get(f"/{library}/resolve/main/small.txt?download=true").content == SMALL


def test_trees(api, library):
    flat = {entry.path: entry for entry in api.list_repo_tree(library)}
    assert set(flat) == {".gitattributes", "d", "empty", "large.bin", "small.txt"}
    assert isinstance(flat["d"], RepoFolder)
    assert (flat["large.bin"].size, flat["large.bin"].lfs.size) == (len(LARGE), len(LARGE))
    assert flat["large.bin"].lfs.pointer_size == len(b"version https://git-lfs.github.com/spec/v1\n") + 4 + 7 + 65 + 13
    assert {e.path for e in api.list_repo_tree(library, "d")} == {"d/e", "d/বাংলা.txt"}
    assert {e.path for e in api.list_repo_tree(library, "d", recursive=True)} == {"d/e", "d/e/deep.txt", "d/বাংলা.txt"}
    for path in ("nothing", "small.txt", "d/e/deep.txt"):
        with pytest.raises(EntryNotFoundError):
            list(api.list_repo_tree(library, path))


def test_last_commits(api, library):
    """`expand` tells for each entry the commit that changed it or something in it."""
    entries = {entry.path: entry for entry in api.list_repo_tree(library, recursive=True, expand=True)}
    titles = {path: entry.last_commit.title for path, entry in entries.items()}
    assert {path for path, title in titles.items() if title == "second"} == {"d", "d/e", "d/e/deep.txt"}
    assert titles["small.txt"] == titles["d/বাংলা.txt"] == "first"
    assert titles[".gitattributes"] == "initial commit"
    assert (datetime.now(UTC) - entries["d"].last_commit.date).total_seconds() < 3600
    assert entries["small.txt"].security is None
    [info] = api.get_paths_info(library, ["d/e"], expand=True)
    assert info.last_commit.title == "second"


def test_paths_info(api, http, library):
    found = api.get_paths_info(library, ["small.txt", "d", "nothing", "d/বাংলা.txt", "small.txt", "d/e/deep.txt/x", ""])
    assert [info.path for info in found] == ["small.txt", "d", "d/বাংলা.txt"]
    url = f"/api/models/{library}/paths-info/main"
    assert [row["path"] for row in http.post(url, json={"paths": ["d"], "expand": True}).json()] == ["d"]
    assert http.post(url).json() == []
    for body in ({"paths": "d"}, {"paths": [1]}, {"paths": {"d": 1}}, [], 5, {"paths": ["x"] * 10_001}):
        assert http.post(url, json=body).status_code == 400, body
    for content in (b"[" * 100_000, b"\xff", b"{"):
        assert http.post(url, content=content, headers={"Content-Type": "application/json"}).status_code == 400
    assert http.post(url, content=b"x", headers={"Content-Type": "multipart/form-data"}).status_code == 400
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    assert [row["path"] for row in http.post(url, content=b"paths=\xff%ff&paths=d", headers=form).json()] == ["d"]


def test_more_entries_than_one_page_holds(api, http, new_repo):
    """A folder of 2,100 files, and all pages of a listing from the commit of its first page."""
    repo = new_repo("dataset")
    names = [f"data/{i:05}.txt" for i in range(2100)]
    adds = [CommitOperationAdd(name, name.encode()) for name in names]
    api.create_commit(repo_id=repo, repo_type="dataset", operations=adds, commit_message="many")
    first = http.get(f"/api/datasets/{repo}/tree/main/data")
    api.delete_folder("data", repo_id=repo, repo_type="dataset")
    found, page = first.json(), first
    while "next" in page.links:
        page = http.get(page.links["next"]["url"])
        assert len(page.json()) <= 1000
        found += page.json()
    assert [row["path"] for row in found] == names
    assert len(list(api.list_repo_tree(repo, repo_type="dataset", recursive=True))) == 1


def test_expanded_pages(api, new_repo, http):
    repo = new_repo()
    adds = [CommitOperationAdd(f"{i:03}", b"%d" % i) for i in range(120)]
    api.create_commit(repo_id=repo, operations=adds, commit_message="some")
    assert len(http.get(f"/api/models/{repo}/tree/main?expand=1").json()) == 50
    entries = list(api.list_repo_tree(repo, expand=True))
    assert len(entries) == 121 and {entry.last_commit.title for entry in entries} == {"initial commit", "some"}
    pages = http.get(f"/api/models/{repo}/tree/main?limit=7")
    assert len(pages.json()) == 7 and "cursor=" in pages.links["next"]["url"]


ODD_QUERIES = ["cursor=x", "cursor=:", "cursor=:1", "cursor=%00:1", "recursive=maybe", "expand=2"]
ODD_QUERIES += [f"limit={limit}" for limit in ("0", "-1", "x", "", "9" * 5000)]
ODD_QUERIES += [f"cursor={'0' * 40}:{offset}" for offset in ("-1", "", "x", "٣", "9" * 30, "9" * 5000)]


@pytest.mark.parametrize("query", ODD_QUERIES)
def test_odd_queries_of_a_tree(stranger, library, query):
    answer = stranger.get(f"/api/models/{library}/tree/main?{query}")
    assert answer.status_code == 400 and answer.headers["X-Error-Message"]


def test_info_of_a_revision(api, http, library):
    info = api.model_info(library, files_metadata=True)
    sizes = {file.rfilename: (file.size, file.lfs and file.lfs.sha256) for file in info.siblings}
    assert sizes["small.txt"] == (len(SMALL), None)
    assert sizes["large.bin"] == (len(LARGE), api.get_paths_info(library, ["large.bin"])[0].lfs.sha256)
    assert info.used_storage >= len(LARGE)
    old = api.list_repo_commits(library)[-1].commit_id
    assert [file.rfilename for file in api.model_info(library, revision=old).siblings] == [".gitattributes"]
    assert set(http.get(f"/api/models/{library}?expand=tags&expand=sha").json()) == {"_id", "id", "tags", "sha"}
    assert set(http.get(f"/api/models/{library}?expand[]=tags").json()) == {"_id", "id", "tags"}
