"""One real Hub process for the tests here, the people who use it, and a client for each of them."""

import json
import multiprocessing
import os
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

# Read by huggingface_hub when it is imported: no test may meet the account, cache or proxy of whoever runs it.
HOME = tempfile.TemporaryDirectory(prefix="hf-home-")
for name in list(os.environ):
    if name.startswith(("HF_", "HUGGING")) or name.lower().endswith("_proxy"):
        del os.environ[name]
os.environ |= {
    "HF_HOME": HOME.name,
    "HF_HUB_DISABLE_XET": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
}

import httpx  # noqa: E402
from huggingface_hub import HfApi  # noqa: E402

PATHSHALA = str(Path(sys.executable).with_name("pathshala"))
# Whoever is not here is a stranger. `khulna` is an organisation, in which selim may only read.
TOKENS = {
    "rahim": "hf_rahim_writes",
    "rahim, read-only": "hf_rahim_reads",
    "karim": "hf_karim_writes",
    "selim": "hf_selim_writes",
    "teacher": "hf_teacher_is_admin",
}


def make_people(data: Path) -> None:
    """The accounts that the tests use, made as `pathshala hub user add` makes them, without its start-up time."""
    from utils.hub import accounts
    from utils.hub.hub import Hub

    hub = Hub(data)
    with hub.db() as db:
        rahim, karim, selim, teacher = (
            accounts.add(db, name, admin=name == "teacher") for name in ("rahim", "karim", "selim", "teacher")
        )
        khulna = accounts.add(db, "khulna", kind="org", fullname="Khulna College")
        accounts.join(db, rahim, khulna, "write")
        accounts.join(db, selim, khulna, "read")
        for account in (rahim, karim, selim, teacher):
            accounts.add_token(db, account, "laptop", token=TOKENS[account.name])
        accounts.add_token(db, rahim, "reader", role="read", token=TOKENS["rahim, read-only"])
    hub.close()


@dataclass
class Address:
    """Where a Hub is, and its clients."""

    data: Path
    url: str

    def api(self, who: str | None = None) -> HfApi:
        return HfApi(endpoint=self.url, token=TOKENS[who] if who else False)

    def http(self, who: str | None = None) -> httpx.Client:
        headers = {"Authorization": f"Bearer {TOKENS[who]}"} if who else {}
        # Certificates are not needed on http, and take longer to load than most tests here.
        return httpx.Client(base_url=self.url, headers=headers, timeout=60, trust_env=False, verify=False)

    def environment(self, who: str | None, home: Path) -> dict[str, str]:
        """What a client process of this person needs to know, and nothing of the one who runs the tests."""
        return {name: value for name, value in os.environ.items() if name != "HF_HOME"} | {
            "HF_ENDPOINT": self.url,
            "HF_HOME": str(home),
            **({"HF_TOKEN": TOKENS[who]} if who else {}),
        }


@dataclass
class RunningHub(Address):
    """A Hub in a process of its own, as `pathshala hub serve` starts it."""

    process: subprocess.Popen = field(repr=False)
    log: Path

    @classmethod
    def start(cls, data: Path, *options: str) -> "RunningHub":
        log = data.with_suffix(".log")
        with log.open("ab") as errors:
            process = subprocess.Popen(
                [PATHSHALA, "hub", "serve", "--port", "0", "--data", data, *options],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=errors,
                encoding="utf-8",
            )
        first = process.stdout.readline()
        hub = cls(data, next((word for word in first.split() if word.startswith("http://")), ""), process, log)
        assert hub.url, f"the Hub did not start: {first} {log.read_text()}"
        hub.http().get("/-/health").raise_for_status()  # waits until it answers
        return hub

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(20)
        self.process.stdout.close()


class MortalHub(Address):
    """A Hub with many lives, each forked from a process that has imported it already: 0.2 s instead of 3.

    All have one socket: connections made while it is dead wait for its next life.
    """

    def __init__(self, data: Path):
        from utils.hub.serve import listen

        self.listener = listen("127.0.0.1", 0)
        super().__init__(data, f"http://127.0.0.1:{self.listener.getsockname()[1]}")
        method = "forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn"
        self.lives = multiprocessing.get_context(method)
        self.lives.set_forkserver_preload(["__main__", "utils.hub.serve"])
        self.start()

    def start(self) -> None:
        from utils.hub.serve import serve

        self.process = self.lives.Process(target=serve, args=(self.data, self.listener), daemon=True)
        self.process.start()

    def stop(self) -> None:
        self.process.terminate()
        self.process.join(20)

    def kill(self) -> None:
        self.process.kill()
        self.process.join()


@pytest.fixture(scope="session")
def hub(tmp_path_factory) -> Iterator[RunningHub]:
    """The Hub that all tests share: a test that counts or lists makes names of its own."""
    data = tmp_path_factory.mktemp("hub") / "data"
    make_people(data)
    hub = RunningHub.start(data)
    yield hub
    assert hub.process.poll() is None, "the Hub died"
    hub.stop()
    complaints = hub.log.read_text()
    assert "Traceback" not in complaints, complaints


@pytest.fixture(scope="session")
def people() -> Callable[[Path], None]:
    """Makes the tests' accounts in a data directory."""
    return make_people


@pytest.fixture
def mortal_hub(tmp_path) -> Iterator[MortalHub]:
    """One for a test that stops or kills it, with the tests' people in it."""
    make_people(tmp_path / "data")
    hub = MortalHub(tmp_path / "data")
    yield hub
    hub.kill()
    hub.listener.close()


@pytest.fixture
def api(hub: RunningHub) -> HfApi:
    """rahim's client."""
    return hub.api("rahim")


@pytest.fixture
def http(hub: RunningHub) -> Iterator[httpx.Client]:
    """rahim's plain HTTP."""
    with hub.http("rahim") as client:
        yield client


@pytest.fixture
def stranger(hub: RunningHub) -> Iterator[httpx.Client]:
    """Plain HTTP without a token."""
    with hub.http() as client:
        yield client


@pytest.fixture
def new_repo(api: HfApi) -> Callable[..., str]:
    """Makes an empty repo of rahim's and returns its id."""

    def make(repo_type: str = "model", *, owner: str = "rahim", **options) -> str:
        if repo_type == "space":
            options.setdefault("space_sdk", "static")
        return api.create_repo(f"{owner}/{uuid.uuid4().hex[:12]}", repo_type=repo_type, **options).repo_id

    return make


@pytest.fixture
def repo(new_repo) -> str:
    return new_repo()


@pytest.fixture(scope="module")
def untouched(hub) -> str:
    """A repo of rahim's for requests that are refused: it stays as it was made."""
    return hub.api("rahim").create_repo(f"rahim/{uuid.uuid4().hex[:12]}").repo_id


@pytest.fixture
def commit(http: httpx.Client) -> Callable[..., httpx.Response]:
    """Sends a commit as NDJSON, for what the client itself would not send."""

    def send(repo: str, *operations: tuple[str, dict], revision: str = "main", **header) -> httpx.Response:
        lines = [{"key": "header", "value": {"summary": "test", **header}}]
        lines += [{"key": key, "value": value} for key, value in operations]
        return http.post(
            f"/api/models/{repo}/commit/{revision}",
            content="\n".join(json.dumps(line) for line in lines),
            headers={"Content-Type": "application/x-ndjson"},
        )

    return send
