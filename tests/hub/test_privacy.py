"""A private repo does not exist for strangers, and a read-only token changes nothing, on every route there is.

The routes are asked of the Hub itself (its OpenAPI description), so that a new one cannot be forgotten here.
"""

import itertools
import uuid
from dataclasses import dataclass

import httpx
import pytest
from huggingface_hub import CommitOperationAdd
from huggingface_hub.errors import RepositoryNotFoundError

KINDS = ("models", "datasets", "spaces")
# What the routes' other parameters and their bodies are: valid ones, so that nothing else is the reason to refuse.
SLOTS = {"revision": "main", "branch": "dev", "tag": "v1", "path": "folder", "status": "pending"}
SLOTS |= {"num": "1", "event_id": "0" * 24, "task": "fill-mask", "log": "run"}
# What everybody who may read a repo, and has a token that writes, may do in it.
FOR_READERS = ("/ask-access", "/discussions", "/objects/batch", "/like", "/duplicate")
# What changes nothing, though it is a POST: asking a model needs no token that writes.
ONLY_ASKS = ("paths-info", "/chat/completions", "/pipeline/")
# Refusals by which a repo shows that it was found.
MEANT_FOR_OTHERS = ("is not gated", "Comment not found", "has no pipeline_tag", "its card says None")
MEANT_FOR_OTHERS += ("nor put to sleep",)
NDJSON = b'{"key": "header", "value": {"summary": "x"}}\n{"key": "file", "value": {"path": "x", "content": "x"}}\n'
BODIES = {
    "preupload": {"json": {"files": [{"path": "x", "size": 1, "sample": ""}]}},
    "commit": {"content": NDJSON},
    "lfs-files/batch": {"json": {"deletions": {"sha": ["0" * 64]}}},
    "lfs-files/duplicate": {"json": {"target": {"type": "model", "name": "rahim/other"}, "files": []}},
    "duplicate": {"json": {"repository": "rahim/copy"}},
    "super-squash": {"json": {"message": "x"}},
    "batch": {"json": {"operation": "download", "objects": [{"oid": "0" * 64, "size": 1}]}},
    "user-access-request/handle": {"json": {"user": "karim", "status": "accepted"}},
    "user-access-request/grant": {"json": {"user": "karim"}},
    "comment/0": {"json": {"content": "x"}},
    "comment": {"json": {"comment": "x"}},
    "title": {"json": {"title": "Another title"}},
    "status": {"json": {"status": "closed"}},
    "discussions": {"json": {"title": "A question"}},
    "settings": {"json": {"private": False}},
    "tag": {"json": {"tag": "v2"}},
    "branch": {"json": {}},
    "secrets": {"json": {"key": "A", "value": "x"}},
    "variables": {"json": {"key": "A", "value": "x"}},
    "sleeptime": {"json": {"seconds": 1}},
    "hardware": {"json": {"flavor": "cpu-basic"}},
    "paths-info": {"data": {"paths": ["README.md"]}},
    "v1/chat/completions": {"json": {"messages": [{"role": "user", "content": "x"}]}},
    "models/{repo}": {"json": {"inputs": "x"}},
}


@dataclass(frozen=True)
class Route:
    """One method of one route, for one kind of repo."""

    method: str
    path: str  # with {repo}

    def __str__(self) -> str:
        return f"{self.method} {self.path}"

    @property
    def body(self) -> dict:
        return next((body for name, body in BODIES.items() if f"/{name}" in self.path), {})

    @property
    def asks(self) -> bool:
        return self.path == "/models/{repo}" or any(verb in self.path for verb in ONLY_ASKS)

    def send(self, http: httpx.Client, repo: str, **body) -> httpx.Response:
        return http.request(self.method, self.path.replace("{repo}", repo), **(body or self.body))


@pytest.fixture(scope="module")
def routes(hub) -> list[Route]:
    """All that concern one repo."""
    with hub.http() as http:
        described = http.get("/openapi.json").json()["paths"]
    found = [Route("GET", f"/api/{kind}/{{repo}}/not-served") for kind in KINDS]  # what no other route serves
    for path, methods in described.items():
        if "{repo}" not in path:
            continue
        for slot, value in SLOTS.items():
            path = path.replace(f"{{{slot}}}", value)
        for kind, method in itertools.product(KINDS if "{kind}" in path else [""], methods):
            found.append(Route(method.upper(), path.replace("{kind}", kind)))
    return found


KIND_OF = {"datasets": "dataset", "spaces": "space"}


def kind_of(route: Route) -> str:
    return next((kind for name, kind in KIND_OF.items() if name in route.path.split("/")[:3]), "model")


@pytest.fixture(scope="module")
def repos(hub) -> dict[tuple[str, bool], str]:
    """(kind, private) → a repo of rahim's with a small and a large file and a tag."""
    api = hub.api("rahim")
    made = {}
    for kind, private in itertools.product(("model", "dataset", "space"), (True, False)):
        repo = f"rahim/{'secret' if private else 'open'}-{uuid.uuid4().hex[:8]}"
        api.create_repo(repo, repo_type=kind, private=private, space_sdk="static" if kind == "space" else None)
        files = {"README.md": b"---\nlicense: mit\n---\n", "folder/x": b"x", "weights.bin": b"\0" + repo.encode()}
        adds = [CommitOperationAdd(path, content) for path, content in files.items()]
        api.create_commit(repo_id=repo, repo_type=kind, operations=adds, commit_message="files")
        api.create_tag(repo, repo_type=kind, tag="v1")
        api.create_pull_request(repo, repo_type=kind, title="A draft")
        made[kind, private] = repo
    return made


@pytest.fixture(scope="module")
def callers(hub):
    """Who asks → plain HTTP with that person's token."""
    clients = {who: hub.http(who) for who in (None, "rahim", "rahim, read-only", "karim", "selim")}
    yield clients
    for client in clients.values():
        client.close()


def told(answer: httpx.Response, repo: str) -> tuple:
    """All that an answer tells, but for the name that was asked for."""
    headers = {name: value for name, value in answer.headers.items() if name not in ("x-request-id", "date")}
    return answer.status_code, {name: value.replace(repo, "…") for name, value in headers.items()}, answer.content


def test_the_description_covers_the_protocol(routes):
    """Should the way in which routes are found here ever miss them, the tests below would pass for nothing."""
    assert len(routes) > 50
    verbs = {route.path.replace("{repo}", "r").split("/r/")[-1].split("/")[0] for route in routes}
    assert {"resolve", "raw", "tree", "commits", "refs", "revision", "commit", "preupload", "settings"} <= verbs
    assert any(".git/info/lfs/objects/batch" in route.path for route in routes)


def test_a_private_repo_is_no_repo_to_strangers(callers, repos, routes):
    """The answers for a private repo and for none at all are the same to the last byte."""
    for route, who in itertools.product(routes, (None, "karim", "selim")):
        secret = repos[kind_of(route), True]
        nothing = secret.replace("secret", "absent")
        answer = route.send(callers[who], secret)
        assert told(answer, secret) == told(route.send(callers[who], nothing), nothing), route
        expected = (501, "NotImplemented") if "not-served" in route.path else (404, "RepoNotFound")
        if who is None and "/objects/batch" in route.path:
            expected = (401, None)  # git-lfs has a token, and waits to be asked for it
        assert (answer.status_code, answer.headers.get("X-Error-Code")) == expected, route


def test_its_owner_finds_it(callers, repos, routes):
    """The counterpart: the requests above are right ones, it is only the caller who was not."""
    for route in routes:
        if route.method == "DELETE" or "/settings" in route.path or "/lfs-files/duplicate" in route.path:
            continue  # would change what the other tests use, or needs one more; test_refs, _repos and _copies do this
        answer = route.send(callers["rahim"], repos[kind_of(route), True])
        assert (
            answer.status_code in (200, 409, 501)
            or answer.headers.get("X-Error-Code") == "EntryNotFound"
            or answer.headers["X-Error-Message"].endswith(MEANT_FOR_OTHERS)
        ), route


@pytest.mark.parametrize("who", [None, "karim"])
def test_private_repos_are_not_listed(hub, repos, who):
    everything = [
        row.id for kind in ("models", "datasets", "spaces") for row in getattr(hub.api(who), f"list_{kind}")()
    ]
    for (_, private), repo in repos.items():
        assert (repo in everything) == (not private)
    for query in ({"author": "rahim"}, {"search": "secret"}, {"search": repos["model", True]}):
        assert not any("secret" in row.id for row in hub.api(who).list_models(**query))
    assert repos["model", True] in [row.id for row in hub.api("rahim").list_models(author="rahim")]
    assert repos["model", True] in [row.id for row in hub.api("teacher").list_models(author="rahim")]


def test_a_former_id_tells_nothing_either(hub, api, new_repo, stranger):
    """A redirect would tell that the repo is there, and what it is called now."""
    repo = new_repo(private=True)
    api.move_repo(repo, f"{repo}-hidden")
    assert api.model_info(repo).id == f"{repo}-hidden"
    for path in (f"/api/models/{repo}", f"/{repo}/resolve/main/README.md", f"/api/models/{repo}/tree/main"):
        answer = stranger.get(path)
        assert (answer.status_code, answer.headers["X-Error-Code"]) == (404, "RepoNotFound")
    with pytest.raises(RepositoryNotFoundError):
        hub.api("karim").model_info(repo)


def test_members_read_their_organisations_private_repos(hub):
    api = hub.api("rahim")
    repo = api.create_repo("khulna/internal", private=True).repo_id
    assert hub.api("selim").model_info(repo).private
    assert repo in [row.id for row in hub.api("selim").list_models(author="khulna")]
    with pytest.raises(RepositoryNotFoundError):
        hub.api("karim").model_info(repo)
    with hub.http("selim") as http:
        assert http.put(f"/api/models/{repo}/settings", json={"private": False}).status_code == 403
    api.delete_repo(repo)


def test_a_repo_that_turns_private_is_gone_at_once(hub, api, new_repo, stranger):
    repo = new_repo()
    assert stranger.get(f"/api/models/{repo}").status_code == 200
    api.update_repo_settings(repo, private=True)
    assert stranger.get(f"/api/models/{repo}").status_code == 404
    api.update_repo_settings(repo, private=False)
    assert stranger.get(f"/api/models/{repo}").status_code == 200


def test_only_its_writers_change_a_repo(callers, repos, routes):
    upload = {"json": {"operation": "upload", "objects": [{"oid": "0" * 64, "size": 1}]}}

    def state() -> list[str]:
        paths = [
            f"/api/{kind}s/{repos[kind, False]}{more}"
            for kind in ("model", "dataset", "space")
            for more in ("", "/refs")
        ]
        return [callers[None].get(path).text for path in paths]

    before = state()
    for route in routes:
        if route.method in ("GET", "HEAD") or route.asks:
            continue
        refused = {None: 401, "rahim, read-only": 403}
        if not any(verb in route.path for verb in FOR_READERS):
            refused |= {"karim": 403, "selim": 403}
        for who, status in refused.items():
            answer = route.send(
                callers[who], repos[kind_of(route), False], **(upload if "/objects/batch" in route.path else {})
            )
            assert answer.status_code == status and answer.headers["X-Error-Message"], route
    assert state() == before


def test_a_read_only_token_neither_creates_nor_deletes_nor_renames(hub, repos):
    repo = repos["model", False]
    namespace, name = repo.split("/")
    requests = {
        "/api/repos/create": ("POST", {"name": "new", "type": "model"}),
        "/api/repos/delete": ("DELETE", {"name": name, "organization": namespace, "type": "model"}),
        "/api/repos/move": ("POST", {"fromRepo": repo, "toRepo": f"{repo}-2", "type": "model"}),
    }
    for who, status in ((None, 401), ("rahim, read-only", 403)):
        with hub.http(who) as http:
            for path, (method, body) in requests.items():
                assert http.request(method, path, json=body).status_code == status, path
    assert hub.api("rahim, read-only").model_info(repos["model", True]).private, "it does read"
    assert not hub.api("rahim").repo_exists("rahim/new")


def test_strangers_cannot_tell_private_repos_by_deleting_or_renaming(hub, repos):
    secret = repos["model", True]
    absent = secret.replace("secret", "absent")
    with hub.http("karim") as http:
        answers = []
        for repo in (secret, absent):
            namespace, name = repo.split("/")
            delete = http.request("DELETE", "/api/repos/delete", json={"name": name, "organization": namespace})
            move = http.post("/api/repos/move", json={"fromRepo": repo, "toRepo": "karim/mine"})
            answers.append((told(delete, repo), told(move, repo)))
    assert answers[0] == answers[1] and answers[0][0][0] == 404
