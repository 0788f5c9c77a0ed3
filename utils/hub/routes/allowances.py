"""`/settings/inference`: how much inference the account has left, and on one's own Hub a form that changes it.

There a student meets 402 and 429 without paying for them.
"""

from typing import Annotated

from fastapi import APIRouter, Form
from fastapi.responses import JSONResponse, RedirectResponse, Response

from utils.hub.errors import forbidden, invalid
from utils.hub.html import HEADERS, page, wants_html
from utils.hub.inference.allowances import allow
from utils.hub.routes.visitor import AnyVisitor
from utils.hub.tables import Allowance

router = APIRouter(include_in_schema=False)
MOST = 1_000_000


@router.get("/settings/inference")
def allowance(call: AnyVisitor) -> Response:
    with call.hub.db() as db:
        account = call.signed_in(db).account
        held = db.get(Allowance, account.id) or Allowance()
        if wants_html(call.request):
            return page("inference.html", user=account, held=held, open=call.request.app.state.open)
        return JSONResponse({"calls": held.calls, "per_minute": held.per_minute}, headers=HEADERS)


@router.post("/settings/inference")
def set_allowance(
    call: AnyVisitor,
    calls: Annotated[str, Form(max_length=10)] = "",
    per_minute: Annotated[str, Form(max_length=10)] = "",
) -> Response:
    """Both are numbers, or empty for endless."""
    with call.hub.db() as db:
        caller = call.signed_in(db)
        if not call.request.app.state.open or caller.token.role != "write":
            raise forbidden("The one who runs this Hub sets it: pathshala hub allowance NAME --calls 100")
        allow(db, caller.account, calls=_number(calls), per_minute=_number(per_minute))
    if wants_html(call.request):
        return RedirectResponse("/settings/inference", 303, HEADERS)
    return JSONResponse({}, headers=HEADERS)


def _number(text: str) -> int | None:
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and int(text) <= MOST):
        raise invalid(f"A number from 0 to {MOST}, or nothing")
    return int(text)
