"""What this Hub does not serve it says: no call of the client fails silently or for a wrong reason."""

import re
from pathlib import Path

import huggingface_hub
import pytest
from huggingface_hub.errors import HfHubHTTPError

LATER = {
    "jobs": lambda api, repo: list(api.list_jobs(namespace="rahim")),
    "webhooks": lambda api, repo: api.list_webhooks(),
    "papers": lambda api, repo: list(api.list_papers(query="x")),
    "buckets": lambda api, repo: api.create_bucket("rahim/bucket"),
    "followers": lambda api, repo: list(api.list_user_followers("rahim")),
    "ZeroGPU": lambda api, repo: api.get_zero_gpu_quota(),
    "templates": lambda api, repo: api.list_space_templates(),
}


@pytest.mark.parametrize("what", LATER)
def test_calls_that_come_later(api, untouched, what):
    with pytest.raises(HfHubHTTPError) as refused:
        LATER[what](api, untouched)
    response = refused.value.response
    assert (response.status_code, response.headers["X-Error-Code"]) == (501, "NotImplemented")
    assert response.headers["X-Error-Message"].startswith("The local Hub does not serve ")


def test_no_address_of_the_client_is_unknown(http, repo):
    """Each one in its source is either served (if only by another method) or answered with 501."""
    source = "".join(path.read_text() for path in Path(huggingface_hub.__file__).parent.rglob("*.py"))
    addresses = set(re.findall(r'[fF]"\{[A-Za-z_.]*(?:endpoint|ENDPOINT)\}(/api/[^"?]+)', source))
    assert len(addresses) > 100
    for address in addresses:
        path = re.sub(r"\{(src_)?repo_type\}", "model", address).replace("{api_prefix}", "models")
        path = re.sub(r"\{(src_|from_|to_)?(repo_)?id\}", repo, path)
        path = re.sub(r"\{quote\([^}]*\}?|\{[^}]*\}", "x", path)
        for method in ("GET", "POST", "PUT", "DELETE", "PATCH"):
            answer = http.request(method, path)
            assert answer.json().get("error") != "Not Found" if answer.is_error else True, (method, path)


def test_every_answer_has_a_request_id(http, stranger):
    for path in ("/api/models", "/nowhere", "/api/jobs", "/api/models/rahim/nothing"):
        assert stranger.get(path, headers={"X-Request-Id": "mine"}).headers["X-Request-Id"] == "mine"
        assert stranger.get(path, headers={"X-Amzn-Trace-Id": "trace"}).headers["X-Request-Id"] == "trace"
        assert len(stranger.get(path).headers["X-Request-Id"]) == 32
