"""Who may: the access check, and the requests for a gated repo's files, from asking to the owner's answer.

Nobody asks by an API call of the client: on the real Hub the form on the repo's page posts to `…/ask-access`, and so
it does here.
"""

import json
from typing import Literal

from fastapi import APIRouter, Query, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse, RedirectResponse
from pydantic import BaseModel, Field
from sqlalchemy import select
from sqlalchemy.orm import Session

from utils.hub.errors import HubError, invalid
from utils.hub.html import HEADERS, wants_html
from utils.hub.routes.accounts import iso, named, person
from utils.hub.routes.call import PREFIXES, InApi, next_page
from utils.hub.routes.visitor import OnRepo
from utils.hub.tables import AccessRequest, Repo

router = APIRouter()
Status = Literal["pending", "accepted", "rejected"]
PAGE = 100  # requests
LARGEST_FORM = 10_000  # characters of a filled form, as JSON


@router.get("/api/{kind:kind}/{repo:repo}/auth-check")
def may_read(call: InApi) -> dict:
    with call.reading_files():
        return {}


@router.get("/api/{kind:kind}/{repo:repo}/auth-check/write")
def may_write(call: InApi) -> dict:
    with call.writing():
        return {}


async def ask(call: OnRepo) -> Response:
    """Asks for a gated repo: at once granted where it is "auto", else the owner decides."""
    if call.request.headers.get("content-type", "").startswith("application/json"):
        try:
            fields = await call.request.json()
        except (ValueError, RecursionError) as error:
            raise invalid("Invalid JSON") from error
    else:
        form = await call.request.form(max_files=0, max_fields=100)
        fields = dict(form.items())
    if not isinstance(fields, dict) or len(json.dumps(fields)) > LARGEST_FORM:
        raise invalid(f"The form must be a mapping of at most {LARGEST_FORM} characters")
    answer = await run_in_threadpool(_ask, call, fields)
    if wants_html(call.request):
        return RedirectResponse(call.request.scope["path"].removesuffix("/ask-access"), 303, HEADERS)
    return JSONResponse(answer)


def _ask(call: OnRepo, fields: dict) -> dict:
    with call.discussing() as (db, repo, caller):
        _gated(repo)
        request = db.get(AccessRequest, (repo.id, caller.account.id))
        if request is None:
            status = "accepted" if repo.gated == "auto" else "pending"
            request = AccessRequest(repo_id=repo.id, account=caller.account, status=status, fields=fields or None)
            db.add(request)
        return {"status": request.status}


for _prefix in PREFIXES:
    router.add_api_route(
        f"/{_prefix}{{repo:repo}}/ask-access",
        ask,
        methods=["POST"],
        response_class=JSONResponse,
        operation_id=f"ask_access_{_prefix.rstrip('/') or 'models'}",
    )


@router.get("/api/{kind:kind}/{repo:repo}/user-access-request/{status}")
def requests(
    call: InApi, status: Status, response: Response, cursor: str = Query("", pattern="^[0-9]{0,9}$")
) -> list[dict]:
    start = int(cursor or 0)
    with call.writing() as (db, repo, _caller):
        _gated(repo)
        wanted = select(AccessRequest).where(AccessRequest.repo_id == repo.id, AccessRequest.status == status)
        wanted = wanted.order_by(AccessRequest.asked_at, AccessRequest.account_id)
        found = db.scalars(wanted.offset(start).limit(PAGE + 1)).all()
        if len(found) > PAGE:
            response.headers["Link"] = next_page(call, cursor=str(start + PAGE))
        return [_shown(request) for request in found[:PAGE]]


def _gated(repo: Repo) -> None:
    if not repo.gated:
        raise invalid(f"{repo.full_name} is not gated")


def _shown(request: AccessRequest) -> dict:
    shown = {
        "requestId": _id(request),
        "status": request.status,
        "timestamp": iso(request.asked_at),
        "user": person(request.account),
    }
    return shown | {"fields": request.fields} if request.fields else shown


def _id(request: AccessRequest) -> str:
    return f"{request.repo_id:012x}{request.account_id:012x}"


class Decision(BaseModel):
    status: Status
    user: str | None = None
    requestId: str | None = None
    rejectionReason: str | None = Field(None, max_length=1000)


@router.post("/api/{kind:kind}/{repo:repo}/user-access-request/handle")
def handle(call: InApi, wish: Decision) -> dict:
    with call.writing() as (db, repo, _caller):
        _gated(repo)
        request = _wanted(db, repo, wish)
        if request is None:
            raise HubError(404, "Access request not found")
        if request.status == wish.status:
            raise HubError(404, f"This access request is already {wish.status}")
        request.status = wish.status
        request.rejection_reason = wish.rejectionReason
        return _shown(request)


def _wanted(db: Session, repo: Repo, wish: Decision) -> AccessRequest | None:
    if (wish.user is None) == (wish.requestId is None):
        raise invalid('Name the request by either "user" or "requestId"')
    if wish.user is not None:
        return db.get(AccessRequest, (repo.id, named(db, wish.user, "user").id))
    listed = db.scalars(select(AccessRequest).where(AccessRequest.repo_id == repo.id))
    return next((request for request in listed if _id(request) == wish.requestId), None)


class Grant(BaseModel):
    user: str


@router.post("/api/{kind:kind}/{repo:repo}/user-access-request/grant")
def grant(call: InApi, wish: Grant) -> dict:
    """Gives access to somebody who did not ask."""
    with call.writing() as (db, repo, _caller):
        _gated(repo)
        user = named(db, wish.user, "user")
        request = db.get(AccessRequest, (repo.id, user.id))
        if request and request.status == "accepted":
            raise invalid(f"{user.name} already has access to {repo.full_name}")
        if request is None:
            request = AccessRequest(repo_id=repo.id, account=user, granted=True)
            db.add(request)
        request.status, request.rejection_reason = "accepted", None
        db.flush()
        return _shown(request)
