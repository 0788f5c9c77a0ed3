"""A repo's life: created, found in any letter case, set, renamed, deleted."""

import json
import threading
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest
from huggingface_hub.errors import HfHubHTTPError, RepositoryNotFoundError

KINDS = ["model", "dataset", "space"]
HEADER = {"key": "header", "value": {"summary": "test"}}


def refused(status: int):
    return pytest.raises(HfHubHTTPError, check=lambda error: error.response.status_code == status)


@pytest.mark.parametrize("kind", KINDS)
def test_created_and_deleted(hub, api, kind):
    options = {"repo_type": kind, "space_sdk": "gradio" if kind == "space" else None}
    url = api.create_repo("rahim/life", **options)
    prefix = "" if kind == "model" else kind + "s/"
    assert (url, url.repo_id, url.repo_type) == (f"{hub.url}/{prefix}rahim/life", "rahim/life", kind)
    with refused(409):
        api.create_repo("rahim/life", **options)
    assert api.create_repo("RAHIM/Life", exist_ok=True, **options).repo_type == kind
    info = api.repo_info("rahim/life", repo_type=kind)
    assert (info.id, info.author, info.private) == ("rahim/life", "rahim", False)
    assert ".gitattributes" in [file.rfilename for file in info.siblings]
    assert info.created_at is not None and info.last_modified is not None
    assert info.sha == api.list_repo_commits("rahim/life", repo_type=kind)[0].commit_id
    api.delete_repo("rahim/life", repo_type=kind)
    assert not api.repo_exists("rahim/life", repo_type=kind)
    with pytest.raises(RepositoryNotFoundError):
        api.delete_repo("rahim/life", repo_type=kind)
    api.delete_repo("rahim/life", repo_type=kind, missing_ok=True)


def test_kinds_are_apart(api):
    """A model, a dataset and a Space may share a name; a name without an owner is one's own."""
    for kind in KINDS:
        api.create_repo("same-name", repo_type=kind, space_sdk="static" if kind == "space" else None)
    api.delete_repo("rahim/same-name", repo_type="dataset")
    assert [api.repo_exists("rahim/same-name", repo_type=kind) for kind in KINDS] == [True, False, True]
    assert api.space_info("rahim/same-name").sdk == "static"


def test_a_new_space_has_a_card_with_its_sdk(api, new_repo, http):
    repo = new_repo("space", space_sdk="gradio")
    assert "sdk: gradio" in http.get(f"/spaces/{repo}/raw/main/README.md").text


@pytest.mark.parametrize(
    "name", ["a..b", "a--b", "-a", "a-", ".a", "a.", "a.git", "a.ipynb", "a b", "ক", "", "a" * 97, "a\n", "a/b"]
)
def test_bad_names_are_refused(http, api, untouched, name):
    assert http.post("/api/repos/create", json={"name": name, "organization": "rahim"}).status_code == 400
    assert http.post("/api/repos/move", json={"fromRepo": untouched, "toRepo": f"rahim/{name}"}).status_code == 400
    assert api.repo_exists(untouched)


def test_good_names_are_taken(api):
    """What the client's own rule allows (`validate_repo_id`): underscores stand anywhere."""
    for name in ("_a", "b_", "C.d-e_f", "0", "x" * 96):
        assert api.create_repo(f"rahim/{name}").repo_id == f"rahim/{name}"


def test_only_members_create_in_a_namespace(hub):
    assert hub.api("rahim").create_repo("khulna/rahims").repo_id == "khulna/rahims"
    for who, owner in (("karim", "rahim"), ("karim", "khulna"), ("selim", "khulna"), ("rahim", "nobody")):
        with refused(403):
            hub.api(who).create_repo(f"{owner}/not-mine")
    assert hub.api("teacher").create_repo("rahim/from-teacher").repo_id == "rahim/from-teacher"
    with refused(403):
        hub.api("selim").delete_repo("khulna/rahims")
    with refused(403):
        hub.api("karim").delete_repo("khulna/rahims")
    hub.api("rahim").delete_repo("khulna/rahims")


def test_ids_are_found_in_any_letter_case(api, http, new_repo):
    repo = new_repo()
    shouted = repo.upper()
    api.upload_file(repo_id=shouted, path_in_repo="a.txt", path_or_fileobj=b"a")
    assert api.model_info(shouted).id == repo
    assert api.file_exists(shouted, "a.txt")
    assert http.get(f"/{shouted}/resolve/main/a.txt").text == "a"


@pytest.mark.parametrize("kind", KINDS)
def test_a_renamed_repo_redirects(hub, api, new_repo, tmp_path, kind):
    """Reading, writing and large files all go on under the old id; a new repo may then take that id over."""
    repo = new_repo(kind)
    api.upload_file(repo_id=repo, repo_type=kind, path_in_repo="ক খ.txt", path_or_fileobj=b"a")
    api.upload_file(repo_id=repo, repo_type=kind, path_in_repo="large.bin", path_or_fileobj=b"\0large")
    moved = f"khulna/{kind}.moved"
    api.move_repo(repo, moved, repo_type=kind)
    assert api.repo_info(repo, repo_type=kind).id == moved
    assert api.repo_info(repo.upper(), repo_type=kind, revision="main").id == moved
    for file in ("ক খ.txt", "large.bin"):
        api.hf_hub_download(repo, file, repo_type=kind, local_dir=tmp_path)
    assert (tmp_path / "large.bin").read_bytes() == b"\0large"
    api.upload_file(repo_id=repo, repo_type=kind, path_in_repo="b.bin", path_or_fileobj=b"\0b")
    api.create_branch(repo, repo_type=kind, branch="dev/x")
    assert {branch.name for branch in api.list_repo_refs(moved, repo_type=kind).branches} == {"main", "dev/x"}
    assert api.file_exists(moved, "b.bin", repo_type=kind)

    with pytest.raises(RepositoryNotFoundError):
        api.delete_repo(repo, repo_type=kind)  # deleting asks for the name that the repo has now
    api.create_repo(repo, repo_type=kind, space_sdk="static" if kind == "space" else None)
    assert not api.file_exists(repo, "b.bin", repo_type=kind)
    api.move_repo(moved, f"rahim/{kind}.again", repo_type=kind)
    assert api.repo_info(moved, repo_type=kind).id == f"rahim/{kind}.again"


def test_a_rename_keeps_the_query(http, api, new_repo):
    repo = new_repo()
    moved = f"{repo}-2"
    api.move_repo(repo, moved)
    answer = http.get(f"/api/models/{repo}/tree/refs%2Fheads%2Fmain", params={"recursive": True, "expand": True})
    assert answer.status_code == 307
    assert answer.headers["location"] == f"/api/models/{moved}/tree/refs%2Fheads%2Fmain?recursive=true&expand=true"


def test_renames_that_are_refused(hub, api, new_repo):
    mine, taken, theirs = new_repo(), new_repo(), hub.api("karim").create_repo("karim/theirs").repo_id
    with refused(409):
        api.move_repo(mine, taken.upper())
    for source, target in ((mine, "karim/gift"), (theirs, "rahim/stolen")):
        with refused(403):
            api.move_repo(source, target)
    with pytest.raises(RepositoryNotFoundError):
        api.move_repo("rahim/nothing", "rahim/something")
    api.move_repo(mine, mine.upper().replace("RAHIM", "rahim"))
    assert api.model_info(mine).id == mine.upper().replace("RAHIM", "rahim"), "only its spelling changed"


def test_settings(api, new_repo):
    repo = new_repo()
    api.update_repo_settings(repo, private=True)
    assert api.model_info(repo).private
    api.update_repo_settings(repo, gated="manual")
    info = api.model_info(repo)
    assert (info.private, info.gated) == (True, "manual"), "what is not asked for stays"
    api.update_repo_settings(repo, gated=False, visibility="public")
    info = api.model_info(repo)
    assert (info.private, info.gated) == (False, False)


def test_a_repo_made_by_many_at_once_is_made_once(api):
    """As when several notebooks start with `create_repo(exist_ok=True)`."""
    start = threading.Barrier(8)

    def create(_: int) -> str:
        start.wait()
        return api.create_repo("rahim/at-once", exist_ok=True).repo_id

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(create, range(8))) == {"rahim/at-once"}
    assert len(api.list_repo_commits("rahim/at-once")) == 1


def test_deleted_while_it_is_in_use(hub, api, new_repo):
    """Who reads or writes it meets a whole answer or a 404, never an error of the Hub."""
    repo = new_repo()
    api.upload_file(repo_id=repo, path_in_repo="a.bin", path_or_fileobj=b"\0a")
    gone = threading.Event()

    def ask(method: str, path: str, content: str) -> set[int]:
        seen = set()
        with hub.http("rahim") as http:
            while not gone.is_set():
                seen.add(http.request(method, path, content=content).status_code)
        return seen

    card = json.dumps({"key": "file", "value": {"path": "README.md", "content": f"---\ntags: [{uuid.uuid4()}]\n---\n"}})
    requests = [("GET", path, "") for path in (f"/api/models/{repo}", f"/{repo}/resolve/main/a.bin")]
    requests += [("GET", path, "") for path in (f"/api/models/{repo}/tree/main?expand=1", f"/api/models?search={repo}")]
    requests += [("POST", f"/api/models/{repo}/commit/main", json.dumps(HEADER) + "\n" + card)] * 2
    with ThreadPoolExecutor(len(requests)) as pool:
        answers = [pool.submit(ask, *request) for request in requests]
        while len(api.list_repo_commits(repo)) < 5:
            pass
        api.delete_repo(repo)
        assert not api.repo_exists(repo)
        gone.set()
        assert set.union(*(answer.result() for answer in answers)) <= {200, 404}


def test_a_space_needs_a_known_sdk(http):
    assert http.post("/api/repos/create", json={"name": "no-sdk", "type": "space"}).status_code == 400
    assert http.post("/api/repos/create", json={"name": "sdk", "type": "space", "sdk": "php"}).status_code == 400


def test_what_cannot_be_created_is_said_clearly(http):
    for kind in ("kernel", "bucket"):
        answer = http.post("/api/repos/create", json={"name": "x", "type": kind})
        assert (answer.status_code, answer.headers["X-Error-Code"]) == (501, "NotImplemented")


def test_a_repo_is_born_with_files(api, http):
    """As the JavaScript client creates one."""

    def create(name: str, *files: dict, **more) -> int:
        wish = {"name": name, "organization": "rahim", "files": list(files), **more}
        content, headers = json.dumps(wish), {"Content-Type": "application/json"}
        return http.post("/api/repos/create", content=content, headers=headers).status_code

    name = uuid.uuid4().hex[:12]
    card = {"path": "README.md", "content": "IyDgppU=", "encoding": "base64"}
    assert create(name, card, {"path": "data/a.txt", "content": "ক"}, license="mit") == 200
    assert sorted(api.list_repo_files(f"rahim/{name}")) == [".gitattributes", "README.md", "data/a.txt"]
    assert http.get(f"/rahim/{name}/resolve/main/README.md").text == "# ক", "the card that came, not one of ours"
    assert len(api.list_repo_commits(f"rahim/{name}")) == 1

    pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{'0' * 64}\nsize 5\n"
    for status, file in (
        (422, {"path": "../x", "content": ""}),
        (422, {"path": ".git/config", "content": ""}),
        (400, {"path": "x", "content": "!", "encoding": "base64"}),
        (400, {"path": "x", "content": pointer}),
        (400, {"path": "x", "content": "", "encoding": "rot13"}),
        (400, {"path": "x"}),
        (400, {"path": 5, "content": ""}),
        (400, {"path": "x", "content": "\ud800"}),
    ):
        assert create(f"{name}-2", file) == status, file
    assert create(f"{name}-2", *({"path": str(i), "content": ""} for i in range(101))) == 400
    assert not api.repo_exists(f"rahim/{name}-2")
