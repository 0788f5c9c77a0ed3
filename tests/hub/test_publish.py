"""`pathshala hub publish`: starter repos carried to another Hub, with their history, once and whole."""

import shutil
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import pytest
from click.testing import Result
from huggingface_hub import HfApi, constants, set_client_factory
from huggingface_hub.errors import HfHubHTTPError, RepositoryNotFoundError
from huggingface_hub.utils._http import default_client_factory
from sqlalchemy.orm import Session
from typer.testing import CliRunner

from tests.hub.conftest import TOKENS, RunningHub
from utils.hub import accounts
from utils.hub.cli import app
from utils.hub.hub import Hub
from utils.hub.publish import Sent, Starter, publish, starters
from utils.hub.remote import Refused, client, files, identity

HISTORY = """
models/pioneers/first:
  commits: [v0.8, v0.9]
  tags: [v1.0, 714eb0f]
datasets/pioneers/news:
  gated: manual
"""
FILES = {
    "models/pioneers/first/README.md": b"---\nlanguage: bn\n---\n",
    "models/pioneers/first/config.json": b"{}",
    "models/pioneers/first/model.safetensors": b"\0today's weights",
    "models/pioneers/first/.history/v0.8/model.safetensors": b"\0oldest weights",
    "models/pioneers/first/.history/v0.9/model.safetensors": b"\0older weights",
    "datasets/pioneers/news/data/train.csv": b"text\n",
    "spaces/pioneers/page/README.md": b"---\nsdk: static\n---\n",
    "spaces/pioneers/page/index.html": b"<p>page</p>",
}


@pytest.fixture
def root(tmp_path) -> Path:
    """Starters of the test's own."""
    for path, content in FILES.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_bytes(content)
    (tmp_path / "history.yml").write_text(HISTORY)
    return tmp_path


@pytest.fixture
def first(root) -> Starter:
    return starters(["pioneers/first"], root)[0]


@contextmanager
def accounts_of(hub: RunningHub) -> Iterator[Session]:
    here = Hub(hub.data)
    with here.db() as db:
        yield db
    here.engine.dispose()


@pytest.fixture
def place(hub) -> str:
    """A namespace of its own: an organisation in which rahim may write, made at a running Hub."""
    name = f"org-{uuid.uuid4().hex[:8]}"
    with accounts_of(hub) as db:
        accounts.join(db, accounts.find(db, "rahim"), accounts.add(db, name, kind="org"), "write")
    return name


class CutOff(Exception):
    """Where the process is killed: the client itself would try again what the network lost."""


class Wire:
    """Every request that the client sends in this process; one of the changing ones can be made to fail."""

    def __init__(self):
        self.sent: list[httpx2.Request] = []
        self.fails_at: int | None = None

    @property
    def changes(self) -> list[httpx2.Request]:
        return [request for request in self.sent if request.method not in ("GET", "HEAD")]

    def note(self, request: httpx2.Request) -> None:
        if request.method not in ("GET", "HEAD") and len(self.changes) == self.fails_at:
            raise CutOff
        self.sent.append(request)


@pytest.fixture
def wire() -> Iterator[Wire]:
    wire = Wire()

    def factory() -> httpx2.Client:
        made = default_client_factory()
        made.event_hooks = {**made.event_hooks, "request": [*made.event_hooks["request"], wire.note]}
        return made

    set_client_factory(factory)
    yield wire
    set_client_factory(default_client_factory)


def command(*words: str) -> Result:
    return CliRunner().invoke(app, ["publish", *words])


def sent_by(hub: RunningHub, place: str, *words: str) -> Result:
    return command("--to", hub.url, "--namespace", place, "--token", TOKENS["rahim"], *words)


def contents(api: HfApi, kind: str, repo_id: str, revision: str = "main") -> dict[str, str]:
    return {path: identity(file) for path, file in files(api, kind, repo_id, revision).items()}


def shape(api: HfApi, repo_id: str) -> tuple:
    """A repo's history: the titles, and for main and each tag what it holds."""
    tags = sorted(ref.name for ref in api.list_repo_refs(repo_id).tags)
    titles = [commit.title for commit in api.list_repo_commits(repo_id)]
    return titles, {revision: contents(api, "model", repo_id, revision) for revision in ("main", *tags)}


def test_the_course_s_starters_arrive_as_they_are_and_only_once(hub, api, place, wire):
    done = sent_by(hub, place)
    assert done.exit_code == 0, done.output
    for starter in starters():
        owner, name = starter.folder.parent.name, starter.folder.name
        here, there = f"{owner}/{name}", f"{place}/{name}"
        assert contents(api, starter.kind, there) == contents(api, starter.kind, here), name
        tags = [
            {ref.name: contents(api, starter.kind, repo, ref.name) for ref in refs}
            for repo in (here, there)
            for refs in [api.list_repo_refs(repo, repo_type=starter.kind).tags]
        ]
        assert tags[0] == tags[1], name
        assert f"✓ {starter.name} → {there}: নতুন repo" in done.stdout
    assert wire.changes
    wire.sent.clear()
    again = sent_by(hub, place)
    assert again.exit_code == 0 and again.stdout.count("আগে থেকেই ঠিক আছে") == len(starters()), again.output
    assert wire.sent and not wire.changes, "the second time nothing is sent"


def test_earlier_states_come_first_each_with_its_tag(api, place, first):
    sent = publish(api, first, place)
    sizes = [content for path, content in FILES.items() if "pioneers/first" in path]
    repo = f"{place}/first"
    assert sent == Sent(repo, True, None, files=5, bytes=sum(map(len, sizes)), tags=["v0.8", "v0.9", "v1.0", "714eb0f"])
    titles, held = shape(api, repo)
    assert titles == ["Upload files", "Version v0.9", "Version v0.8", "initial commit"]
    assert held["main"] == held["v1.0"] == held["714eb0f"]
    weights = {tag: api.hf_hub_download(repo, "model.safetensors", revision=tag) for tag in ("v0.8", "v0.9", "v1.0")}
    read = [Path(path).read_bytes() for path in weights.values()]
    assert read == [b"\0oldest weights", b"\0older weights", b"\0today's weights"]
    assert ".history" not in str(held)


@pytest.mark.slow
def test_wherever_it_is_cut_off_the_next_run_mends_it(api, place, first, wire):
    publish(api, first, place)
    whole, steps = shape(api, f"{place}/first"), len(wire.changes)
    assert steps > 8, "repo, weights, commits and tags are steps of their own"
    for step in range(steps):
        other = f"{place}/first-{step}"
        folder = first.folder.with_name(f"first-{step}")
        shutil.copytree(first.folder, folder)
        cut = Starter(first.kind, folder, None, first.states)
        wire.sent.clear()
        wire.fails_at = step
        with pytest.raises((CutOff, RuntimeError)):
            publish(api, cut, place)
        wire.fails_at = None
        assert publish(api, cut, place), f"step {step} was not cut off"
        assert shape(api, other) == whole, f"cut off at step {step}"
        assert not publish(api, cut, place)


def test_a_changed_starter_sends_what_changed_and_moves_no_tag(api, place, first, root, wire):
    publish(api, first, place)
    before = shape(api, f"{place}/first")[1]
    (first.folder / "README.md").write_bytes(b"---\nlanguage: bn\n---\nmore\n")
    (root / "history.yml").write_text(HISTORY.replace("714eb0f]", "v1.1]"))
    newer = starters(["first"], root)[0]
    wire.sent.clear()
    sent = publish(api, newer, place)
    assert sent == Sent(f"{place}/first", False, None, files=1, bytes=26, tags=["v1.1"], left=["v1.0"])
    paths = [request.url.path for request in wire.changes]
    assert sum("/commit/" in path for path in paths) == sum("/tag" in path for path in paths) == 1
    assert not any("lfs" in path for path in paths), "no weights"
    held = shape(api, f"{place}/first")[1]
    assert held["v1.1"] == held["main"] != before["main"]
    assert {tag: held[tag] for tag in before if tag != "main"} == {tag: before[tag] for tag in before if tag != "main"}
    again = publish(api, newer, place)
    assert not again and again.left == ["v1.0"], "it is said again, and nothing is done"


def test_one_that_fails_stops_none_of_the_others(hub, api, place):
    name = "distilbert-base-uncased-finetuned-sst-2-english"
    hub.api("teacher").create_repo(f"{place}/{name}")
    with accounts_of(hub) as db:
        accounts.join(db, accounts.find(db, "rahim"), accounts.find(db, place), "contributor")
    done = sent_by(hub, place, name, "sentiment-bn")
    assert done.exit_code == 1
    assert f"✗ distilbert/{name}: এই token এর ওখানে" in done.stderr and "2টা repo র 1টা হয়নি" in done.stderr
    assert "model.safetensors" in contents(api, "model", f"{place}/sentiment-bn")
    assert list(contents(api, "model", f"{place}/{name}")) == [".gitattributes"]


def test_gated_and_spaces_and_private(api, place, root):
    news, page = starters(["datasets/pioneers/news", "page"], root)
    assert publish(api, news, place, private=True).gated == "manual"
    info = api.dataset_info(f"{place}/news")
    assert (info.gated, info.private) == ("manual", True)
    assert not publish(api, news, place)
    assert publish(api, page, place).is_new and api.space_info(f"{place}/page").sdk == "static"
    assert not api.space_info(f"{place}/page").private


def test_a_dry_run_says_it_and_sends_nothing(hub, api, place, wire):
    done = sent_by(hub, place, "sentiment-bn", "--dry-run")
    assert done.exit_code == 0 and not wire.changes, done.output
    said = f"? pathshala/sentiment-bn → {place}/sentiment-bn: নতুন repo"
    assert said in done.stdout and "কিছু পাঠানো হয়নি" in done.stdout
    with pytest.raises(RepositoryNotFoundError):
        api.model_info(f"{place}/sentiment-bn")
    really = sent_by(hub, place, "sentiment-bn")
    assert really.stdout.splitlines()[0] == done.stdout.splitlines()[0].replace("?", "✓")


def test_two_that_would_be_one(root):
    shutil.copytree(root / "models/pioneers/first", root / "models/others/First")
    with pytest.raises(Refused, match="একসঙ্গে থাকতে পারে না"):
        starters(None, root)
    assert [starter.name for starter in starters(["others/First"], root)] == ["others/First"]


def test_a_token_goes_to_its_own_hub_only(hub, place, wire, monkeypatch):
    """HF_TOKEN is the one of the Hub that HF_ENDPOINT names: another one does not get to see it."""
    monkeypatch.setenv("HF_TOKEN", TOKENS["rahim"])
    words = ("--to", hub.url, "--namespace", place, "bangla-qa")
    done = command(*words)
    assert done.exit_code == 2 and f"HF_ENDPOINT={hub.url} hf auth login" in done.stderr and not wire.sent
    monkeypatch.setattr(constants, "ENDPOINT", hub.url)
    assert command(*words).exit_code == 0
    monkeypatch.delenv("HF_TOKEN")
    assert command(*words).exit_code == 2
    assert client("https://huggingface.co/").endpoint == "https://huggingface.co"


@pytest.mark.parametrize(
    ("words", "status", "sentence"),
    [
        (lambda hub: ["--to", hub.url, "--token", "hf_nobody"], 2, "token টা ওই Hub চেনে না"),
        (lambda hub: ["--to", "http://127.0.0.1:9", "--token", "hf_x"], 2, "Hub এ পৌঁছানো গেল না"),
        (lambda hub: ["--to", hub.url, "--token", TOKENS["rahim"], "no-such"], 2, "no-such নামে শুরুর কোনো repo নেই"),
        (lambda hub: ["--to", hub.url, "--token", TOKENS["selim"], "bangla-qa"], 1, "অনুমতি নেই"),
    ],
    ids=["a wrong token", "no network", "no such starter", "no right to write"],
)
def test_what_goes_wrong_is_said_in_one_line(hub, words: Callable, status: int, sentence: str):
    done = command("--namespace", "khulna", *words(hub))
    assert done.exit_code == status and sentence in done.stderr, done.output
    assert not isinstance(done.exception, (HfHubHTTPError, OSError)) and "Traceback" not in done.output
