"""What the real Hub has and this one does not: a clear 501 each, so that nothing fails silently."""

from contextlib import suppress

from fastapi import APIRouter

from utils.hub.errors import HubError, not_served
from utils.hub.routes.call import InApi

UNSERVED = {
    "/api/jobs": "Jobs",
    "/api/scheduled-jobs": "Jobs",
    "/api/settings": "account settings and webhooks",
    "/api/buckets": "Storage Buckets",
    "/api/papers": "papers",
    "/api/daily_papers": "papers",
    "/papers": "papers",
    "/api/kernels": "kernel repos",
    "/api/spaces/zero-gpu": "ZeroGPU",
    "/api/spaces/templates": "Space templates",
    "/api/spaces/semantic-search": "semantic search",
    "/uploads": "attachments of comments",
    "/oauth": "login through a browser: use a token",
}

router = APIRouter(include_in_schema=False)
METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE"]


def _refuse(prefix: str, what: str) -> None:
    def refuse() -> None:
        raise not_served(what)

    router.add_api_route(prefix, refuse, methods=METHODS)
    router.add_api_route(prefix + "/{rest:path}", refuse, methods=METHODS)


for _prefix, _what in UNSERVED.items():
    _refuse(_prefix, _what)


@router.api_route("/api/{kind:kind}/{repo:repo}/{rest:path}", methods=METHODS)
def rest_of_a_repo(call: InApi, rest: str) -> None:
    call.repo_id = call.repo_id.split("/")[0]
    with suppress(HubError), call.reading():
        pass  # or redirected: of an old id without an owner ("gpt2/tree/main") only its beginning names the repo
    raise not_served(f'"{rest.split("/")[0]}" of a repo')


# Last of all: whatever else a client may ask for.
last = APIRouter(include_in_schema=False)


@last.api_route("/api/{rest:path}", methods=METHODS)
def rest_of_the_api(rest: str) -> None:
    raise not_served(f"/api/{rest}")
