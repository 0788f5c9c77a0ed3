"""Collections: made, changed, filled and emptied, and what of them a stranger sees."""

import re
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest
from huggingface_hub.errors import HfHubHTTPError


@pytest.fixture
def title() -> str:
    return f"Bangla NLP {uuid.uuid4().hex[:8]}"


def refused(status: int, said: str = ""):
    def check(error: HfHubHTTPError) -> bool:
        answer = error.response
        return answer.status_code == status and said in answer.headers["X-Error-Message"]

    return pytest.raises(HfHubHTTPError, check=check)


def test_a_collection_lives(hub, api, title):
    made = api.create_collection(title, description="তিনটা model", private=True)
    assert re.fullmatch(r"rahim/bangla-nlp-[0-9a-f]{8}-[0-9a-f]{24}", made.slug)
    assert (made.title, made.description, made.private, made.items) == (title, "তিনটা model", True, [])
    assert made.url == f"{hub.url}/collections/{made.slug}" and made.owner["name"] == "rahim"

    changed = api.update_collection_metadata(made.slug, title=f"{title} 2", description="", private=False, theme="pink")
    assert changed.slug[-24:] == made.slug[-24:] and changed.slug != made.slug
    assert (changed.title, changed.description, changed.private, changed.theme) == (f"{title} 2", None, False, "pink")
    for slug in (made.slug, changed.slug, f"RAHIM/{made.slug[-24:]}", f"rahim/শিরোনাম-{made.slug[-24:]}"):
        assert hub.api().get_collection(slug).title == f"{title} 2", "the title in the slug does not count"

    api.delete_collection(made.slug)
    with refused(404, "Collection not found"):
        api.get_collection(made.slug)
    with refused(404):
        api.delete_collection(made.slug)
    api.delete_collection(made.slug, missing_ok=True)


def test_a_title_in_bangla_has_a_slug_too(api):
    made = api.create_collection("আমার সংগ্রহ", exists_ok=True)
    assert re.fullmatch("rahim/[0-9a-f]{24}", made.slug) and api.get_collection(made.slug).title == "আমার সংগ্রহ"


def test_an_existing_one_is_told_by_its_slug(api, title):
    made = api.create_collection(title)
    with refused(409, made.slug):
        api.create_collection(title)
    assert api.create_collection(title, exists_ok=True).slug == made.slug
    assert [c.slug for c in api.list_collections(owner="rahim")].count(made.slug) == 1


def test_items(hub, api, new_repo, title):
    slug = api.create_collection(title).slug
    repos = [(new_repo(kind), kind) for kind in ("model", "dataset", "space")]
    for repo, kind in repos:
        api.add_collection_item(slug, repo, kind, note=f"a {kind} <b>")
    inner = api.create_collection(f"{title} inner").slug
    filled = api.add_collection_item(slug, inner, "collection")
    assert [(i.item_id, i.item_type, i.position) for i in filled.items] == [
        *((repo, kind, position) for position, (repo, kind) in enumerate(repos)),
        (inner, "collection", 3),
    ]
    assert [item.note for item in filled.items] == ["a model <b>", "a dataset <b>", "a space <b>", None]

    with refused(409, "already"):
        api.add_collection_item(slug, repos[0][0].upper(), "model")
    assert len(api.add_collection_item(slug, repos[0][0], "model", exists_ok=True).items) == 4
    api.update_collection_item(slug, filled.items[3].item_object_id, position=0, note="first")
    api.update_collection_item(slug, filled.items[0].item_object_id, note="")
    api.delete_collection_item(slug, filled.items[1].item_object_id)
    api.delete_collection_item(slug, filled.items[1].item_object_id, missing_ok=True)
    with refused(404):
        api.delete_collection_item(slug, filled.items[1].item_object_id)
    left = hub.api().get_collection(slug).items
    assert [(i.item_id, i.position, i.note) for i in left] == [
        (inner, 0, "first"),
        (repos[0][0], 1, None),
        (repos[2][0], 2, "a space <b>"),
    ]
    api.move_repo(repos[0][0], f"{repos[0][0]}-renamed")
    api.delete_repo(repos[2][0], repo_type="space")
    api.delete_collection(inner)
    assert [item.item_id for item in api.get_collection(slug).items] == [f"{repos[0][0]}-renamed"]


def test_an_item_says_what_it_is(api, http, repo, title):
    """The client's function has no default for the type; a plain request that leaves it out is told so."""
    slug = api.create_collection(title).slug
    answer = http.post(f"/api/collections/{slug}/items", json={"item": {"id": repo}})
    assert answer.status_code == 400
    assert answer.json()["error"] == (
        'The item has no "type": say what it is, one of model, dataset, space, collection'
    )
    for kind in ("paper", "bucket"):
        with refused(501, f"does not serve {kind}s in collections"):
            api.add_collection_item(slug, "2307.09288", kind)
    with refused(400, "Invalid item type 'models'"):
        api.add_collection_item(slug, repo, "models")
    with refused(404, "Repository not found"):
        api.add_collection_item(slug, repo, "dataset")
    with refused(400, "cannot hold itself"):
        api.add_collection_item(slug, slug, "collection")
    assert api.add_collection_item(slug, f"models/{repo}", "model").items[0].item_id == repo


def test_what_a_stranger_sees(hub, api, new_repo, title):
    secret, open_repo = new_repo(private=True), new_repo()
    public, private = api.create_collection(title), api.create_collection(f"{title} hidden", private=True)
    for slug in (public.slug, private.slug):
        api.add_collection_item(slug, secret, "model")
        api.add_collection_item(slug, open_repo, "model")
    api.add_collection_item(public.slug, private.slug, "collection")
    for who in (None, "karim", "selim"):
        stranger = hub.api(who)
        assert [(i.item_id, i.position) for i in stranger.get_collection(public.slug).items] == [(open_repo, 0)]
        listed = list(stranger.list_collections(owner="rahim"))
        assert private.slug not in [c.slug for c in listed]
        assert secret not in str(listed) and private.slug not in str(listed)
        assert list(stranger.list_collections(item=f"models/{secret}")) == []
        assert [c.slug for c in stranger.list_collections(item=f"models/{open_repo}")] == [public.slug]
        with refused(404, "Collection not found"):
            stranger.get_collection(private.slug)
    assert {c.slug for c in api.list_collections(item=f"models/{secret}")} == {public.slug, private.slug}
    assert hub.api("rahim, read-only").get_collection(private.slug).private
    with refused(404, "Repository not found"):
        hub.api("karim").add_collection_item(hub.api("karim").create_collection(title).slug, secret, "model")
    with refused(404, "Collection not found"):
        hub.api("karim").add_collection_item(
            hub.api("karim").create_collection(title, exists_ok=True).slug, private.slug, "collection"
        )


@pytest.mark.parametrize(("who", "status"), [(None, 401), ("rahim, read-only", 403), ("karim", 403), ("selim", 403)])
def test_only_its_owner_changes_it(hub, api, repo, title, who, status):
    slug = api.create_collection(title).slug
    item = api.add_collection_item(slug, repo, "model").items[0].item_object_id
    hidden = api.create_collection(f"{title} hidden", private=True).slug
    requests = [
        ("PATCH", "", {"title": "mine"}),
        ("DELETE", "", None),
        ("POST", "/items", {"item": {"id": repo, "type": "model"}}),
        ("PATCH", f"/items/{item}", {"note": "x"}),
        ("DELETE", f"/items/{item}", None),
    ]
    with hub.http(who) as http:
        for method, path, body in requests:
            assert http.request(method, f"/api/collections/{slug}{path}", json=body).status_code == status
            answer = http.request(method, f"/api/collections/{hidden}{path}", json=body)
            if who in (None, "karim", "selim"):
                absent = http.request(method, f"/api/collections/rahim/{'0' * 24}{path}", json=body)
                assert (answer.status_code, answer.text) == (absent.status_code, absent.text)
                assert answer.status_code in (401, 404)
        made = http.post("/api/collections", json={"title": title, "namespace": "rahim"})
        assert made.status_code == status
    assert api.get_collection(slug).title == title and len(api.get_collection(slug).items) == 1


def test_an_organisations_collections(hub, api, new_repo, title):
    slug = api.create_collection(title, namespace="khulna", private=True).slug
    api.add_collection_item(slug, new_repo(owner="khulna", private=True), "model")
    assert len(hub.api("selim").get_collection(slug).items) == 1
    with refused(403):
        hub.api("selim").update_collection_metadata(slug, title="x")
    with refused(404):
        hub.api("karim").get_collection(slug)


def test_listings(hub, api, new_repo, title):
    org = "khulna"
    repos = [new_repo() for _ in range(6)]
    made = [api.create_collection(f"{title} {number}", namespace=org) for number in range(3)]
    for repo in repos:
        api.add_collection_item(made[0].slug, repo, "model")

    def titles(**query) -> list[str]:
        return [c.title for c in hub.api().list_collections(**query) if c.title.startswith(title)]

    assert titles(owner=org) == [c.title for c in made]
    api.update_collection_metadata(made[2].slug, position=0)
    assert titles(owner=org) == [made[2].title, made[0].title, made[1].title]
    assert titles(owner=[org, "rahim"], sort="lastModified")[0] == made[2].title, "changed last"
    [first] = [c for c in hub.api().list_collections(owner=org) if c.slug == made[0].slug]
    assert [item.item_id for item in first.items] == repos[:4], "four of the six, as the client's documentation says"
    assert len(hub.api().get_collection(made[0].slug).items) == 6
    assert titles(item=[f"models/{repos[5]}", "papers/2307.09288"]) == [made[0].title]
    with hub.http() as http:
        for words, found in ((f"{title} 1".upper(), [made[1].title]), (f"{title}%1", []), ("x" * 200, [])):
            assert [row["title"] for row in http.get("/api/collections", params={"q": words}).json()] == found
        assert http.get("/api/collections", params={"q": "x" * 201}).status_code == 400
        page = http.get("/api/collections", params={"owner": org, "limit": 2})
        assert len(page.json()) == 2 and len(http.get(page.links["next"]["url"]).json()) >= 1
    assert len(list(hub.api().list_collections(owner=org, limit=2))) == 2


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("", {"title": ""}),
        ("", {"title": " "}),
        ("", {"title": "x" * 151}),
        ("", {"title": 7}),
        ("", {"description": "x" * 151}),
        ("", {"position": -1}),
        ("", {"position": 10**30}),
        ("", {"theme": "no such"}),
        ("", {"private": "perhaps"}),
        ("", []),
        ("/items", {"item": "x"}),
        ("/items", {"item": {"type": "model"}}),
        ("/items", {"item": {"id": "x" * 301, "type": "model"}}),
        ("/items", {"item": {"id": "rahim/x", "type": "model"}, "note": "x" * 501}),
    ],
)
def test_malformed_requests_are_refused(api, http, path, body):
    slug = api.create_collection("to be refused", exists_ok=True).slug
    answer = http.request("POST" if path else "PATCH", f"/api/collections/{slug}{path}", json=body)
    assert answer.status_code == 400 and answer.headers["X-Error-Message"]


@pytest.mark.parametrize("slug", ["x", "rahim/x", "rahim/" + "g" * 24, "rahim/x/y", "%00/%2F", "rahim/-" + "0" * 24])
def test_slugs_that_are_none(api, http, slug):
    assert http.get(f"/api/collections/{slug}").status_code == 404
    assert http.delete(f"/api/collections/{slug}/items/{'f' * 24}").status_code == 404


def test_two_at_once_are_one(hub, title):
    """The title is looked for after the row is written: of several clients one makes the collection."""
    with ThreadPoolExecutor(4) as pool:
        slugs = {*pool.map(lambda _: hub.api("rahim").create_collection(title, exists_ok=True).slug, range(4))}
    assert len(slugs) == 1
