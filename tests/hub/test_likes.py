"""Likes, the lists of people and repos beside them, and the tags that a search form offers."""

import uuid

import pytest
from huggingface_hub.errors import HfHubHTTPError, RepositoryNotFoundError

from utils.hub import accounts
from utils.hub.hub import Hub


@pytest.fixture
def like(hub):
    def send(who: str | None, repo: str, kind: str = "model") -> int:
        with hub.http(who) as http:
            return http.post(f"/api/{kind}s/{repo}/like").status_code

    return send


@pytest.mark.parametrize("kind", ["model", "dataset", "space"])
def test_a_like_is_given_once_and_taken_back(hub, new_repo, like, kind):
    repo = new_repo(kind)
    assert [like(who, repo, kind) for who in ("karim", "karim", "selim")] == [200, 200, 200]
    api = hub.api()
    assert api.repo_info(repo, repo_type=kind).likes == 2
    assert [user.username for user in api.list_repo_likers(repo, repo_type=kind)] == ["karim", "selim"]
    liked = hub.api("karim").list_liked_repos()
    assert repo in getattr(liked, f"{kind}s") and liked.user == "karim"
    for _ in range(2):
        hub.api("karim").unlike(repo, repo_type=kind)
    assert repo not in getattr(api.list_liked_repos("karim"), f"{kind}s")
    assert api.repo_info(repo, repo_type=kind).likes == 1


def test_the_most_liked_come_first(hub, api, like):
    word = "w" + uuid.uuid4().hex[:8]  # with a letter: YAML would read digits as a number
    repos = [api.create_repo(f"rahim/{word}-{number}").repo_id for number in range(3)]
    for who, repo in (("karim", repos[1]), ("selim", repos[1]), ("karim", repos[2])):
        assert like(who, repo) == 200
    found = list(hub.api().list_models(search=word, sort="likes"))
    assert [(row.id, row.likes) for row in found] == [(repos[1], 2), (repos[2], 1), (repos[0], 0)]


def test_who_may_like(hub, new_repo, like):
    repo, secret = new_repo(), new_repo(private=True)
    assert [like(None, repo), like("rahim, read-only", repo), like("karim", secret), like(None, secret)] == [
        401,
        403,
        404,
        404,
    ]
    with pytest.raises(HfHubHTTPError) as refused:
        hub.api("rahim, read-only").unlike(repo)
    assert refused.value.response.status_code == 403
    with pytest.raises(RepositoryNotFoundError):
        list(hub.api("karim").list_repo_likers(secret))


def test_likes_of_a_private_repo_are_seen_by_its_readers(hub, api, new_repo, like):
    repo = new_repo(owner="khulna")
    assert like("karim", repo) == like("selim", repo) == 200
    api.update_repo_settings(repo, private=True)
    seen = {who: repo in hub.api(who).list_liked_repos("selim").models for who in (None, "karim", "selim", "rahim")}
    assert seen == {None: False, "karim": False, "selim": True, "rahim": True}
    assert repo not in hub.api("karim").list_liked_repos("karim").models, "it was opened to him once, not now"
    api.delete_repo(repo)
    assert repo not in hub.api("selim").list_liked_repos("selim").models


def test_likers_come_in_pages(hub, repo):
    names = [f"fan-{uuid.uuid4().hex[:8]}" for _ in range(101)]
    own = Hub(hub.data)
    with own.db() as db:
        tokens = [accounts.add_token(db, accounts.add(db, name), "x") for name in names]
    own.close()
    with hub.http() as http:
        for token in tokens:
            http.post(f"/api/models/{repo}/like", headers={"Authorization": f"Bearer {token}"}).raise_for_status()
        first = http.get(f"/api/models/{repo}/likers")
    assert len(first.json()) == 100 and "next" in first.links
    assert {user.username for user in hub.api().list_repo_likers(repo)} == {*names}


def test_members_of_an_organisation(hub):
    members = {member.username: member for member in hub.api().list_organization_members("khulna")}
    assert {"rahim", "selim"} <= members.keys() and "karim" not in members
    assert members["rahim"].fullname == "rahim" and members["rahim"].user_type == "user"
    with pytest.raises(HfHubHTTPError) as missing:
        list(hub.api().list_organization_members("rahim"))
    assert missing.value.response.status_code == 404


def test_tags_are_those_of_visible_repos_by_type(hub, api, new_repo):
    mine, secret = (f"w{uuid.uuid4().hex[:8]}" for _ in range(2))

    def card(repo: str, kind: str, *lines: str) -> None:
        text = "\n".join(["---", *lines, "---"]).encode()
        api.upload_file(repo_id=repo, repo_type=kind, path_in_repo="README.md", path_or_fileobj=text)

    card(
        new_repo(),
        "model",
        f"library_name: lib-{mine}",
        f"pipeline_tag: task-{mine}",
        f"license: licence-{mine}",
        "language: [bn, 'no']",
        f"tags: [tag-{mine}]",
    )
    card(new_repo(private=True), "model", f"tags: [{secret}]")
    tags = hub.api().get_model_tags()
    found = {tag["id"]: (sort, tag["type"], tag["label"]) for sort, listed in tags.items() for tag in listed}
    assert found[f"lib-{mine}"] == ("library", "library", f"lib-{mine}")
    assert found[f"task-{mine}"] == ("pipeline_tag", "pipeline_tag", f"task-{mine}")
    assert found[f"license:licence-{mine}"] == ("license", "license", f"licence-{mine}")
    assert found["bn"][0] == found["no"][0] == "language"
    assert found[f"tag-{mine}"][0] == "other"
    assert secret not in found and f"license:licence-{mine}" not in str(hub.api().get_dataset_tags())

    card(new_repo("dataset"), "dataset", f"language: {mine}", f"size_categories: {mine}")
    tags = hub.api().get_dataset_tags()
    assert {"id": f"language:{mine}", "label": mine, "type": "language"} in tags["language"]
    assert {"id": f"size_categories:{mine}", "label": mine, "type": "size_categories"} in tags["size_categories"]
