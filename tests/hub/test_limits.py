"""How much of the Hub one client may take: requests in a while, and silence in the middle of one."""

import asyncio

import pytest
from huggingface_hub.errors import HfHubHTTPError
from huggingface_hub.utils import parse_ratelimit_headers

from utils.hub import limits
from utils.hub.limits import Limits


@pytest.fixture
def strict_hub(tmp_path, hub):
    """A Hub that takes twenty requests in five minutes."""
    strict = type(hub).start(tmp_path / "data", "--rate-limit", "20")
    yield strict
    strict.stop()


def test_too_many_requests_are_told_when_to_come_again(strict_hub):
    with strict_hub.http() as http:
        answers = [http.get("/api/models") for _ in range(25)]
        refused = [answer for answer in answers if answer.status_code == 429]
        assert 1 <= len(refused) < 25 and answers[0].status_code == 200
        told = parse_ratelimit_headers(refused[0].headers)
        assert (told.remaining, told.limit, told.window_seconds) == (0, 20, 300)
        assert 0 < told.reset_in_seconds <= 300 and refused[0].headers["Retry-After"] == str(told.reset_in_seconds)
        assert http.get("/api/models", headers={"Authorization": "Bearer hf_made_up"}).status_code == 429
        assert http.get("/-/health").status_code == 200
    with pytest.raises(HfHubHTTPError, match="Too many requests"):
        strict_hub.api().model_info("x/y")


def test_who_falls_silent_in_the_middle_of_a_request_is_let_go(monkeypatch):
    """The Hub waits a minute: here the clock is set, and the client is one that never says the rest."""
    monkeypatch.setattr(limits, "SILENCE", 0.05)
    seen = []

    async def application(_scope, receive, _send):
        while (message := await receive())["type"] != "http.disconnect":
            seen.append(message["body"])
        seen.append("gone")

    async def talk():
        said = [{"type": "http.request", "body": b"half", "more_body": True}]

        async def receive():
            if said:
                return said.pop()
            await asyncio.sleep(3600)

        scope = {"type": "http", "path": "/", "client": ("127.0.0.1", 1)}
        await asyncio.wait_for(Limits(application, 10, None)(scope, receive, None), 30)

    asyncio.run(talk())
    assert seen == [b"half", "gone"]
