"""What a browser sees of the Hub, and that nobody else's page can act in its visitor's name."""

import re
import uuid

import httpx
import pytest

HTML = {"Accept": "text/html,application/xhtml+xml"}


@pytest.fixture
def browser(hub):
    """A browser without login: HTML, cookies and an Origin, no Authorization."""
    with hub.http() as http:
        http.headers.update(HTML | {"Origin": hub.url})
        yield http


@pytest.fixture
def karims(browser):
    """The same after karim has logged in."""
    assert browser.post("/login", data={"token": "hf_karim_writes"}).status_code == 303
    return browser


def test_a_repos_page_is_where_its_url_says(api, browser, new_repo):
    repo = new_repo()
    api.upload_file(repo_id=repo, path_in_repo="README.md", path_or_fileobj="---\nlanguage: bn\n---\n# খবর".encode())
    shown = browser.get(f"/{repo}")
    assert shown.status_code == 200 and shown.headers["Content-Type"].startswith("text/html")
    assert repo in shown.text and "# খবর" in shown.text and "README.md" in shown.text
    assert repo in browser.get("/").text and repo in browser.get("/models").text and repo in browser.get("/rahim").text
    assert browser.get(f"/{repo}/tree/main").status_code == 200
    assert browser.get("/nobody/nothing").status_code == 404
    assert "এখানে কিছু নেই" in browser.get("/nobody/nothing").text


def test_programs_are_answered_as_programs(http):
    assert http.get("/").headers["Content-Type"].startswith("text/plain")
    assert http.get("/nobody/nothing").json()["error"] == "Repository not found"


def test_names_and_cards_are_text(hub, api, browser, new_repo):
    repo = new_repo()
    evil = '<script>alert("x")</script>'
    card = f"---\ntags: ['{evil}']\n---\n{evil}</pre><img src=x onerror=alert(1)>"
    api.upload_file(repo_id=repo, path_in_repo="README.md", path_or_fileobj=card.encode())
    api.upload_file(repo_id=repo, path_in_repo='"><svg onload=alert(1)>', path_or_fileobj=b"x")
    shown = browser.get(f"/{repo}")
    assert not re.search(r"<script|<img|<svg", shown.text)
    policy = shown.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy and "script-src" not in policy


def test_a_discussion_where_its_url_says(hub, api, browser, new_repo):
    repo = new_repo()
    opened = api.create_pull_request(repo, title="আরও data", description="<b>দেখো</b>")
    shown = browser.get(opened.url.removeprefix(hub.url))
    assert shown.status_code == 200 and "আরও data" in shown.text and "&lt;b&gt;দেখো" in shown.text
    assert f'href="/{repo}/discussions/{opened.num}"' in browser.get(f"/{repo}").text
    assert browser.get(f"/{repo}/discussions/9").status_code == 404


def test_private_repos_are_seen_by_their_members_only(browser, new_repo):
    secret = new_repo(private=True)
    absent = f"/rahim/{uuid.uuid4().hex[:12]}"
    assert secret not in browser.get("/rahim").text
    assert browser.get(f"/{secret}").text == browser.get(absent).text
    assert browser.get(f"/{secret}").status_code == 404
    browser.post("/login", data={"token": "hf_rahim_writes"})
    assert secret in browser.get(f"/{secret}").text and secret in browser.get("/rahim").text
    browser.post("/logout")
    assert browser.get(f"/{secret}").status_code == 404


def test_asking_for_a_gated_repo_on_its_page(api, karims, new_repo):
    repo = new_repo()
    api.update_repo_settings(repo, gated="manual")
    assert f'action="/{repo}/ask-access"' in karims.get(f"/{repo}").text
    answer = karims.post(f"/{repo}/ask-access")
    assert (answer.status_code, answer.headers["Location"]) == (303, f"/{repo}")
    assert "মালিক এখনো দেখেনি" in karims.get(f"/{repo}").text
    api.accept_access_request(repo, "karim")
    assert "তোমার অনুমতি আছে" in karims.get(f"/{repo}").text


def test_the_cookie_opens_pages_only(karims):
    """A page of another origin can make the browser send it: the API must not act on it."""
    cookie = next(iter(karims.cookies.jar))
    assert cookie.has_nonstandard_attr("HttpOnly") and cookie.get_nonstandard_attr("SameSite") == "strict"
    assert "hf_karim" not in cookie.value
    assert karims.get("/api/whoami-v2", headers={"Accept": "*/*"}).status_code == 401
    created = karims.post("/api/repos/create", json={"name": "mine"}, headers={"Accept": "*/*"})
    assert created.status_code == 401


def test_forms_of_other_pages_do_nothing(hub, api, karims, new_repo):
    repo = new_repo()
    api.update_repo_settings(repo, gated="auto")
    for origin in ("http://evil.example", "null", hub.url.rsplit(":", 1)[0] + ":1"):
        for path, form in (
            (f"/{repo}/ask-access", {}),
            ("/settings/tokens", {"name": "stolen", "role": "write"}),
            ("/settings/tokens/revoke", {"name": "laptop"}),
            ("/login", {"token": "hf_rahim_writes"}),
            ("/logout", {}),
        ):
            assert karims.post(path, data=form, headers={"Origin": origin}).status_code == 403, (origin, path)
    assert "stolen" not in karims.get("/settings/tokens").text and "laptop" in karims.get("/settings/tokens").text
    assert list(api.list_accepted_access_requests(repo)) == []


def test_a_token_made_and_revoked_on_the_page(hub, karims):
    name = uuid.uuid4().hex
    made = karims.post("/settings/tokens", data={"name": name, "role": "write"})
    token = re.search(r"hf_[A-Za-z0-9]{34}", made.text)[0]
    with httpx.Client(base_url=hub.url, headers={"Authorization": f"Bearer {token}"}, trust_env=False) as http:
        assert http.get("/api/whoami-v2").json()["name"] == "karim"
        assert token not in karims.get("/settings/tokens").text and name in karims.get("/settings/tokens").text
        assert karims.post("/settings/tokens/revoke", data={"name": name}).status_code == 303
        assert http.get("/api/whoami-v2").status_code == 401


def test_a_revoked_token_logs_its_browser_out(hub, browser):
    with hub.http("karim") as http:
        token = http.post("/settings/tokens", data={"name": uuid.uuid4().hex, "role": "write"}).json()["token"]
        name = http.get("/settings/tokens").json()[-1]["name"]
        browser.post("/login", data={"token": token})
        assert browser.get("/settings/tokens").status_code == 200
        http.post("/settings/tokens/revoke", data={"name": name})
    assert browser.get("/settings/tokens").status_code == 401


def test_joining_only_where_it_is_open(hub, browser, tmp_path):
    assert browser.get("/join").status_code == 403
    assert browser.post("/join", data={"name": "mina"}).status_code == 403
    open_hub = type(hub).start(tmp_path / "data", "--join")
    with open_hub.http() as http:
        joined = http.post("/join", data={"name": "mina"}).json()
        assert http.post("/join", data={"name": "Mina"}).status_code == 409
        assert http.post("/join", data={"name": "settings"}).status_code == 400
        http.headers.update(HTML | {"Origin": open_hub.url})
        assert "রাখো" in http.post("/join", data={"name": "tara"}).text
        assert "tara" in http.get("/").text, "logged in"
        http.cookies.clear()
        me = http.get("/api/whoami-v2", headers={"Authorization": f"Bearer {joined['token']}", "Accept": "*/*"})
        assert me.json()["name"] == "mina"
    open_hub.stop()
