"""Who calls: tokens, users, organisations, and what the Hub keeps of a token."""

import base64

import pytest
from huggingface_hub.errors import HfHubHTTPError, RepositoryNotFoundError
from typer.testing import CliRunner

from utils.hub.cli import app


def test_whoami_tells_the_person_the_organisations_and_the_token(hub):
    me = hub.api("rahim").whoami()
    assert (me["type"], me["name"]) == ("user", "rahim")
    assert ("khulna", "Khulna College", "write") in [(o["name"], o["fullname"], o["roleInOrg"]) for o in me["orgs"]]
    assert me["auth"]["accessToken"]["role"] == "write"
    assert hub.api("rahim, read-only").whoami()["auth"]["accessToken"]["role"] == "read"


def test_overviews_of_people_and_organisations(hub, stranger):
    user = hub.api().get_user_overview("RAHIM")
    assert user.username == "rahim" and "khulna" in [org.name for org in user.orgs]
    assert hub.api().get_organization_overview("khulna").fullname == "Khulna College"
    assert stranger.get("/api/users/khulna/overview").status_code == 404
    assert stranger.get("/api/organizations/rahim/overview").status_code == 404


def test_a_wrong_token_is_told_from_a_missing_repo(hub, repo):
    """The client reads this very sentence: without it a 401 would pass for "repository not found"."""
    api = hub.api()
    for call in (lambda: api.whoami(token="hf_wrong"), lambda: api.model_info(repo, token="hf_wrong")):
        with pytest.raises(HfHubHTTPError) as refused:
            call()
        assert not isinstance(refused.value, RepositoryNotFoundError)
        assert refused.value.response.status_code == 401
        assert refused.value.response.headers["X-Error-Message"] == "Invalid credentials in Authorization header"


@pytest.mark.parametrize(
    ("header", "status"),
    {
        "Bearer hf_rahim_writes": 200,
        "bearer hf_rahim_writes": 200,
        "Basic " + base64.b64encode(b"rahim:hf_rahim_writes").decode(): 200,
        "Basic " + base64.b64encode(b"anything:hf_rahim_writes").decode(): 200,
        "Basic " + base64.b64encode(b"rahim:hf_wrong").decode(): 401,
        "Basic " + base64.b64encode(b"no colon").decode(): 401,
        "Basic " + base64.b64encode("রহিম:\ufffd".encode()).decode(): 401,
        "Basic " + base64.b64encode(b"\xff\xfe:\xff").decode(): 401,
        "Basic not-base64!": 401,
        "Basic": 401,
        "Bearer": 401,
        "Bearer \xff\xfe": 401,
        "Bearer hf_rahim_writes extra": 401,
        "Digest username=rahim": 401,
        "": 401,
    }.items(),
)
def test_every_kind_of_authorization_header(stranger, header, status):
    answer = stranger.get("/api/whoami-v2", headers={"Authorization": header.encode("latin-1")})
    assert answer.status_code == status
    assert answer.json()["name" if status == 200 else "error"]


def test_tokens_are_kept_as_hashes_only(hub, http, stranger):
    """Neither the database with its journal, nor a repo, nor the log holds a token that was used."""
    assert http.get("/api/whoami-v2").status_code == 200
    assert stranger.get("/api/whoami-v2", headers={"Authorization": "Bearer hf_rahim_writes?"}).status_code == 401
    files = [path for path in hub.data.rglob("*") if path.is_file()] + [hub.log]
    assert {"hub.db", "hub.db-wal"} <= {path.name for path in files}
    for path in files:
        content = path.read_bytes()
        for token in (b"hf_rahim_writes", b"hf_rahim_reads", b"hf_karim_writes"):
            assert token not in content, path


def test_the_data_folder_is_its_owners_alone(hub):
    """It holds the secret that signs download links, and the private repos."""
    assert hub.data.stat().st_mode & 0o077 == 0


def test_people_are_added_while_the_hub_runs(hub):
    """And a mistake is answered in words: the name is taken, the organisation does not exist."""
    data = ("--data", str(hub.data))

    def add(*arguments: str, what: str = "user"):
        return CliRunner().invoke(app, [what, "add", *arguments, *data])

    assert add("jessore", "--private-by-default", what="org").stdout == "jessore\n"
    added = add("nasrin", "--token", "hf_nasrin", "--org", "jessore")
    assert (added.exit_code, added.stdout) == (0, "hf_nasrin\n")
    api = hub.api()
    me = api.whoami(token="hf_nasrin")
    assert [org["name"] for org in me["orgs"]] == ["jessore"]
    api.create_repo("jessore/born-private", token="hf_nasrin")
    assert api.model_info("jessore/born-private", token="hf_nasrin").private

    for arguments, words in {
        ("Rahim",): "already taken",
        ("../rahim",): "Invalid name",
        ("api",): "Invalid name",
        ("selina", "--org", "nowhere"): "nowhere নামে কোনো organisation নেই",
        ("selina", "--token", "hf_nasrin"): "token already exists",
    }.items():
        refused = add(*arguments)
        assert (refused.exit_code, refused.stdout) == (1, "")
        assert words in refused.stderr and "Traceback" not in refused.stderr
    assert add("selina").stdout.startswith("hf_"), "a refused name stays free"
