"""Finding repos: by name, owner, tag, task; sorted, limited, page by page; and what a card can do to the Hub."""

import base64
import json
import time
import uuid
from itertools import islice
from urllib.parse import quote

import pytest
from huggingface_hub import CommitOperationAdd

CARDS = {
    "bangla-sentiment": ("model", {"language": "bn", "license": "mit", "pipeline_tag": "text-classification"}),
    "english-sentiment": (
        "model",
        {"language": ["en"], "license": "mit", "tags": ["sentiment"], "library_name": "peft"},
    ),
    "bangla_news": ("dataset", {"language": ["bn", "en"], "task_categories": ["summarization"], "pretty_name": "খবর"}),
    "demo": ("space", {"sdk": "gradio", "tags": ["demo"]}),
}


@pytest.fixture(scope="module")
def shelf(hub) -> str:
    """An owner with four repos of known cards."""
    from utils.hub import accounts
    from utils.hub.hub import Hub

    owner = f"shelf-{uuid.uuid4().hex[:8]}"
    data = Hub(hub.data)
    with data.db() as db:
        accounts.join(db, accounts.find(db, "rahim"), accounts.add(db, owner, kind="org"))
    data.close()
    api = hub.api("rahim")
    for name, (kind, card) in CARDS.items():
        repo = api.create_repo(
            f"{owner}/{name}", repo_type=kind, space_sdk="gradio" if kind == "space" else None
        ).repo_id
        readme = "---\n" + json.dumps(card, ensure_ascii=False) + "\n---\n# খবর\n"
        files = {"README.md": readme.encode()}
        if name == "bangla-sentiment":
            files["config.json"] = json.dumps({"model_type": "bert", "architectures": ["BertForMaskedLM"]}).encode()
            files["model.safetensors"] = b"\0weights"
            files["tokenizer_config.json"] = b'{"mask_token": {"content": "[MASK]"}}'
        adds = [CommitOperationAdd(path, content) for path, content in files.items()]
        api.create_commit(repo_id=repo, repo_type=kind, operations=adds, commit_message="card")
    return owner


def names(rows) -> list[str]:
    return [row.id.partition("/")[2] for row in rows]


def test_by_owner_and_kind(api, shelf):
    assert names(api.list_models(author=shelf, sort="created_at")) == ["english-sentiment", "bangla-sentiment"]
    assert names(api.list_datasets(author=shelf.upper())) == ["bangla_news"]
    assert names(api.list_spaces(author=shelf)) == ["demo"]
    assert names(api.list_models(author="nobody-at-all")) == []


def test_search(api, shelf):
    assert names(api.list_models(search=f"{shelf} BANGLA")) == ["bangla-sentiment"]
    assert set(names(api.list_models(search=f"sentiment {shelf}"))) == {"bangla-sentiment", "english-sentiment"}
    assert names(api.list_datasets(search=f"{shelf}/bangla_news")) == ["bangla_news"]
    for nothing in ("bangla%", "bangla-news", "খবর নাই", "'; drop table repos; --"):
        assert names(api.list_datasets(author=shelf, search=nothing)) == []


@pytest.mark.parametrize(
    ("wanted", "found"),
    {
        "bn": ["bangla-sentiment"],
        "language:bn": ["bangla-sentiment"],
        "license:mit": ["bangla-sentiment", "english-sentiment"],
        "bert": ["bangla-sentiment"],
        "safetensors": ["bangla-sentiment"],
        "text-classification": ["bangla-sentiment"],
        "peft": ["english-sentiment"],
        "sentiment": ["english-sentiment"],
        "BN": ["bangla-sentiment"],
        "fill-mask": [],
        "nothing": [],
    }.items(),
)
def test_by_tag(api, shelf, wanted, found):
    assert sorted(names(api.list_models(author=shelf, filter=wanted))) == found


def test_by_several_tags(api, shelf):
    assert names(api.list_models(author=shelf, filter=["license:mit", "peft"])) == ["english-sentiment"]
    assert names(api.list_models(author=shelf, pipeline_tag="text-classification")) == ["bangla-sentiment"]
    assert names(api.list_datasets(author=shelf, language="bn", task_categories="summarization")) == ["bangla_news"]
    assert names(api.list_spaces(author=shelf, filter="gradio")) == ["demo"]


def test_what_a_row_tells(api, shelf):
    [row] = api.list_models(author=shelf, search="bangla", full=True, cardData=True, fetch_config=True)
    info = api.model_info(f"{shelf}/bangla-sentiment")
    for shown in (row, info):
        assert (shown.pipeline_tag, shown.library_name) == ("text-classification", "transformers")
        assert shown.card_data.license == "mit" and shown.card_data.language == "bn"
        assert shown.tags == ["transformers", "safetensors", "bert", "text-classification", "bn", "license:mit"]
        assert shown.config["model_type"] == "bert"
        assert "model.safetensors" in [file.rfilename for file in shown.siblings]
        assert shown.sha == info.sha and shown.last_modified == info.last_modified
    assert info.mask_token == "[MASK]"
    [plain] = api.list_models(author=shelf, search="bangla")
    assert (plain.siblings, plain.card_data, plain.config) == (None, None, None)
    [expanded] = api.list_models(author=shelf, search="bangla", expand=["tags", "author"])
    assert (expanded.author, expanded.sha) == (shelf, None)


def test_sorted_and_limited(http, api, new_repo):
    stem = uuid.uuid4().hex[:10]
    repos = [api.create_repo(f"rahim/{stem}-{number}").repo_id for number in range(5)]
    assert [row.id for row in api.list_models(search=stem, sort="created_at")] == repos[::-1]
    assert [row.id for row in api.list_models(search=stem, sort="created_at", limit=2)] == repos[:2:-1]
    assert len(list(islice(api.list_models(limit=3), 10))) == 3
    while time.time() % 1 > 0.5:  # git's clock has whole seconds: two commits in one would tie
        time.sleep(0.01)
    time.sleep(1)
    api.upload_file(repo_id=repos[2], path_in_repo="x", path_or_fileobj=b"x")
    assert next(api.list_models(search=stem, sort="last_modified")).id == repos[2]

    up = http.get("/api/models", params={"search": stem, "sort": "createdAt", "direction": 1})
    assert [row["id"] for row in up.json()] == repos
    found, page = [], http.get("/api/models", params={"search": stem, "sort": "createdAt", "limit": 2, "filter": []})
    while True:
        found += [row["id"] for row in page.json()]
        if "next" not in page.links:
            break
        page = http.get(page.links["next"]["url"])
    assert found == repos[::-1]


def test_more_ways_to_sort(hub, api, http, shelf):
    """By name, by the likes of a month, by parameters: those that are not known come last."""

    def found(**query) -> list[str]:
        rows = http.get("/api/models", params={"author": shelf, **query}).json()
        return [row["id"].partition("/")[2] for row in rows]

    assert found(sort="id") == ["english-sentiment", "bangla-sentiment"]
    assert found(sort="id", direction=1) == ["bangla-sentiment", "english-sentiment"]
    header = b'{"w": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}'
    weights = len(header).to_bytes(8, "little") + header + bytes(8)
    api.upload_file(repo_id=f"{shelf}/english-sentiment", path_in_repo="model.safetensors", path_or_fileobj=weights)
    assert found(sort="num_parameters")[0] == "english-sentiment"
    hub.http("karim").post(f"/api/models/{shelf}/bangla-sentiment/like").raise_for_status()
    assert found(sort="likes30d")[0] == "bangla-sentiment"


@pytest.mark.parametrize(
    "query",
    ["sort=name", "limit=0", "limit=-1", "limit=x", "cursor=x", "cursor=-1", "direction=x", "full=perhaps"]
    + ["cursor=" + "9" * digits for digits in (30, 5000)]
    + ["search=" + "+".join("ab" * 5000), "&".join(["filter=x"] * 3000), "gated=2"],
)
def test_odd_queries_are_refused(stranger, query):
    answer = stranger.get(f"/api/models?{query}")
    assert answer.status_code == 400 and answer.headers["X-Error-Message"]


def test_more_repos_than_one_page_holds(hub, api, http):
    """Rows are put into the database of a Hub that runs: 1,100 real commits would only take longer."""
    from sqlalchemy import insert

    from utils.hub import accounts
    from utils.hub.hub import Hub
    from utils.hub.tables import Repo

    data = Hub(hub.data)
    with data.db() as db:
        owner = accounts.add(db, f"many-{uuid.uuid4().hex[:8]}", kind="org")
        rows = [
            {"kind": "dataset", "owner_id": owner.id, "name": f"n{i}", "folder": f"none-{owner.name}-{i}"}
            for i in range(1100)
        ]
        db.execute(insert(Repo), [row | {"key": f"{owner.key}/{row['name']}"} for row in rows])
    assert len(http.get(f"/api/datasets?author={owner.name}").json()) == 1000
    assert sorted(names(api.list_datasets(author=owner.name))) == sorted(f"n{i}" for i in range(1100))
    with data.db() as db:
        for repo in list(accounts.find(db, owner.name) and db.query(Repo).where(Repo.owner_id == owner.id)):
            db.delete(repo)
    data.close()


@pytest.fixture(scope="module")
def victim(hub) -> str:
    return hub.api("rahim").create_repo(f"rahim/{uuid.uuid4().hex[:12]}").repo_id


BOMB = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{chr(98 + i)}: &{chr(98 + i)} [{', '.join(['*' + chr(97 + i)] * 10)}]\n" for i in range(12)
)
CARD_ATTACKS = {
    "exponential": BOMB,
    "circular": "tags: &a [*a]",
    "deep": "x: " + "[" * 20_000,
    "deep mapping": "".join(" " * i + "a:\n" for i in range(2000)),
    "no date": "when: 2024-99-99",
    "infinite": "model-index: [{name: x, results: [{value: .nan}, {value: .inf}]}]",
    "odd keys": "? [a, b]\n: c\n2024-01-01: d\n1.5: e\nnull: f\ntrue: g",
    "many digits": "x: " + "9" * 10_000,
    "hexadecimal": "x: 0x" + "f" * 10_000,
    "half a letter": 'tags: ["\\ud800", "ok"]',
    "binary": "x: !!binary aGVsbG8=\nset: !!set {a, b}",
    "python": "x: !!python/object/apply:os.system ['true']",
    "no mapping": "- a\n- b",
    "odd tags": "tags: {a: 1}\nlanguage: [[bn]]\nlicense: {x: y}\npipeline_tag: 5\nlibrary_name: [x]\nbase_model: null",
    "control characters": 'tags: ["\\0", "\\x07"]',
    "large": "tags: [" + "x, " * 300_000 + "]",
    "many tags": "tags: [" + ", ".join(f"t{i}" for i in range(5000)) + "]",
}


@pytest.mark.parametrize("card", CARD_ATTACKS.values(), ids=CARD_ATTACKS)
def test_no_card_can_harm_the_hub(http, api, commit, victim, card):
    """Whatever stands in a card, the commit is taken, and the victim can be read, listed and mended."""
    readme = f"---\n{card}\n---\n"
    started = time.monotonic()
    assert http.post("/api/validate-yaml", json={"content": readme}).status_code in (200, 400)
    assert commit(victim, ("file", {"path": "README.md", "content": readme})).status_code == 200
    for path in (f"/api/models/{victim}", f"/api/models?search={victim}&full=1&cardData=1&expand[]=cardData"):
        answer = http.get(path)
        assert answer.status_code == 200 and len(answer.content) < 2_000_000
    assert commit(victim, ("file", {"path": "README.md", "content": "---\ntags: [mended]\n---\n"})).status_code == 200
    assert api.model_info(victim).tags == ["mended"]
    assert time.monotonic() - started < 20


@pytest.mark.parametrize("name", ["config.json", "tokenizer_config.json"])
@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b"nonsense",
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"model_type": ' + b"[" * 900 + b"]" * 900 + b"}",
        b'{"model_type": NaN, "architectures": Infinity, "mask_token": 1e999}',
        b'{"model_type": "\\ud800", "architectures": ["\\ud800"], "mask_token": "\\ud800"}',
        b'{"model_type": ' + b"9" * 5000 + b"}",
        b'{"model_type": {}, "architectures": "x", "mask_token": {"no": "content"}}',
        b'{"model_type": [], "architectures": [1, null], "mask_token": [], "quantization_config": "x"}',
        json.dumps({"model_type": "x" * 3_000_000, "chat_template": "y" * 3_000_000}).encode(),
    ],
    ids=range(12),
)
def test_no_config_can_harm_the_hub(http, commit, victim, name, content):
    operations = [("file", {"path": name, "content": base64.b64encode(content).decode(), "encoding": "base64"})]
    assert commit(victim, *operations).status_code == 200
    for path in (f"/api/models/{victim}", f"/api/models?search={quote(victim)}&full=1&config=1"):
        answer = http.get(path)
        assert answer.status_code == 200, answer.text[:200]


def test_cards_are_checked_before_they_are_sent(http):
    """As `metadata_load` and every push of a README ask first."""

    def check(card: str, kind: str = "model") -> tuple[int, list, list]:
        answer = http.post("/api/validate-yaml", json={"content": card, "repoType": kind})
        body = answer.json()
        return answer.status_code, body["errors"], body["warnings"]

    for right in (
        "license: mit\ntags: [a]",
        "tags: []\ndatasets:\nlicense:\nmetrics: f1",
        "license: [mit, apache-2.0]",
    ):
        assert check(f"---\n{right}\n---\n") == (200, [], [])
    assert check("# no card")[0::2] == (200, [{"message": "empty or missing yaml metadata in repo card"}])
    for wrong in ("tags: {a: b}", "license: 5", "model-index: 5", "a: b: c", "- x", "when: 2024-99-99"):
        status, errors, _ = check(f"---\n{wrong}\n---\n")
        assert status == 400 and errors[0]["message"]
    assert check("---\nsdk: php\n---\n", "space")[0] == 400
