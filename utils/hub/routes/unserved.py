"""What the real Hub has and this one does not: a clear 501 each, so that nothing fails silently."""

from fastapi import APIRouter

from utils.hub.errors import not_served

UNSERVED = {
    "/api/jobs": "Jobs",
    "/api/scheduled-jobs": "Jobs",
    "/api/settings": "account settings and webhooks",
    "/api/buckets": "Storage Buckets",
    "/api/papers": "papers",
    "/api/daily_papers": "papers",
    "/papers": "papers",
    "/api/collections": "collections",
    "/api/kernels": "kernel repos",
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
def rest_of_a_repo(rest: str) -> None:
    raise not_served(f'"{rest.split("/")[0]}" of a repo')
