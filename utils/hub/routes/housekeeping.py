"""Routes of this Hub's own, and the small ones that clients ask for in passing."""

import os

from fastapi import APIRouter
from fastapi.responses import JSONResponse
from pydantic import BaseModel

from utils.hub import cards
from utils.hub.leases import LeaseResponse
from utils.hub.routes.call import AnyCall

router = APIRouter()


@router.get("/-/health")
def health(call: AnyCall) -> dict:
    return {"status": "ok", "pid": os.getpid(), "leases": call.request.app.state.leases.held}


@router.get("/-/lease", include_in_schema=False, response_model=None)
async def lease(call: AnyCall) -> LeaseResponse:
    """Stays open as long as the caller lives; the operating system closes it however the caller dies."""
    return LeaseResponse(call.request.app.state.leases)


@router.get("/api/agent-harnesses")
def agent_harnesses() -> dict:
    return {}  # the client wants a mapping here; a list would break each of its calls


class Card(BaseModel):
    content: str
    repoType: str = "model"


@router.post("/api/validate-yaml")
def validate_yaml(card: Card) -> JSONResponse:
    errors, warnings = cards.validate(card.content, card.repoType)
    body = {"errors": [{"message": e} for e in errors], "warnings": [{"message": w} for w in warnings]}
    return JSONResponse(body, 400 if errors else 200)
