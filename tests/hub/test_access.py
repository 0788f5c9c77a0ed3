"""Gated repos from refusal to file, tokens that reach no further than they say, and roles in an organisation."""

import uuid

import httpx
import pytest
from huggingface_hub import HfApi, hf_hub_download
from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, RepositoryNotFoundError

from utils.hub import accounts
from utils.hub.hub import Hub


def status(call, *arguments, **options) -> int:
    """The status of the refusal."""
    with pytest.raises(HfHubHTTPError) as refused:
        call(*arguments, **options)
    return refused.value.response.status_code


@pytest.fixture
def gated(api, new_repo):
    """Makes a gated repo of rahim's with one file."""

    def make(how: str, **options) -> str:
        repo = new_repo(**options)
        api.upload_file(repo_id=repo, path_in_repo="config.json", path_or_fileobj=b"{}", **options)
        api.update_repo_settings(repo, gated=how, **options)
        return repo

    return make


def ask(hub, who: str | None, repo: str, **form) -> httpx.Response:
    with hub.http(who) as http:
        return http.post(f"/{repo}/ask-access", data=form)


def download(hub, who: str | None, repo: str, folder) -> str:
    path = hf_hub_download(repo, "config.json", endpoint=hub.url, token=hub.api(who).token, cache_dir=folder)
    return open(path).read()


def test_refused_asked_granted_loaded(hub, api, gated, tmp_path):
    repo = gated("manual")
    for who, code in ((None, 401), ("karim", 403)):
        with pytest.raises(GatedRepoError) as refused:
            download(hub, who, repo, tmp_path / str(who))
        assert refused.value.response.status_code == code
    assert hub.api("karim").model_info(repo).gated == "manual", "what it is may be known"

    assert ask(hub, "karim", repo, affiliation="Khulna").json() == {"status": "pending"}
    with pytest.raises(GatedRepoError, match="awaiting a review"):
        download(hub, "karim", repo, tmp_path / "pending")
    [request] = api.list_pending_access_requests(repo)
    assert (request.username, request.status, request.fields) == ("karim", "pending", {"affiliation": "Khulna"})

    api.accept_access_request(repo, "karim")
    assert download(hub, "karim", repo, tmp_path / "accepted") == "{}"
    assert [r.username for r in api.list_accepted_access_requests(repo)] == ["karim"]
    assert list(api.list_pending_access_requests(repo)) == []


def test_the_owners_other_answers(hub, api, gated, tmp_path):
    repo = gated("manual")
    ask(hub, "karim", repo)
    [request] = api.list_pending_access_requests(repo)
    api.reject_access_request(repo, request_id=request.request_id, rejection_reason="homework first")
    with pytest.raises(GatedRepoError, match="rejected"):
        download(hub, "karim", repo, tmp_path)
    assert ask(hub, "karim", repo).json() == {"status": "rejected"}, "asking again changes nothing"
    api.cancel_access_request(repo, "karim")
    assert [r.username for r in api.list_pending_access_requests(repo)] == ["karim"]
    assert status(api.cancel_access_request, repo, "karim") == 404, "it is pending already"
    api.grant_access(repo, "selim")
    assert download(hub, "selim", repo, tmp_path / "selim") == "{}"
    assert status(api.grant_access, repo, "selim") == 400
    assert status(api.grant_access, repo, "nobody-here") == 404
    assert status(api.accept_access_request, repo, "teacher") == 404, "who never asked"


def test_auto_opens_at_once_and_only_to_those_who_ask(hub, gated, tmp_path):
    repo = gated("auto")
    assert ask(hub, None, repo).status_code == 401
    assert ask(hub, "karim", repo).json() == {"status": "accepted"}
    assert download(hub, "karim", repo, tmp_path) == "{}"
    with pytest.raises(GatedRepoError):
        download(hub, "selim", repo, tmp_path / "selim")


def test_a_gated_dataset_and_an_open_repo(hub, api, gated, new_repo):
    dataset = gated("manual", repo_type="dataset")
    assert ask(hub, "karim", f"datasets/{dataset}").json() == {"status": "pending"}
    api.accept_access_request(dataset, "karim", repo_type="dataset")
    hub.api("karim").auth_check(dataset, repo_type="dataset")
    repo = new_repo()
    assert ask(hub, "karim", repo).status_code == 400
    assert status(lambda: list(api.list_pending_access_requests(repo))) == 400


def test_only_its_writers_see_and_answer_requests(hub, gated):
    repo = gated("manual")
    ask(hub, "karim", repo)
    for who in ("karim", "rahim, read-only"):
        other = hub.api(who)
        assert status(lambda api=other: list(api.list_pending_access_requests(repo))) == 403
        assert status(other.accept_access_request, repo, "karim") == 403
        assert status(other.grant_access, repo, "karim") == 403


def test_every_way_to_the_files_is_gated(hub, gated, http):
    repo = gated("manual")
    http.post(f"/api/models/{repo}/tag/main", json={"tag": "v1"})
    with hub.http("karim") as karim:
        oid = {"operation": "download", "objects": [{"oid": "0" * 64, "size": 1}]}
        for answer in (
            karim.get(f"/{repo}/resolve/main/config.json"),
            karim.head(f"/{repo}/resolve/v1/config.json"),
            karim.get(f"/{repo}/raw/main/config.json"),
            karim.post(f"/{repo}.git/info/lfs/objects/batch", json=oid),
            karim.get(f"/api/models/{repo}/auth-check"),
        ):
            assert (answer.status_code, answer.headers["X-Error-Code"]) == (403, "GatedRepo"), answer.url


def test_auth_check(hub, api, new_repo):
    repo, secret = new_repo(), new_repo(private=True)
    api.auth_check(repo)
    api.auth_check(repo, write=True)
    hub.api().auth_check(repo)
    hub.api("karim").auth_check(repo)
    assert status(hub.api("karim").auth_check, repo, write=True) == 403
    assert status(hub.api().auth_check, repo, write=True) == 401
    with pytest.raises(RepositoryNotFoundError):
        hub.api("karim").auth_check(secret)


@pytest.fixture
def token(http):
    """Makes one more token of rahim's, as the form on its page does."""

    def make(role: str = "fineGrained", **form) -> str:
        form |= {"name": uuid.uuid4().hex, "role": role}
        answer = http.post("/settings/tokens", data=form)
        assert answer.status_code == 200, answer.text
        return answer.json()["token"]

    return make


def test_a_fine_grained_token_reaches_its_repo_only(hub, token, new_repo):
    mine, other = new_repo(private=True), new_repo(private=True)
    public = new_repo()
    reader = HfApi(endpoint=hub.url, token=token(place=mine))
    writer = HfApi(endpoint=hub.url, token=token(place=mine, write="1"))

    assert reader.model_info(mine).private and writer.model_info(mine).private
    assert reader.model_info(public).id == public, "what everybody reads it reads too"
    for api in (reader, writer):
        with pytest.raises(RepositoryNotFoundError):
            api.model_info(other)
        listed = {row.id for row in api.list_models(author="rahim")}
        assert mine in listed and public in listed and other not in listed
        assert status(api.upload_file, repo_id=public, path_in_repo="x", path_or_fileobj=b"x") == 403
        assert status(api.create_repo, f"rahim/{uuid.uuid4().hex}") == 403
    writer.upload_file(repo_id=mine, path_in_repo="x", path_or_fileobj=b"x")
    assert status(reader.upload_file, repo_id=mine, path_in_repo="x", path_or_fileobj=b"y") == 403
    assert status(reader.delete_repo, mine) == 403
    shown = writer.whoami()["auth"]["accessToken"]
    assert shown["role"] == "fineGrained"
    [scope] = shown["fineGrained"]["scoped"]
    assert scope["entity"] == {"type": "model", "name": mine} and "repo.write" in scope["permissions"]


def test_a_fine_grained_token_for_a_kind_and_for_a_namespace(hub, token, new_repo):
    dataset = new_repo("dataset", private=True)
    model = new_repo(private=True)
    one = HfApi(endpoint=hub.url, token=token(place=f"datasets/{dataset}"))
    assert one.dataset_info(dataset).private
    with pytest.raises(RepositoryNotFoundError):
        one.model_info(model)
    everything = HfApi(endpoint=hub.url, token=token(place="rahim", write="1"))
    assert everything.model_info(model).private and everything.dataset_info(dataset).private
    everything.delete_repo(everything.create_repo(f"rahim/{uuid.uuid4().hex}").repo_id)
    assert status(everything.create_repo, f"khulna/{uuid.uuid4().hex}") == 403


def test_a_token_makes_none_that_is_more_than_itself(hub, token):
    for weak in (token("read"), token(place="rahim", write="1")):
        with httpx.Client(base_url=hub.url, headers={"Authorization": f"Bearer {weak}"}, trust_env=False) as http:
            assert http.post("/settings/tokens", data={"name": "more", "role": "write"}).status_code == 403
            assert http.post("/settings/tokens/revoke", data={"name": "laptop"}).status_code == 403


def test_a_revoked_token_opens_nothing(hub, http, token, new_repo):
    repo = new_repo(private=True)
    name = uuid.uuid4().hex
    leaked = http.post("/settings/tokens", data={"name": name, "role": "write"}).json()["token"]
    thief = HfApi(endpoint=hub.url, token=leaked)
    assert thief.model_info(repo).private
    assert http.post("/settings/tokens/revoke", data={"name": name}).status_code == 200
    assert status(thief.whoami) == 401
    with pytest.raises(HfHubHTTPError):
        thief.model_info(repo)
    assert http.post("/settings/tokens/revoke", data={"name": name}).status_code == 404


@pytest.fixture(scope="module")
def org(hub) -> str:
    """An organisation where rahim rules, karim contributes and selim reads."""
    name = f"org-{uuid.uuid4().hex[:8]}"
    data = Hub(hub.data)
    with data.db() as db:
        college = accounts.add(db, name, kind="org")
        for who, role in (("rahim", "admin"), ("karim", "contributor"), ("selim", "read")):
            accounts.join(db, accounts.find(db, who), college, role)
    data.close()
    return name


def test_roles_in_an_organisation(hub, api, org):
    karim, selim = hub.api("karim"), hub.api("selim")
    theirs = api.create_repo(f"{org}/theirs", private=True).repo_id
    his = karim.create_repo(f"{org}/his", private=True).repo_id
    for who in (karim, selim):
        assert who.model_info(theirs).private and who.model_info(his).private
    assert status(selim.create_repo, f"{org}/no") == 403
    assert status(selim.upload_file, repo_id=theirs, path_in_repo="x", path_or_fileobj=b"x") == 403
    assert status(karim.upload_file, repo_id=theirs, path_in_repo="x", path_or_fileobj=b"x") == 403
    assert status(karim.delete_repo, theirs) == 403
    karim.upload_file(repo_id=his, path_in_repo="x", path_or_fileobj=b"x")
    api.upload_file(repo_id=his, path_in_repo="y", path_or_fileobj=b"y")
    karim.move_repo(his, f"{org}/still-his")
    karim.delete_repo(f"{org}/still-his")
    assert {o["name"]: o["roleInOrg"] for o in karim.whoami()["orgs"]}[org] == "contributor"
