"""Requests that nobody would think of, made by schemathesis from the Hub's own description: no 500, and no hang."""

import zlib
from types import SimpleNamespace

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings

EXAMPLES = 40  # for each method of each route
PATIENCE = 20  # seconds for one answer
# Real ones, so that requests get past "not found" to the code behind it; some stay as they were made.
REAL = {
    "repo": "rahim/target",
    "revision": "main",
    "branch": "dev",
    "tag": "v1",
    "path": "folder/x",
    "number": 1,
    "status": "pending",
    "log": "run",
}


@pytest.fixture(scope="module")
def fuzzed(hub, people, tmp_path_factory) -> SimpleNamespace:
    """A Hub of its own, for it may come out empty, with one repo of each kind, a discussion and a collection."""
    data = tmp_path_factory.mktemp("fuzzed") / "data"
    people(data)
    fuzzed = type(hub).start(data, "--rate-limit", "1000000", "--join")
    api = fuzzed.api("rahim")
    for kind in ("model", "dataset", "space"):
        api.create_repo("rahim/target", repo_type=kind, space_sdk="static" if kind == "space" else None)
        api.upload_file(repo_id="rahim/target", repo_type=kind, path_in_repo="folder/x", path_or_fileobj=b"x")
        api.create_discussion("rahim/target", repo_type=kind, title="first")
        api.create_tag("rahim/target", repo_type=kind, tag="v1")
    slug = api.create_collection("mine").slug
    yield SimpleNamespace(url=fuzzed.url, headers=dict(fuzzed.http("rahim").headers), slug=slug)
    assert fuzzed.process.poll() is None, "the Hub died"
    fuzzed.stop()
    assert "Traceback" not in fuzzed.log.read_text()


@pytest.mark.slow
def test_no_request_breaks_the_hub(fuzzed):
    description = schemathesis.openapi.from_url(f"{fuzzed.url}/openapi.json")
    operations = [found.ok() for found in description.get_all_operations()]
    assert len(operations) > 80
    for operation in operations:
        attack(operation, fuzzed)


def attack(operation, fuzzed) -> None:
    @settings(max_examples=EXAMPLES, deadline=None, derandomize=True, database=None, suppress_health_check=HealthCheck)
    @given(operation.as_strategy())
    def send(case):
        for name, made_up in (case.path_parameters or {}).items():
            if zlib.crc32(str(made_up).encode(errors="replace")) % 4:
                case.path_parameters[name] = (REAL | {"slug": fuzzed.slug}).get(name, made_up)
        answer = case.call(headers=fuzzed.headers, timeout=PATIENCE)
        assert answer.status_code != 500, answer.text

    send()
