"""Branches, tags and history, and the order in which the Hub says no."""

import json
from urllib.parse import quote

import pytest
from huggingface_hub.errors import HfHubHTTPError, RevisionNotFoundError


def refused(status: int, message: str):
    def check(error: HfHubHTTPError) -> bool:
        return error.response.status_code == status and error.response.headers["X-Error-Message"] == message

    return pytest.raises(HfHubHTTPError, check=check)


JSON = {"Content-Type": "application/json"}


def names(refs) -> list[str]:
    return [ref.name for ref in refs]


def test_branches(api, repo):
    first = api.model_info(repo).sha
    second = api.upload_file(repo_id=repo, path_in_repo="a", path_or_fileobj=b"a").oid
    api.create_branch(repo, branch="dev/x")
    api.create_branch(repo, branch="শাখা", revision=first[:8])
    api.create_branch(repo, branch="from-branch", revision="শাখা")
    refs = api.list_repo_refs(repo)
    assert {(ref.name, ref.ref, ref.target_commit) for ref in refs.branches} == {
        ("main", "refs/heads/main", second),
        ("dev/x", "refs/heads/dev/x", second),
        ("শাখা", "refs/heads/শাখা", first),
        ("from-branch", "refs/heads/from-branch", first),
    }
    assert (refs.tags, refs.converts, refs.pull_requests) == ([], [], None)
    assert api.list_repo_refs(repo, include_pull_requests=True).pull_requests == []

    api.upload_file(repo_id=repo, path_in_repo="b", path_or_fileobj=b"b", revision="dev/x")
    assert api.file_exists(repo, "b", revision="dev/x") and not api.file_exists(repo, "b")
    assert api.model_info(repo).sha == second, "another branch's commit does not move main"
    api.delete_branch(repo, branch="dev/x")
    with pytest.raises(RevisionNotFoundError):
        api.list_repo_files(repo, revision="dev/x")
    api.create_branch(repo, branch="dev")  # the folder that dev/x lay in is no obstacle
    assert "dev" in names(api.list_repo_refs(repo).branches)


def test_branches_that_are_refused(api, repo):
    with refused(409, "Reference refs/heads/main already exists"):
        api.create_branch(repo, branch="main")
    api.create_branch(repo, branch="main", exist_ok=True)
    with refused(404, "Invalid rev id: nowhere"):
        api.create_branch(repo, branch="dev", revision="nowhere")
    with refused(404, "Invalid rev id: dev"):
        api.delete_branch(repo, branch="dev")
    with refused(403, "Cannot delete refs/heads/main"):
        api.delete_branch(repo, branch="main")
    api.create_branch(repo, branch="a/b")
    for taken in ("a", "a/b/c"):
        with pytest.raises(HfHubHTTPError) as conflict:
            api.create_branch(repo, branch=taken)
        assert conflict.value.response.status_code == 409
    assert sorted(names(api.list_repo_refs(repo).branches)) == ["a/b", "main"]


BAD_NAMES = [
    "a..b",
    "a//b",
    "/a",
    "a/",
    ".a",
    "a/.b",
    "a.",
    "a.lock",
    "a.lock/b",
    "a b",
    "a~1",
    "a^",
    "a:b",
    "a?",
    "a*",
]
BAD_NAMES += ["a[", "a\\b", "a@{b", "a\x7f", "a\nb", "a\0", "a" * 300, "ক" * 90]


@pytest.mark.parametrize("name", BAD_NAMES)
def test_bad_names_are_refused(api, untouched, name):
    """git's own rules (git-check-ref-format), and what no disk could hold."""
    for create in (lambda: api.create_branch(untouched, branch=name), lambda: api.create_tag(untouched, tag=name)):
        with pytest.raises(HfHubHTTPError) as error:
            create()
        assert error.value.response.status_code == 400
    with pytest.raises(RevisionNotFoundError):
        api.delete_tag(untouched, tag=name)
    refs = api.list_repo_refs(untouched)
    assert (names(refs.branches), refs.tags) == (["main"], [])


def test_tags(api, repo):
    first = api.model_info(repo).sha
    second = api.upload_file(repo_id=repo, path_in_repo="a", path_or_fileobj=b"a").oid
    api.create_tag(repo, tag="v1.0", revision=first, tag_message="the first\n\nand more")
    api.create_tag(repo, tag="v1.1")
    api.create_tag(repo, tag="main")
    assert {(tag.name, tag.ref, tag.target_commit) for tag in api.list_repo_refs(repo).tags} == {
        ("v1.0", "refs/tags/v1.0", first),
        ("v1.1", "refs/tags/v1.1", second),
        ("main", "refs/tags/main", second),
    }, "an annotated tag shows the commit, not itself"
    assert api.model_info(repo, revision="v1.0").sha == first
    api.delete_tag(repo, tag="v1.0")
    with pytest.raises(RevisionNotFoundError):
        api.delete_tag(repo, tag="v1.0")


def test_a_missing_revision_is_told_before_a_taken_name(api, repo):
    api.create_tag(repo, tag="v1")
    with refused(404, "Invalid rev id: nowhere"):
        api.create_tag(repo, tag="v1", revision="nowhere", exist_ok=True)
    with refused(409, "Reference refs/tags/v1 already exists"):
        api.create_tag(repo, tag="v1")
    api.create_tag(repo, tag="v1", exist_ok=True)
    with refused(404, "Invalid rev id: nowhere"):
        api.create_tag(repo, tag="a..b", revision="nowhere")


def test_history(api, http, commit, repo):
    for number in range(52):
        operation = ("file", {"path": "n", "content": str(number)})
        assert commit(repo, operation, summary=f"<{number}> & ক", description="why").status_code == 200
    commits = api.list_repo_commits(repo, formatted=True)
    assert [commit.title for commit in commits] == [f"<{n}> & ক" for n in reversed(range(52))] + ["initial commit"]
    assert (commits[0].message, commits[0].formatted_title) == ("why", "&lt;51&gt; &amp; ক")
    page = http.get(f"/api/models/{repo}/commits/main")
    assert len(page.json()) == 50 and len(http.get(page.links["next"]["url"]).json()) == 3
    assert [c["id"] for c in http.get(f"/api/models/{repo}/commits/{commits[50].commit_id}?limit=3").json()] == [
        commit.commit_id for commit in commits[50:]
    ]
    for query in ("p=-1", "p=x", f"p={10**30}", "limit=0", f"limit={10**30}", "p=" + "9" * 5000):
        assert http.get(f"/api/models/{repo}/commits/main?{query}").status_code == 400
    assert http.get(f"/api/models/{repo}/commits/main?p=999999").json() == []


def test_slashes_must_come_quoted(http, repo, api):
    """`dev/x` is one segment of the address, and a part of it is not a branch."""
    api.create_branch(repo, branch="dev/x")
    assert http.get(f"/api/models/{repo}/tree/{quote('dev/x', safe='')}").status_code == 200
    answer = http.get(f"/api/models/{repo}/tree/dev/x")
    assert (answer.status_code, answer.headers["X-Error-Code"]) == (404, "RevisionNotFound")


@pytest.mark.parametrize(
    "body", [{}, {"tag": None}, {"tag": 5}, {"tag": "v", "message": 5}, [], None, "x", {"tag": ""}]
)
def test_malformed_tags_are_refused(http, untouched, body):
    assert http.post(f"/api/models/{untouched}/tag/main", content=json.dumps(body), headers=JSON).status_code == 400


@pytest.mark.parametrize("body", [{"startingPoint": 5}, [], "x", {"startingPoint": ["main"]}])
def test_malformed_branches_are_refused(http, untouched, body):
    assert http.post(f"/api/models/{untouched}/branch/dev", content=json.dumps(body), headers=JSON).status_code == 400


def test_how_many_commits_there_are(api, http, commit, repo):
    """As `countCommits` of the JavaScript client asks: one commit, and the number in a header."""
    for number in range(3):
        assert commit(repo, ("file", {"path": "n", "content": str(number)})).status_code == 200
    first = api.list_repo_commits(repo)[-1].commit_id
    for revision, count in (("main", "4"), (first, "1")):
        answer = http.get(f"/api/models/{repo}/commits/{revision}?limit=1")
        assert len(answer.json()) == 1 and answer.headers["X-Total-Count"] == count
    assert commit(repo, ("file", {"path": "n", "content": "again"})).status_code == 200
    assert http.get(f"/api/models/{repo}/commits/main?limit=1&p=2").headers["X-Total-Count"] == "5"


def test_head_is_main(api, http, repo):
    """As the JavaScript client asks for info of a repo, without having been told a revision."""
    sha = api.upload_file(repo_id=repo, path_in_repo="a", path_or_fileobj=b"a").oid
    assert http.get(f"/api/models/{repo}/revision/HEAD").json()["sha"] == sha
    assert http.get(f"/{repo}/resolve/HEAD/a").content == b"a"


def test_branches_made_anew(hub, api, http, repo):
    def make(**wish) -> int:
        return http.post(f"/api/models/{repo}/branch/{quote('dev/x', safe='')}", json=wish).status_code

    first = api.model_info(repo).sha
    second = api.upload_file(repo_id=repo, path_in_repo="a", path_or_fileobj=b"a").oid
    assert make(overwrite=True) == 200, "there is none yet"
    assert make() == make(startingPoint=first) == make(emptyBranch=True) == 409
    assert make(overwrite=True, startingPoint=first) == 200 and api.model_info(repo, revision="dev/x").sha == first
    assert make(overwrite=True) == 200 and api.model_info(repo, revision="dev/x").sha == first, "by nothing"
    assert make(overwrite=True, startingPoint="nowhere") == 404

    assert make(overwrite=True, emptyBranch=True) == 200
    assert api.list_repo_files(repo, revision="dev/x") == []
    api.upload_file(repo_id=repo, path_in_repo="b", path_or_fileobj=b"b", revision="dev/x")
    assert api.list_repo_files(repo, revision="dev/x") == ["b"]
    assert len(api.list_repo_commits(repo, revision="dev/x")) == 2, "nothing of main's past"

    branch = {"overwrite": True, "startingPoint": first}
    assert http.post(f"/api/models/{repo}/branch/main", json=branch).status_code == 200
    assert api.model_info(repo).sha == first and "a" not in api.list_repo_files(repo)
    assert api.list_repo_files(repo, revision=second)
    for name in ("..%2F..%2Fconfig", "%2e%2e", "a%00b", "a" * 300):
        for wish in ({}, {"emptyBranch": True}):
            assert http.post(f"/api/models/{repo}/branch/{name}", json={"overwrite": True, **wish}).status_code == 400
    assert hub.http("karim").post(f"/api/models/{repo}/branch/main", json=branch).status_code == 403
    assert hub.http("rahim, read-only").post(f"/api/models/{repo}/branch/main", json=branch).status_code == 403
