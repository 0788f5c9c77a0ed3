"""Discussions and pull requests: who may say and do what, what is merged how, and what a crash leaves."""

import itertools
import json
import os
import subprocess
import sys
import threading
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi
from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, RepositoryNotFoundError, RevisionNotFoundError

from utils.hub import accounts
from utils.hub.hub import Hub

HF = str(Path(sys.executable).with_name("hf"))


@pytest.fixture
def karim(hub):
    """The client of somebody who may only read."""
    return hub.api("karim")


def refused(call, *args, **options) -> int:
    """The status with which a call is refused."""
    with pytest.raises(HfHubHTTPError) as error:
        call(*args, **options)
    assert error.value.response.headers["X-Error-Message"]
    return error.value.response.status_code


def put(api, repo: str, path: str, text: str | bytes, **options):
    content = text if isinstance(text, bytes) else text.encode()
    return api.upload_file(repo_id=repo, path_in_repo=path, path_or_fileobj=content, **options)


def text(api, repo: str, path: str, revision: str = "main") -> str:
    return Path(api.hf_hub_download(repo, path, revision=revision)).read_text()


def told(details) -> list[tuple]:
    """(kind, what) of each event."""
    kinds = {"comment": "content", "status-change": "new_status", "title-change": "new_title", "commit": "summary"}
    return [(event.type, getattr(event, kinds[event.type])) for event in details.events]


# Discussions


@pytest.mark.parametrize("kind", ["model", "dataset", "space"])
def test_a_discussion_from_beginning_to_end(api, karim, new_repo, kind):
    repo = new_repo(kind)
    where = {"repo_id": repo, "repo_type": kind}
    opened = karim.create_discussion(**where, title="  প্রশ্ন: লাইসেন্স?  ", description="কোনটা?")
    where["discussion_num"] = opened.num
    answer = api.comment_discussion(**where, comment="**MIT** <b>& more</b>")
    api.rename_discussion(**where, new_title="Licence")
    closed = karim.change_discussion_status(**where, new_status="closed", comment="Thanks")
    api.change_discussion_status(**where, new_status="open")
    details = api.get_discussion_details(**where)
    assert told(details) == [
        ("comment", "কোনটা?"),
        ("comment", "**MIT** <b>& more</b>"),
        ("title-change", "Licence"),
        ("comment", "Thanks"),
        ("status-change", "closed"),
        ("status-change", "open"),
    ]
    assert [event.author for event in details.events] == ["karim", "rahim", "rahim", "karim", "karim", "rahim"]
    assert (details.num, details.title, details.status, details.author) == (1, "Licence", "open", "karim")
    assert (details.is_pull_request, details.diff, details.git_reference) == (False, None, None)
    assert (details.repo_id, details.repo_type) == (repo, kind)
    assert details.events[2].old_title == "প্রশ্ন: লাইসেন্স?"
    assert answer.rendered == "**MIT** &lt;b&gt;&amp; more&lt;/b&gt;"
    assert closed.id == details.events[4].id


def test_a_comment_is_edited_by_its_author_and_keeps_its_history(api, karim, repo):
    num = karim.create_discussion(repo, "A question", description="first").num
    comment = api.get_discussion_details(repo, num).events[0]
    assert (comment.edited, comment.hidden, comment.edit_history) == (False, False, [])
    assert refused(api.edit_discussion_comment, repo, num, comment.id, "not mine") == 403
    karim.edit_discussion_comment(repo, num, comment.id, "second")
    edited = karim.edit_discussion_comment(repo, num, comment.id, "third")
    assert edited == api.get_discussion_details(repo, num).events[0]
    assert (edited.content, edited.edited, edited.last_edited_by) == ("third", True, "karim")
    assert [earlier["raw"] for earlier in edited.edit_history] == ["first", "second"]
    assert edited.created_at == comment.created_at <= edited.last_edited_at


def test_what_is_hidden_is_gone_for_good(hub, api, karim, repo, stranger):
    num = karim.create_discussion(repo, "A question", description="SECRET-1").num
    comment = karim.edit_discussion_comment(
        repo, num, api.get_discussion_details(repo, num).events[0].id, "SECRET-2 <script>"
    )
    with pytest.warns(UserWarning, match="irreversible"):
        assert refused(hub.api("selim").hide_discussion_comment, repo, num, comment.id) == 403
        hidden = api.hide_discussion_comment(repo, num, comment.id)
        assert refused(api.hide_discussion_comment, repo, num, comment.id) == 409
    assert (hidden.hidden, hidden.content, hidden.edit_history) == (True, "This comment has been hidden", [])
    assert refused(karim.edit_discussion_comment, repo, num, comment.id, "again") == 409
    answer = stranger.get(f"/api/models/{repo}/discussions/{num}")
    assert answer.status_code == 200 and "SECRET" not in answer.text


def test_the_list_is_filtered_and_comes_in_pages(hub, api, karim, repo):
    with hub.http("karim") as http:
        for number in range(1, 56):
            http.post(f"/api/models/{repo}/discussions", json={"title": f"Question {number}"})
    assert [found.num for found in api.get_repo_discussions(repo)] == list(range(55, 0, -1))
    draft = api.create_pull_request(repo, "A draft").num
    opened = put(karim, repo, "a", "a", create_pr=True).pr_num
    merged = put(api, repo, "b", "b", create_pr=True).pr_num
    api.merge_pull_request(repo, merged)
    api.change_discussion_status(repo, 7, "closed")

    def nums(**filters) -> list[int]:
        return [found.num for found in api.get_repo_discussions(repo, **filters)]

    assert nums(discussion_type="pull_request") == [merged, opened, draft] == [58, 57, 56]
    assert nums(discussion_status="closed") == [merged, 7]
    assert nums(discussion_type="pull_request", discussion_status="open") == [opened, draft]
    assert nums(discussion_type="discussion", discussion_status="all", author="KARIM") == list(range(55, 0, -1))
    assert nums(author="rahim") == [merged, draft]
    assert nums(author="nobody") == []
    [row] = api.get_repo_discussions(repo, author="karim", discussion_type="pull_request")
    assert (row.title, row.status, row.author, row.is_pull_request) == ("Upload a with huggingface_hub", "open") + (
        "karim",
        True,
    )


# Who may do what


def test_who_may_do_what(hub, api, karim, repo, stranger):
    num = karim.create_discussion(repo, "A question").num
    comment = api.get_discussion_details(repo, num).events[0].id
    selim, reader = hub.api("selim"), hub.api("rahim, read-only")
    assert selim.comment_discussion(repo, num, "I too").author == "selim"
    assert refused(selim.change_discussion_status, repo, num, "closed") == 403
    assert refused(selim.rename_discussion, repo, num, "Mine now") == 403
    assert refused(selim.edit_discussion_comment, repo, num, comment, "x") == 403
    for client, status in ((reader, 403), (hub.api(), 401)):
        assert refused(client.create_discussion, repo, "Another question") == status
        assert refused(client.create_pull_request, repo, "A change") == status
        assert refused(client.comment_discussion, repo, num, "x") == status
        assert refused(client.change_discussion_status, repo, num, "closed") == status
        assert refused(put, client, repo, "a", "a", create_pr=True) == status
        assert [found.num for found in client.get_repo_discussions(repo)] == [num], "they do read"
    wanted = {"operation": "upload", "objects": [{"oid": "0" * 64, "size": 1}]}
    assert stranger.post(f"/{repo}.git/info/lfs/objects/batch", json=wanted).status_code == 401

    pull = put(karim, repo, "a", "a", create_pr=True)
    for client in (karim, selim):
        assert refused(client.merge_pull_request, repo, pull.pr_num) == 403
    assert refused(reader.merge_pull_request, repo, pull.pr_num) == 403
    assert refused(put, selim, repo, "b", "b", revision=pull.pr_revision) == 403
    assert refused(put, karim, repo, "b", "b") == 403, "main is not open to him"
    assert refused(put, karim, repo, "w.bin", b"\0", revision="main") == 403
    put(karim, repo, "b", "b", revision=pull.pr_revision)
    put(api, repo, "c", "c", revision=pull.pr_revision)
    details = api.get_discussion_details(repo, pull.pr_num)
    assert [event.author for event in details.events] == ["karim", "karim", "rahim"]
    with pytest.raises(RevisionNotFoundError):
        put(api, repo, "d", "d", revision="refs/pr/99")
    with pytest.raises(RevisionNotFoundError):
        put(karim, repo, "d", "d", revision=f"refs/pr/{num}")


@pytest.mark.parametrize("permission", [accounts.READ, accounts.DISCUSS, accounts.WRITE])
def test_what_a_fine_grained_token_may_do(hub, api, repo, permission):
    """The owner's own: one to read, one to discuss, one to write; that of another repo does nothing here."""
    pull = put(api, repo, "a", "a", create_pr=True)
    state, may = Hub(hub.data), {}
    with state.db() as db:
        for name in (repo, "rahim/elsewhere"):
            scopes = {("model", name): [permission]}
            may[name] = accounts.add_token(db, accounts.find(db, "rahim"), uuid.uuid4().hex, scopes=scopes)
    state.close()
    here, elsewhere = (HfApi(endpoint=hub.url, token=token) for token in may.values())
    for client in (here, elsewhere):
        talks, writes = client is here and permission != accounts.READ, client is here and permission == accounts.WRITE
        calls = {
            lambda c=client: c.create_discussion(repo, "A question"): talks,
            lambda c=client: c.comment_discussion(repo, pull.pr_num, "x"): talks,
            lambda c=client: put(c, repo, "w.bin", b"\0" + os.urandom(9), create_pr=True): talks,
            lambda c=client: put(c, repo, "b", "b", revision=pull.pr_revision): talks,
            lambda c=client: put(c, repo, "c", "c"): writes,
            lambda c=client: c.merge_pull_request(repo, pull.pr_num): writes,
        }
        for number, (call, allowed) in enumerate(calls.items()):
            if allowed:
                call()
            else:
                assert refused(call) == 403, number


def test_a_private_repo_has_no_discussions_for_strangers(api, karim, new_repo):
    repo = new_repo(private=True)
    num = api.create_discussion(repo, "Among us").num
    calls = [
        lambda: list(karim.get_repo_discussions(repo)),
        lambda: karim.get_discussion_details(repo, num),
        lambda: karim.create_discussion(repo, "Let me in"),
        lambda: karim.comment_discussion(repo, num, "x"),
        lambda: put(karim, repo, "a", "a", create_pr=True),
    ]
    for call in calls:
        with pytest.raises(RepositoryNotFoundError):
            call()


def test_a_gated_repo_shows_its_files_in_no_diff(hub, api, karim, new_repo, stranger):
    repo = new_repo()
    put(api, repo, "a", "SECRET\n")
    pull = put(api, repo, "a", "SECRETS\n", create_pr=True)
    api.update_repo_settings(repo, gated="manual")
    assert "SECRETS" in api.get_discussion_details(repo, pull.pr_num).diff
    assert karim.get_discussion_details(repo, pull.pr_num).diff is None
    assert "SECRET" not in stranger.get(f"/api/models/{repo}/discussions/{pull.pr_num}?diff=1").text
    assert karim.create_discussion(repo, "May I?").num == 2
    with pytest.raises(GatedRepoError):
        put(karim, repo, "b", "b", create_pr=True)
    wanted = {"operation": "upload", "objects": [{"oid": "0" * 64, "size": 1}]}
    with hub.http("karim") as http:
        refusal = http.post(f"/{repo}.git/info/lfs/objects/batch", json=wanted)
    assert (refusal.status_code, refusal.headers["X-Error-Code"]) == (403, "GatedRepo")


# Pull requests


def test_a_stranger_proposes_and_the_owner_merges(api, karim, repo, tmp_path):
    """Small and large files, a folder, a second commit; the large one is downloaded from `main` after."""
    put(api, repo, "keep.txt", "keep\n")
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "notes.txt").write_text("one\n")
    (tmp_path / "weights.bin").write_bytes(b"\0weights")
    main = api.model_info(repo).sha
    pull = karim.upload_folder(
        repo_id=repo, folder_path=tmp_path, create_pr=True, commit_message="Better weights", commit_description="Why: x"
    )
    assert (pull.pr_num, pull.pr_revision) == (1, "refs/pr/1")
    assert pull.pr_url == f"{api.endpoint}/{repo}/discussions/1"
    put(karim, repo, "deep/notes.txt", "one\ntwo\n", revision="refs/pr/1", commit_message="Second\n\nmore")
    karim.comment_discussion(repo, 1, "Ready")
    assert api.model_info(repo).sha == main, "main is as it was"
    [ref] = api.list_repo_refs(repo, include_pull_requests=True).pull_requests
    assert (ref.ref, ref.target_commit) == ("refs/pr/1", api.model_info(repo, revision="refs/pr/1").sha)
    assert text(karim, repo, "deep/notes.txt", "refs/pr/1") == "one\ntwo\n"

    before = api.get_discussion_details(repo, 1)
    assert (before.status, before.conflicting_files, before.merge_commit_oid) == ("open", [], None)
    assert before.target_branch == "refs/heads/main"
    api.merge_pull_request(repo, 1, comment="Thank you")
    after = api.get_discussion_details(repo, 1)
    assert told(after) == [
        ("comment", "Why: x"),
        ("commit", "Better weights"),
        ("commit", "Second"),
        ("comment", "Ready"),
        ("status-change", "merged"),
        ("comment", "Thank you"),
    ]
    assert [e.author for e in after.events] == ["karim"] * 4 + ["rahim"] * 2
    assert (after.status, after.diff) == ("merged", before.diff)
    assert after.merge_commit_oid == api.model_info(repo).sha
    history = [commit.title for commit in api.list_repo_commits(repo)]
    assert history[0] == "Better weights (#1)" and {"Better weights", "Second"} < set(history)
    assert Path(api.hf_hub_download(repo, "weights.bin")).read_bytes() == b"\0weights"
    assert text(api, repo, "keep.txt") == "keep\n"

    assert refused(api.merge_pull_request, repo, 1) == 409
    assert refused(api.change_discussion_status, repo, 1, "closed") == 409
    assert refused(put, karim, repo, "x", "x", revision="refs/pr/1") == 409


def test_the_diff_is_what_git_itself_would_apply(hub, api, repo, tmp_path):
    """Applied by git to the files of `main` it gives those of the pull request, Bangla and missing newlines too."""
    old = {
        "edited.txt": "".join(f"line {i}\n" for i in range(100)),
        "no newline": "a\nb",
        "gone/x.txt": "x\n",
        "বাংলা.md": "ক\nখ\n",
        "untouched": "same\n",
    }
    new = old | {
        "edited.txt": "zero\n" + old["edited.txt"].replace("line 50\n", "LINE\n").replace("line 98\n", ""),
        "no newline": "a\nb\nc",
        "বাংলা.md": "ক\nগ\n",
        "fresh/y.txt": "y\r\nz\n",
    }
    del new["gone/x.txt"]
    adds = [CommitOperationAdd(path, content.encode()) for path, content in old.items()]
    api.create_commit(repo, adds, commit_message="old")
    adds = [CommitOperationAdd(path, new[path].encode()) for path in new if new[path] != old.get(path)]
    operations = [*adds, CommitOperationDelete("gone/x.txt"), CommitOperationAdd("weights.bin", b"\0w")]
    pull = api.create_commit(repo, operations, commit_message="new", create_pr=True)
    put(api, repo, "elsewhere", "main goes on\n")
    diff = api.get_discussion_details(repo, pull.pr_num).diff
    assert "elsewhere" not in diff and "git-lfs" in diff
    for path, content in old.items():
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_bytes(content.encode())
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    subprocess.run(["git", "apply", "-"], cwd=tmp_path, input=diff.encode(), check=True)
    for path, content in new.items():
        assert (tmp_path / path).read_bytes() == content.encode(), path
    assert not (tmp_path / "gone").exists()


def test_a_diff_stays_short_and_takes_no_time(hub, api, repo):
    """Two files as unlike as can be, for which difflib would need hours, and one that is too long to compare."""
    old, new = ("".join(f"{(i * step) % 997}\n" for i in range(60_000)) for step in (7, 11))
    adds = [CommitOperationAdd(f"{n}.txt", old.encode()) for n in range(5)]
    api.create_commit(repo, [*adds, CommitOperationAdd("long.txt", b"a\n" * 600_000)], commit_message="old")
    adds = [CommitOperationAdd(f"{n}.txt", new.encode()) for n in range(5)]
    pull = api.create_commit(
        repo, [CommitOperationAdd("0long.txt", b"b\n" * 600_000), *adds], commit_message="new", create_pr=True
    )
    with hub.http("rahim") as http:
        diff = http.get(f"/api/models/{repo}/discussions/{pull.pr_num}?diff=1", timeout=10).json()["diff"]
    assert len(diff) < 1_100_000
    assert "/dev/null and b/0long.txt are too long to compare" in diff
    assert diff.endswith("[The diff is longer than this.]\n")


def test_both_sides_count_where_they_do_not_meet(api, karim, repo):
    """One file each in one folder, a file that main deleted, one that both changed alike."""
    files = {"d/a": "a", "d/b": "b", "gone": "g", "alike": "0"}
    api.create_commit(repo, [CommitOperationAdd(path, c.encode()) for path, c in files.items()], commit_message="start")
    pull = karim.create_commit(
        repo,
        [CommitOperationAdd("d/a", b"A"), CommitOperationAdd("alike", b"1"), CommitOperationAdd("d/new/n", b"n")],
        commit_message="theirs",
        create_pr=True,
    )
    api.create_commit(
        repo,
        [CommitOperationAdd("d/b", b"B"), CommitOperationAdd("alike", b"1"), CommitOperationDelete("gone")],
        commit_message="ours",
    )
    assert api.get_discussion_details(repo, pull.pr_num).conflicting_files == []
    api.merge_pull_request(repo, pull.pr_num)
    assert set(api.list_repo_files(repo)) == {".gitattributes", "d/a", "d/b", "d/new/n", "alike"}
    assert (text(api, repo, "d/a"), text(api, repo, "d/b")) == ("A", "B")


CONFLICTS = {
    "both changed it": ([("add", "d/f", "1")], [("add", "d/f", "2")], "d/f"),
    "main deleted it": ([("add", "d/f", "1")], [("delete", "d/f", "")], "d/f"),
    "the other deleted it": ([("delete", "d/f", "")], [("add", "d/f", "1")], "d/f"),
    "both added it": ([("add", "new", "1")], [("add", "new", "2")], "new"),
    "a file and a folder": ([("add", "new", "1")], [("add", "new/x", "1")], "new"),
}


@pytest.mark.parametrize("what", CONFLICTS)
def test_a_conflict_is_told_and_not_merged(api, karim, repo, what):
    theirs, ours, path = CONFLICTS[what]

    def commit(client, steps, **options):
        operations = [
            CommitOperationAdd(path, content.encode()) if verb == "add" else CommitOperationDelete(path)
            for verb, path, content in steps
        ]
        return client.create_commit(repo, operations, commit_message="step", **options)

    commit(api, [("add", "d/f", "0"), ("add", "other", "0")])
    pull = commit(karim, [*theirs, ("add", "other", "1")], create_pr=True)
    main = commit(api, ours).oid
    assert api.get_discussion_details(repo, pull.pr_num).conflicting_files == [path]
    with pytest.raises(HfHubHTTPError, match=f"conflicts with main in 1 files: {path}") as error:
        api.merge_pull_request(repo, pull.pr_num)
    assert error.value.response.status_code == 409
    assert api.model_info(repo).sha == main
    assert api.get_discussion_details(repo, pull.pr_num).status == "open"


def test_a_draft_is_opened_before_it_is_merged(api, repo):
    draft = api.create_pull_request(repo, "A change", description="soon")
    assert (draft.status, draft.diff, told(draft)) == ("draft", "", [("comment", "soon")])
    assert refused(api.merge_pull_request, repo, draft.num) == 409
    put(api, repo, "a", "a", revision=draft.git_reference, commit_message="Add a")
    api.change_discussion_status(repo, draft.num, "open")
    api.merge_pull_request(repo, draft.num)
    assert told(api.get_discussion_details(repo, draft.num))[1:] == [
        ("commit", "Add a"),
        ("status-change", "open"),
        ("status-change", "merged"),
    ]


def test_what_cannot_be_merged(api, repo):
    question = api.create_discussion(repo, "A question").num
    empty = api.create_pull_request(repo, "Nothing").num
    api.change_discussion_status(repo, empty, "open")
    closed = put(api, repo, "a", "a", create_pr=True).pr_num
    api.change_discussion_status(repo, closed, "closed")
    assert [refused(api.merge_pull_request, repo, num) for num in (question, empty, closed, 99)] == [400, 409, 409, 404]
    assert refused(api.change_discussion_status, repo, closed, "closed") == 409
    api.change_discussion_status(repo, closed, "open")
    api.merge_pull_request(repo, closed)


def test_a_pull_request_starts_where_it_is_told_to(api, commit, repo, http):
    first = put(api, repo, "a", "1").oid
    put(api, repo, "b", "2")
    pull = put(api, repo, "c", "3", create_pr=True, parent_commit=first)
    assert set(api.list_repo_files(repo, revision=pull.pr_revision)) == {".gitattributes", "a", "c"}
    api.merge_pull_request(repo, pull.pr_num)
    assert set(api.list_repo_files(repo)) == {".gitattributes", "a", "b", "c"}
    with pytest.raises(RevisionNotFoundError):
        put(api, repo, "d", "d", create_pr=True, parent_commit="0" * 40)
    api.create_branch(repo, branch="dev")
    assert refused(put, api, repo, "e", "e", create_pr=True, revision="dev") == 400
    assert api.create_discussion(repo, "The next one").num == 2, "what was refused took no number"


def test_large_files_of_a_proposal_open_nothing(hub, api, karim, new_repo):
    """Whoever names a large file by its sha256 has to send it, also where others have it already."""
    secret, repo = new_repo(private=True), new_repo()
    put(api, secret, "w.bin", b"\0secret")
    sha256 = api.get_paths_info(secret, "w.bin")[0].lfs.sha256
    with hub.http("karim") as http:
        wanted = {"operation": "upload", "objects": [{"oid": sha256, "size": 7}]}
        [answer] = http.post(f"/{repo}.git/info/lfs/objects/batch", json=wanted).json()["objects"]
        assert "upload" in answer["actions"]
        assert http.put(answer["actions"]["upload"]["href"], content=b"\0guess!").status_code == 422
        lines = [
            {"key": "header", "value": {"summary": "mine"}},
            {"key": "lfsFile", "value": {"path": "w.bin", "oid": sha256, "size": 7}},
        ]
        body = "\n".join(map(json.dumps, lines))
        assert http.post(f"/api/models/{repo}/commit/main?create_pr=1", content=body).status_code == 400
        wanted["operation"] = "download"
        [answer] = http.post(f"/{repo}.git/info/lfs/objects/batch", json=wanted).json()["objects"]
        assert answer["error"]["code"] == 404
    assert list(api.get_repo_discussions(repo)) == []


# Many at once, and crashes


def test_numbers_count_up_whoever_comes_at_once(hub, repo):
    """Discussions and pull requests, some refused in between: 1 to 20, each once."""

    def open_one(n: int) -> int:
        with hub.http(("rahim", "karim")[n % 2]) as http:
            http.post(f"/api/models/{repo}/discussions", json={"title": "x"}).is_error  # noqa: B018 - too short a title
            new = {"title": f"Number {n}", "pullRequest": n % 3 == 0}
            return http.post(f"/api/models/{repo}/discussions", json=new).raise_for_status().json()["num"]

    with ThreadPoolExecutor(10) as pool:
        assert sorted(pool.map(open_one, range(20))) == list(range(1, 21))
    pulls = [f.num for f in hub.api().get_repo_discussions(repo, discussion_type="pull_request")]
    refs = hub.api().list_repo_refs(repo, include_pull_requests=True).pull_requests
    assert sorted(pulls) == sorted(int(ref.ref.split("/")[-1]) for ref in refs)


def test_of_two_who_merge_at_once_one_wins(hub, api, repo):
    """While others commit to main, whose commits all stay."""
    pulls = [put(api, repo, f"pull-{n}", "x", create_pr=True).pr_num for n in range(3)]

    def merge(num: int) -> int:
        with hub.http("rahim") as http:
            return http.post(f"/api/models/{repo}/discussions/{num}/merge").status_code

    def add(n: int) -> int:
        with hub.http("rahim") as http:
            lines = [("header", {"summary": "x"}), ("file", {"path": f"main-{n}", "content": "x"})]
            body = "\n".join(json.dumps({"key": key, "value": value}) for key, value in lines)
            return http.post(f"/api/models/{repo}/commit/main", content=body).status_code

    with ThreadPoolExecutor(9) as pool:
        adding = [pool.submit(add, n) for n in range(6)]
        merging = {num: [pool.submit(merge, num) for _ in range(2)] for num in pulls}
        assert {future.result() for future in adding} == {200}
    for num, both in merging.items():
        assert sorted(future.result() for future in both) == [200, 409], num
        details = api.get_discussion_details(repo, num)
        assert told(details).count(("status-change", "merged")) == 1
    assert {f"pull-{n}" for n in range(3)} | {f"main-{n}" for n in range(6)} < set(api.list_repo_files(repo))
    assert sum(commit.title.endswith(")") for commit in api.list_repo_commits(repo)) == 3


def git_folder(hub, repo: str) -> Path:
    """Where a repo's git is: the one folder whose `main` is its head."""
    head = hub.api("rahim").model_info(repo).sha
    return next(f for f in (hub.data / "repos").iterdir() if (f / "refs/heads/main").read_text().strip() == head)


def test_killed_between_git_and_database_it_finds_the_truth_again(mortal_hub):
    """What the merge does in git is done by git itself while no Hub runs: as if it had been killed right after."""
    hub, api = mortal_hub, mortal_hub.api("rahim")
    repo = api.create_repo("rahim/pulled").repo_id
    pulls = [put(hub.api("karim"), repo, name, "x", create_pr=True) for name in ("a", "b")]
    draft = api.create_pull_request(repo, "Untouched").num
    folder = git_folder(hub, repo)
    hub.kill()
    git = ["git", "-c", "user.name=rahim", "-c", "user.email=rahim@localhost", "-C", str(folder)]

    def run(*command: str) -> str:
        return subprocess.run([*git, *command], check=True, capture_output=True, text=True).stdout.strip()

    tree = run("rev-parse", "refs/pr/1^{tree}")
    merge = run("commit-tree", tree, "-p", "refs/heads/main", "-p", "refs/pr/1", "-m", "Merged")
    run("update-ref", "refs/heads/main", merge)
    # A commit of a pull request, and a new one, of which the database has not heard.
    commit = run("commit-tree", run("rev-parse", "refs/pr/2^{tree}"), "-p", "refs/pr/2", "-m", "Unheard of")
    run("update-ref", "refs/pr/2", commit)
    run("update-ref", "refs/pr/4", merge)
    hub.start()
    rows = {row.num: row.status for row in api.get_repo_discussions(repo)}
    assert rows == {1: "merged", 2: "open", draft: "draft"}
    merged = api.get_discussion_details(repo, 1)
    assert (merged.merge_commit_oid, told(merged)[-1]) == (merge, ("status-change", "merged"))
    assert merged.events[-1].author == "rahim"
    assert refused(api.merge_pull_request, repo, 1) == 409
    assert told(api.get_discussion_details(repo, 2))[-1] == ("commit", "Unheard of")
    assert api.create_discussion(repo, "The next number").num == 4
    refs = api.list_repo_refs(repo, include_pull_requests=True).pull_requests
    assert {ref.ref for ref in refs} == {"refs/pr/1", "refs/pr/2", "refs/pr/3"}
    api.merge_pull_request(repo, 2)
    assert {"a", "b"} < set(api.list_repo_files(repo))
    assert pulls[0].oid in [commit.commit_id for commit in api.list_repo_commits(repo)]


def test_a_push_of_the_pull_request_to_main_merges_it(mortal_hub):
    """Two commits, `main` moved onto the second one by git itself."""
    hub, api = mortal_hub, mortal_hub.api("rahim")
    repo = api.create_repo("rahim/pushed").repo_id
    put(api, repo, "a", "a\n", create_pr=True)
    head = put(api, repo, "b", "b\n", revision="refs/pr/1").oid
    folder = git_folder(hub, repo)
    hub.kill()
    subprocess.run(["git", "-C", folder, "update-ref", "refs/heads/main", head], check=True)
    hub.start()
    details = api.get_discussion_details(repo, 1)
    assert (details.status, details.merge_commit_oid) == ("merged", head)
    assert [kind for kind, _ in told(details)] == ["commit", "commit", "status-change"]
    assert "+a" in details.diff and "+b" in details.diff


def test_killed_while_people_talk_it_forgets_nothing_it_confirmed(mortal_hub):
    hub, api = mortal_hub, mortal_hub.api("rahim")
    repo = api.create_repo("rahim/talk").repo_id
    confirmed, stop = [], threading.Event()

    def talk() -> None:
        with hub.http("karim") as http:
            for n in itertools.count():
                if stop.is_set():
                    return
                try:
                    lines = [("header", {"summary": f"Change {n}"}), ("file", {"path": f"f{n}", "content": "x"})]
                    body = "\n".join(json.dumps({"key": key, "value": value}) for key, value in lines)
                    answer = http.post(f"/api/models/{repo}/commit/main?create_pr=1", content=body)
                    num = int(answer.raise_for_status().json()["pullRequestUrl"].rpartition("/")[2])
                    with hub.http("rahim") as owner:
                        owner.post(f"/api/models/{repo}/discussions/{num}/merge").raise_for_status()
                    confirmed.append((num, answer.json()["commitOid"]))
                except httpx.TransportError:
                    continue

    with ThreadPoolExecutor(1) as pool:
        talking = pool.submit(talk)
        for wanted in (3, 6, 9):
            while len(confirmed) < wanted and not talking.done():
                hub.http().get("/-/health")
            hub.kill()
            hub.start()
        stop.set()
        talking.result()
    status = {row.num: row.status for row in api.get_repo_discussions(repo)}
    history = {commit.commit_id for commit in api.list_repo_commits(repo)}
    assert sorted(status) == list(range(1, len(status) + 1))
    for num, commit in confirmed:
        assert status[num] == "merged" and commit in history
    for num, state in status.items():  # and of the others too, both say the same
        head = api.model_info(repo, revision=f"refs/pr/{num}").sha
        assert (state == "merged") == (head in history), num


# Careless and hostile people


ODD = [None, True, 5, 10**400, 1.5, "", "\0", "\ud800", "a\nb", "x" * 70_000, [], {}, ["x"]]


def test_odd_values_are_refused_in_words(hub, repo):
    karim = hub.http("karim")
    num = karim.post(f"/api/models/{repo}/discussions", json={"title": "A question"}).json()["num"]
    karim.post(f"/api/models/{repo}/discussions/{num}/comment", json={"comment": "x"})
    base = f"/api/models/{repo}/discussions"
    fields = {base: ["title", "description", "pullRequest"], f"{base}/{num}/comment": ["comment"]}
    fields |= {f"{base}/{num}/title": ["title"], f"{base}/{num}/status": ["status", "comment"]}
    fields |= {f"{base}/{num}/comment/{'0' * 24}/edit": ["content"]}
    for path, names in fields.items():
        for name, value in itertools.product(names, ODD):
            body = {"title": "A title", "status": "closed"} | {name: value}
            answer = karim.post(path, content=json.dumps(body), headers={"Content-Type": "application/json"})
            assert answer.status_code in (200, 400, 404, 409), (path, body)
            assert answer.is_success or answer.headers["X-Error-Message"]
        for body in (b"", b"null", b"[]", b"{", b"[" * 100_000, b"\xff"):
            answer = karim.post(path, content=body, headers={"Content-Type": "application/json"})
            assert answer.status_code == 400, (path, body[:5])
    for title in ("ab", " a ", "x" * 201, "two\nlines", "nul\0"):
        assert karim.post(base, json={"title": title}).status_code == 400
    assert karim.post(f"{base}/{num}/comment", json={"comment": "x" * 65_537}).status_code == 400
    for path in ("0", "-1", "x", "9" * 30, "1/comment/zz/edit", "1/comment/" + "f" * 24 + "/hide", "%2e%2e", "1%2f2"):
        assert karim.get(f"{base}/{path}").status_code in (400, 404, 405, 501), path
        assert karim.post(f"{base}/{path}", json={"content": "x"}).status_code in (400, 404, 405, 501), path
    for query in (
        "type=x",
        "status=merged",
        "p=-1",
        "p=" + "9" * 30,
        "p=1000000",
        "author=" + "x" * 1000,
        "author=%00",
    ):
        assert karim.get(f"{base}?{query}").status_code in (200, 400), query
    assert karim.get(f"{base}/{num}?diff=1").status_code == 200, "and it still opens"
    karim.close()


def test_a_commit_may_be_called_anything(hub, api, repo):
    """Its words become the pull request's title and description, cut to what these may be."""
    with hub.http("karim") as http:
        for summary, title in (("x", "x"), ("\x01", "Pull request"), ("\ud800ক\0", "ক"), ("y" * 999, "y" * 200)):
            lines = [("header", {"summary": summary, "description": "\ud800<b>\0" + "z" * 70_000})]
            lines.append(("file", {"path": "x", "content": summary.encode(errors="replace").decode()}))
            body = "\n".join(json.dumps({"key": key, "value": value}) for key, value in lines)
            answer = http.post(f"/api/models/{repo}/commit/main?create_pr=1", content=body)
            num = int(answer.json()["pullRequestUrl"].rpartition("/")[2])
            details = api.get_discussion_details(repo, num)
            assert details.title == title and len(details.events[0].content) == 65_536


def test_a_discussion_fills_up(hub, api, repo):
    num = api.create_discussion(repo, "A question").num
    path = f"/api/models/{repo}/discussions/{num}/comment"
    with hub.http("karim") as http:
        statuses = [http.post(path, json={"comment": "ক" * 65_536}).status_code for _ in range(24)]
        assert statuses[0] == 200 and statuses[-1] == 409
        assert len(http.get(f"/api/models/{repo}/discussions/{num}").content) < 40 << 20


def test_attachments_are_not_served(api, tmp_path):
    (tmp_path / "x.png").write_bytes(b"\x89PNG")
    assert refused(api.upload_attachment, tmp_path / "x.png") == 501


# The command


def test_the_hf_command(hub, repo, tmp_path):
    def hf(*command: str) -> str:
        found = subprocess.run(
            [HF, "discussions", *command], capture_output=True, text=True, env=hub.environment("rahim", tmp_path)
        )
        assert found.returncode == 0, found.stderr
        return found.stdout

    hf("create", repo, "--title", "From the shell", "--body", "হ্যালো")
    pull = put(hub.api("karim"), repo, "a.txt", "new\n", create_pr=True).pr_num
    hf("close", repo, "1", "--yes", "--comment", "done")
    assert "+new" in hf("diff", repo, str(pull))
    hf("merge", repo, str(pull), "--yes", "--comment", "ok")
    rows = json.loads(hf("list", repo, "--status", "all", "--format", "json"))
    assert [(row["num"], row["title"], row["status"]) for row in rows] == [
        (2, "Upload a.txt with huggingface_hub", "merged"),
        (1, "From the shell", "closed"),
    ]
    assert json.loads(hf("info", repo, "1", "--format", "json"))["title"] == "From the shell"
