"""JavaScript in a browser: what a page of another origin may ask of the Hub, and that it stays a stranger there."""

import pytest

ELSEWHERE = {"Origin": "https://somewhere.example"}
ALLOWED = "Access-Control-Allow-Origin"


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/api/models"),
        ("GET", "/api/models/{repo}/tree/main"),
        ("GET", "/{repo}/resolve/main/.gitattributes"),
        ("GET", "/{repo}/raw/refs%2Fheads%2Fmain/.gitattributes"),
        ("GET", "/datasets/{repo}/resolve/main/x"),
        ("POST", "/{repo}.git/info/lfs/objects/batch"),
        ("PUT", "/-/lfs/upload/x"),
        ("GET", "/-/xet/0/v1/reconstructions/x"),
        ("GET", "/api/nothing"),
    ],
)
def test_what_a_page_may_ask(stranger, untouched, method, path):
    path = path.format(repo=untouched)
    asks = {"Access-Control-Request-Method": method, "Access-Control-Request-Headers": "authorization,range,x-any"}
    asked = stranger.options(path, headers=ELSEWHERE | asks)
    assert asked.status_code == 200 and asked.headers[ALLOWED] == "*"
    assert method in asked.headers["Access-Control-Allow-Methods"]
    assert "authorization" in asked.headers["Access-Control-Allow-Headers"]
    answer = stranger.request(method, path, headers=ELSEWHERE)
    assert answer.headers[ALLOWED] == "*", "also where the answer is no"
    assert "X-Error-Message" in answer.headers["Access-Control-Expose-Headers"]
    for said in (asked, answer):
        assert "Access-Control-Allow-Credentials" not in said.headers
        assert "Access-Control-Allow-Private-Network" not in said.headers


@pytest.mark.parametrize(
    "path",
    ["/", "/login", "/join", "/logout", "/models", "/settings/tokens", "/{repo}", "/{repo}/ask-access"]
    + ["/{repo}/tree/main", "/-/health", "/-/lease/", "/-/font.ttf", "/%61pi/models", "/-/lfs/../health"]
    + ["/{repo}.git/git-receive-pack", "/{repo}.git/info/refs?service=git-upload-pack"],
)
def test_what_stays_the_hubs_own(stranger, untouched, path):
    path = path.format(repo=untouched)
    for method in ("GET", "POST"):
        assert ALLOWED not in stranger.request(method, path, headers=ELSEWHERE).headers
    asked = stranger.options(path, headers=ELSEWHERE | {"Access-Control-Request-Method": "POST"})
    assert ALLOWED not in asked.headers


def test_a_visitors_cookie_opens_nothing_to_it(hub, api, new_repo, stranger):
    """The API knows people by their token alone, whatever a browser sends along."""
    private = new_repo(private=True)
    api.upload_file(repo_id=private, path_in_repo="x", path_or_fileobj=b"x")
    login = stranger.post("/login", data={"token": api.token})
    assert login.status_code == 303 and stranger.cookies
    for path in (f"/api/models/{private}", f"/{private}/resolve/main/x", "/api/whoami-v2"):
        assert stranger.get(path, headers=ELSEWHERE).status_code in (401, 404)
        with hub.http("rahim") as by_token:
            assert by_token.get(path, headers=ELSEWHERE).status_code == 200
