"""`pathshala hub mirror`: repos of another Hub brought here, pinned, once, whatever breaks off in between."""

import hashlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest
from click.testing import Result
from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi
from huggingface_hub.errors import RepositoryNotFoundError
from typer.testing import CliRunner

from tests.hub.conftest import PATHSHALA, TOKENS, MortalHub
from tests.hub.test_faults import assert_whole, wait_for
from utils.hub.birth import STARTERS
from utils.hub.cli import app
from utils.hub.git import GitRepo
from utils.hub.objects import ObjectStore
from utils.hub.remote import files

FILES = {
    "README.md": b"---\nlanguage: bn\n---\n",
    "config.json": b'{"model_type": "bert"}',
    "onnx/config.json": b"{}",
    "model.safetensors": b"\0weights" * 50_000,
    "onnx/model.onnx": b"\0graph" * 50_000,
    "old/model.safetensors": b"\0weights" * 50_000,
}
SAME = {"model.safetensors", "old/model.safetensors"}  # one content


class Way(ThreadingHTTPServer):
    """The way to the other Hub: it notes what is asked for, and can hold an answer back."""

    daemon_threads = True

    def __init__(self, url: str):
        self.there = httpx.Client(base_url=url, timeout=60, trust_env=False)
        self.asked: list[str] = []
        self.held, self.reached, self.free = "", threading.Event(), threading.Event()
        super().__init__(("127.0.0.1", 0), Passage)
        self.url = f"http://127.0.0.1:{self.server_port}"
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def handle_error(self, *_args: object) -> None:
        """Who asked is gone."""

    @property
    def fetched(self) -> list[str]:
        """The files whose bytes were asked for since the last look."""
        lines, self.asked = self.asked, []
        return sorted(
            line.partition("/resolve/")[2].partition("/")[2]
            for line in lines
            if line.startswith("GET /") and "/resolve/" in line
        )


class Passage(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Way

    def do_GET(self) -> None:
        way = self.server
        way.asked.append(f"{self.command} {self.path}")
        if way.held and self.command == "GET" and self.path.endswith(way.held):
            way.reached.set()
            way.free.wait(60)
        headers = {name: value for name, value in self.headers.items() if name.lower() != "accept-encoding"}
        answer = way.there.request(self.command, self.path, headers=headers | {"accept-encoding": "identity"})
        self.send_response(answer.status_code)
        for name, value in answer.headers.items():
            if name.lower() not in ("transfer-encoding", "connection", "content-length", "date", "server"):
                self.send_header(name, value)
        self.send_header("Content-Length", answer.headers.get("content-length", str(len(answer.content))))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(answer.content)

    do_HEAD = do_GET

    def log_message(self, *_args: object) -> None:
        pass


@pytest.fixture
def way(hub) -> Iterator[Way]:
    way = Way(hub.url)
    yield way
    way.free.set()
    way.shutdown()
    way.server_close()


@pytest.fixture
def source(api, repo) -> str:
    """A repo of rahim's at the other Hub."""
    push(api, repo, FILES)
    return repo


@pytest.fixture
def here(mortal_hub) -> MortalHub:
    """The Hub that repos are brought to: it does not run."""
    mortal_hub.stop()
    return mortal_hub


def push(api: HfApi, repo: str, files: dict[str, bytes | None], kind: str = "model") -> str:
    operations = [
        CommitOperationDelete(path) if content is None else CommitOperationAdd(path, content)
        for path, content in files.items()
    ]
    return api.create_commit(repo, operations, commit_message="push", repo_type=kind).oid


def mirror(way: Way | str, data: Path, *words: str) -> Result:
    url = way if isinstance(way, str) else way.url
    return CliRunner().invoke(app, ["mirror", *words, "--from", url, "--data", str(data)])


def contents(api: HfApi, repo: str, revision: str = "main", kind: str = "model") -> dict[str, str]:
    """Path → git id."""
    return {path: file.blob_id for path, file in files(api, kind, repo, revision).items()}


def titles(api: HfApi, repo: str) -> list[str]:
    return [commit.title for commit in api.list_repo_commits(repo)]


def read(api: HfApi, repo: str, path: str, revision: str) -> bytes:
    return Path(api.hf_hub_download(repo, path, revision=revision)).read_bytes()


def test_a_repo_comes_whole_once_and_then_what_is_new(api, way, source, here):
    first = api.model_info(source).sha
    done = mirror(way, here.data, source)
    assert done.exit_code == 0 and f"↓ {source}@{first}: 7টা file" in done.stdout, done.output
    fetched = way.fetched
    assert len(fetched) == 6 and len(SAME & {*fetched}) == 1, "the same content is fetched once"
    again = mirror(way, here.data, f"{source}@{first}")
    assert again.exit_code == 0 and f"✓ {source}: আগে থেকেই আছে" in again.stdout and way.fetched == []

    newer = {"README.md": b"# newer\n", "config.json": None, "onnx/config.json": None, "onnx/config.json/a.txt": b"a"}
    last = push(api, source, newer)
    assert mirror(way, here.data, source).exit_code == 0
    assert way.fetched == ["README.md", "onnx/config.json/a.txt"], "weights that are here are not fetched again"

    assert not (here.data / "mirror").exists()
    assert_whole(here.data)
    here.start()
    mine = here.api()
    assert titles(mine, source) == [f"Mirror {source}@{last}", f"Mirror {source}@{first}", "initial commit"]
    for revision in (first, last):
        assert contents(mine, source, revision) == contents(api, source, revision)
        assert read(mine, source, "README.md", revision) == read(api, source, "README.md", revision)
    assert contents(mine, source) == contents(api, source)
    assert read(mine, source, "old/model.safetensors", first) == FILES["model.safetensors"]


def test_killed_in_the_middle_it_goes_on_where_it_was(api, way, source, here, tmp_path):
    way.held = "onnx/model.onnx"
    environment = {**os.environ, "HF_HOME": str(tmp_path / "home")}
    command = [PATHSHALA, "hub", "mirror", source, "--from", way.url, "--data", here.data]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        assert way.reached.wait(60)
        blobs = here.data / "mirror" / f"models--{source.replace('/', '--')}"
        weights = hashlib.sha256(FILES["model.safetensors"]).hexdigest()
        wait_for(lambda: list(blobs.rglob(f"blobs/{weights}")), "the other large file comes")
        wait_for(lambda: list(blobs.glob("models--*/snapshots/*/config.json")), "the small ones come")
    finally:
        process.kill()
        process.wait()
    way.held = ""
    way.free.set()
    before = {*way.fetched}
    assert "onnx/model.onnx" in before and SAME & before
    here.start()
    with pytest.raises(RepositoryNotFoundError):
        here.api().model_info(source)
    here.stop()

    done = subprocess.run(command, env=environment, capture_output=True, encoding="utf-8")
    assert done.returncode == 0, done.stderr
    fetched = {*way.fetched}
    assert "onnx/model.onnx" in fetched and not (SAME | {"config.json"}) & fetched
    assert not (here.data / "mirror").exists()
    assert_whole(here.data)
    here.start()
    assert contents(here.api(), source) == contents(api, source)


@pytest.mark.parametrize("where", ["a large file is taken over", "the tag is set"])
def test_cut_off_here_it_is_mended(where, api, way, source, here, monkeypatch):
    """The large files that were taken over are not fetched again, and no commit is made twice."""
    owner, name = (ObjectStore, "adopt") if "large" in where else (GitRepo, "put")
    whole = getattr(owner, name)

    def cut(*args: object) -> None:
        if "large" in where:
            whole(*args)
        monkeypatch.setattr(owner, name, whole)
        raise OSError(28, "No space left on device")

    assert mirror(way, here.data, source, "--include", "README.md").exit_code == 0  # a repo that is there already
    newest = push(api, source, {"README.md": b"newest"})
    way.asked.clear()
    monkeypatch.setattr(owner, name, cut)
    done = mirror(way, here.data, source)
    assert done.exit_code == 1 and "disk ভরে গেছে" in done.stderr, done.output
    fetched = {*way.fetched}
    assert "onnx/model.onnx" in fetched and SAME & fetched
    assert mirror(way, here.data, source).exit_code == 0
    assert not (SAME | {"onnx/model.onnx"}) & {*way.fetched}
    here.start()
    assert contents(here.api(), source) == contents(here.api(), source, newest) == contents(api, source)
    assert titles(here.api(), source).count(f"Mirror {source}@{newest}") == 1
    here.stop()
    assert_whole(here.data)


def test_what_comes_spoilt_is_not_taken(api, way, source, here, monkeypatch):
    """A disk may damage what an earlier run downloaded: it is fetched anew."""
    whole = ObjectStore.adopt

    def cut(*_args: object) -> None:
        monkeypatch.setattr(ObjectStore, "adopt", whole)
        raise OSError("cut off")

    monkeypatch.setattr(ObjectStore, "adopt", cut)
    assert mirror(way, here.data, source).exit_code == 1
    for path in ("config.json", "onnx/model.onnx"):
        (found,) = here.data.glob(f"mirror/*/models--*/snapshots/*/{path}")
        found.write_bytes(b"\1" * len(FILES[path]))
    for path in ("onnx/model.onnx", "config.json"):
        done = mirror(way, here.data, source)
        assert done.exit_code == 1 and f"{path} নষ্ট হয়ে এসেছে" in done.stderr, done.output
    way.asked.clear()
    assert mirror(way, here.data, source).exit_code == 0
    assert way.fetched == ["config.json"]
    here.start()
    assert contents(here.api(), source) == contents(api, source)


def test_patterns_choose_and_can_be_widened(api, way, source, here):
    first = api.model_info(source).sha
    assert mirror(way, here.data, source, "--include", "*.json", "--exclude", "onnx/*").exit_code == 0
    assert way.fetched == ["config.json"]
    newer = push(api, source, {"config.json": b'{"newer": 1}'})
    assert mirror(way, here.data, source, "--include", "config.json").exit_code == 0
    wider = mirror(way, here.data, f"{source}@{first}", "--include", "README.md")
    assert "এসে গেছে" in wider.stdout and way.fetched == ["README.md", "config.json"]
    for pattern in ("README.md", "*.json"):
        narrow = mirror(way, here.data, f"{source}@{first}", "--include", pattern, "--exclude", "onnx/*")
        assert "আগে থেকেই আছে" in narrow.stdout, narrow.output
    nothing = mirror(way, here.data, source, "--include", "*.bin")
    assert nothing.exit_code == 1 and "একটা file ও মেলেনি" in nothing.stderr
    here.start()
    mine = here.api()
    assert {*contents(mine, source, newer)} == {".gitattributes", "config.json"}
    assert {*contents(mine, source, first)} == {".gitattributes", "config.json", "README.md"}
    assert read(mine, source, "config.json", first) == FILES["config.json"]
    assert read(mine, source, "config.json", newer) == b'{"newer": 1}'


def test_datasets_branches_and_who_may_see_them(api, way, here, new_repo, hub):
    news = new_repo("dataset", private=True)
    api.create_branch(news, branch="v2", repo_type="dataset")
    api.create_commit(
        news, [CommitOperationAdd("a.csv", b"text\n")], commit_message="v2", repo_type="dataset", revision="v2"
    )
    place = f"datasets/{news}@v2"
    refused = mirror(way, here.data, place)
    assert refused.exit_code == 1 and "private হলে --token লাগবে" in refused.stderr
    assert mirror(way, here.data, place, "--token", TOKENS["rahim"]).exit_code == 0
    gated = new_repo()
    push(api, gated, {"a.txt": b"a"})
    api.update_repo_settings(gated, gated="manual")
    refused = mirror(way, here.data, gated, "--token", TOKENS["karim"])
    assert refused.exit_code == 1 and "repo টা gated" in refused.stderr, refused.output
    api.grant_access(gated, "karim")
    assert mirror(way, here.data, gated, "--token", TOKENS["karim"]).exit_code == 0
    here.start()
    teacher = here.api("teacher")
    info = teacher.dataset_info(news)
    assert info.private and [file.rfilename for file in info.siblings] == [".gitattributes", "a.csv"]
    assert teacher.model_info(gated).gated == "manual"
    with pytest.raises(RepositoryNotFoundError):
        here.api("karim").dataset_info(news)


def test_never_while_a_hub_serves_the_data(way, source, mortal_hub):
    with mortal_hub.http() as http:
        http.get("/-/health").raise_for_status()
    done = mirror(way, mortal_hub.data, source)
    assert done.exit_code == 1 and "একটা Hub চলছে" in done.stderr and not way.asked, done.output


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["rahim/no-such"], "এই নামে কিছু পাওয়া যায়নি"),
        (["a/b/c"], "OWNER/NAME বা datasets/OWNER/NAME"),
        (["{source}@no-such"], "এই revision ওখানে নেই"),
        (["{source}", "--from", "http://127.0.0.1:9"], "Hub এ পৌঁছানো গেল না"),
    ],
    ids=["absent", "no name", "no revision", "no network"],
)
def test_what_goes_wrong_is_said_in_one_line_and_the_others_come(words, sentence, way, source, here):
    words = [word.format(source=source) for word in words]
    done = CliRunner().invoke(app, ["mirror", "--from", way.url, "--data", str(here.data), source, *words])
    assert done.exit_code == 1 and sentence in done.stderr and "Traceback" not in done.output, done.output
    if "--from" not in words:
        assert f"✓ {source}: এসে গেছে" in done.stdout and "2টা repo র 1টা আসেনি" in done.stderr


@pytest.fixture
def pinned(api, repo, way, here) -> tuple[str, str]:
    """A model that was mirrored to the running Hub `here`, and the commit that it was at the other one."""
    folder = STARTERS / "models/pathshala/sentiment-bn"
    commit = push(api, repo, {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()})
    assert mirror(way, here.data, f"{repo}@{commit}").exit_code == 0
    here.start()
    return repo, commit


@pytest.mark.slow
def test_a_pinned_model_loads(pinned, here, tmp_path):
    """In transformers, with `revision=` the other Hub's commit, and no other Hub but this."""
    script = (
        "import sys, transformers as t\n"
        "pipe = t.pipeline('text-classification', sys.argv[1], revision=sys.argv[2])\n"
        "print(pipe('বইটা দারুণ লেগেছে')[0]['label'])"
    )
    command = [sys.executable, "-c", script, *pinned]
    done = subprocess.run(command, env=here.environment(None, tmp_path), capture_output=True, encoding="utf-8")
    assert done.returncode == 0, done.stderr
    config = json.loads(read(here.api(), pinned[0], "config.json", pinned[1]))
    assert done.stdout.strip() in config["id2label"].values()


def test_a_pinned_snapshot_is_where_the_client_says(pinned, here, tmp_path):
    name, commit = pinned
    snapshot = here.api().snapshot_download(name, revision=commit, cache_dir=tmp_path / "cache")
    assert (Path(snapshot) / "config.json").exists()
