"""A Space seen by its owner's client: its stage, its log, its variables, and what he has it do."""

import asyncio
import json
import os
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from typing import Annotated, Literal

import psutil
from fastapi import APIRouter, Depends, Path, Request
from fastapi.responses import StreamingResponse
from pydantic import AfterValidator, BaseModel, Field
from sqlalchemy.orm import Session

from utils.hub.errors import HubError, invalid, not_served
from utils.hub.routes.accounts import iso
from utils.hub.routes.call import AnyCall, Call, RepoCall, unquote
from utils.hub.spaces.logs import Reader
from utils.hub.spaces.manager import Spaces, subdomain
from utils.hub.tables import Repo, SpaceVariable

router = APIRouter()
FREE_HARDWARE = "cpu-basic"  # all that a Space has here: the Hub's own computer
KEPT_ALIVE = 15  # seconds of silence in a log after which its reader gets a sign of life


class SpaceCall(RepoCall):
    """A request below `/api/spaces/OWNER/NAME/`."""

    kind = "space"

    def __init__(self, request: Request, repo: Annotated[str, Path(), AfterValidator(unquote)]):
        super().__init__(request)
        self.repo_id = repo

    @property
    def spaces(self) -> Spaces:
        return self.request.app.state.spaces


InSpace = Annotated[SpaceCall, Depends(SpaceCall)]


def about(call: Call, db: Session, repo: Repo) -> dict:
    """What a Space's info has beside that of other repos."""
    spaces: Spaces = call.request.app.state.spaces
    shown = {"subdomain": subdomain(repo), "runtime": spaces.runtime(db, repo)}
    if host := spaces.host(repo, call.request.url.hostname or "127.0.0.1"):
        shown["host"] = host
    return shown


@router.get("/api/spaces/hardware")
def hardware(_call: AnyCall) -> list[dict]:
    return [
        {
            "name": FREE_HARDWARE,
            "prettyName": "CPU Basic",
            "cpu": f"{os.cpu_count()} vCPU",
            "ram": f"{psutil.virtual_memory().total / (1 << 30):.0f} GB",
            "ephemeralStorage": "5 GB",
            "accelerator": None,
            "unitCostMicroUSD": 0,
            "unitCostUSD": 0.0,
            "unitLabel": "minute",
        }
    ]


@router.get("/api/spaces/{repo:repo}/runtime")
def runtime(call: InSpace) -> dict:
    with call.reading() as (db, repo):
        return call.spaces.runtime(db, repo)


def _runtime(call: SpaceCall) -> dict:
    with call.hub.db() as db:
        return call.spaces.runtime(db, call.hub.find(db, "space", call.repo_id))


@router.post("/api/spaces/{repo:repo}/restart")
def restart(call: InSpace, factory: bool = False) -> dict:
    with call.writing() as (db, repo, _caller):
        call.spaces.set_paused(db, repo, False)
    call.spaces.restart(repo, factory=factory)
    return _runtime(call)


@router.post("/api/spaces/{repo:repo}/pause")
def pause(call: InSpace) -> dict:
    with call.writing() as (db, repo, _caller):
        call.spaces.set_paused(db, repo, True)
    call.spaces.pause(repo)
    return _runtime(call)


class SleepTime(BaseModel):
    seconds: int = Field(ge=-1, lt=1 << 31)


@router.post("/api/spaces/{repo:repo}/sleeptime")
def sleep_time(call: InSpace, wish: SleepTime) -> dict:
    with call.writing() as (db, repo, _caller):
        call.spaces.set_sleep_time(db, repo, wish.seconds)
    return _runtime(call)


class Hardware(BaseModel):
    flavor: str = Field(max_length=100)
    sleepTimeSeconds: int | None = Field(None, ge=-1, lt=1 << 31)


@router.post("/api/spaces/{repo:repo}/hardware")
def request_hardware(call: InSpace, wish: Hardware) -> dict:
    with call.writing() as (db, repo, _caller):
        must_be_here(wish.flavor)
        if wish.sleepTimeSeconds is not None:
            call.spaces.set_sleep_time(db, repo, wish.sleepTimeSeconds)
    return _runtime(call)


def must_be_here(flavor: str | None) -> None:
    """Raises HubError 402 for hardware other than this computer."""
    if flavor not in (None, FREE_HARDWARE):
        message = f"Payment required: {flavor[:50]} costs money on the real Hub, and here there is {FREE_HARDWARE} only"
        raise HubError(402, message)


# Variables, and those that are secret: their values go in and to the app, never out again.


class NewVariable(BaseModel):
    key: str
    value: str
    description: str | None = Field(None, max_length=1000)


class WhichVariable(BaseModel):
    key: str


@router.get("/api/spaces/{repo:repo}/secrets")
def secrets(call: InSpace) -> dict:
    with call.writing() as (db, repo, _caller):
        return {row.key: _shown(row) for row in call.spaces.variables(db, repo, secret=True)}


@router.post("/api/spaces/{repo:repo}/secrets")
def set_secret(call: InSpace, new: NewVariable) -> dict:
    return _set(call, new, secret=True)


@router.delete("/api/spaces/{repo:repo}/secrets")
def delete_secret(call: InSpace, which: WhichVariable) -> dict:
    return _delete(call, which, secret=True)


@router.get("/api/spaces/{repo:repo}/variables")
def variables(call: InSpace) -> dict:
    with call.reading() as (db, repo):
        return {row.key: _shown(row) for row in call.spaces.variables(db, repo, secret=False)}


@router.post("/api/spaces/{repo:repo}/variables")
def set_variable(call: InSpace, new: NewVariable) -> dict:
    return _set(call, new, secret=False)


@router.delete("/api/spaces/{repo:repo}/variables")
def delete_variable(call: InSpace, which: WhichVariable) -> dict:
    return _delete(call, which, secret=False)


def _set(call: SpaceCall, new: NewVariable, *, secret: bool) -> dict:
    with call.writing() as (db, repo, _caller):
        call.spaces.set_variable(db, repo, new.key, new.value, new.description, secret=secret)
        rows = call.spaces.variables(db, repo, secret=secret)
    call.spaces.environment_changed(repo)
    return {row.key: _shown(row) for row in rows}


def _delete(call: SpaceCall, which: WhichVariable, *, secret: bool) -> dict:
    with call.writing() as (db, repo, _caller):
        call.spaces.delete_variable(db, repo, which.key, secret=secret)
        rows = call.spaces.variables(db, repo, secret=secret)
    call.spaces.environment_changed(repo)
    return {row.key: _shown(row) for row in rows}


def _shown(row: SpaceVariable) -> dict:
    shown = {"key": row.key, "description": row.description, "updatedAt": iso(row.updated_at)}
    return shown if row.secret else shown | {"value": row.value}


class FirstVariable(BaseModel):
    """One that a Space is born with, as `create_repo` and `duplicate_repo` send them."""

    key: str
    value: str
    description: str | None = Field(None, max_length=1000)


class Wishes(BaseModel):
    """What a request that makes a Space may say of how it is to run."""

    hardware: str | None = Field(None, max_length=100)
    sleepTimeSeconds: int | None = Field(None, ge=-1, lt=1 << 31)
    secrets: list[FirstVariable] | None = Field(None, max_length=100)
    variables: list[FirstVariable] | None = Field(None, max_length=100)
    volumes: list | None = None

    def check(self, spaces: Spaces, kind: str, sdk: str | None) -> None:
        """Before the repo is made. Raises HubError 402 and 501."""
        if self.volumes:
            raise not_served("volumes of Spaces")
        if kind == "space":
            spaces.must_be_free(sdk)
            must_be_here(self.hardware)
        elif any((self.hardware, self.sleepTimeSeconds, self.secrets, self.variables)):
            raise invalid("Hardware, sleep time, secrets and variables are for Spaces")

    def fulfil(self, spaces: Spaces, db: Session, repo: Repo) -> None:
        if self.sleepTimeSeconds is not None and repo.card.get("sdk") != "static":
            spaces.set_sleep_time(db, repo, self.sleepTimeSeconds)
        for secret, rows in ((True, self.secrets), (False, self.variables)):
            for row in rows or ():
                spaces.set_variable(db, repo, row.key, row.value, row.description, secret=secret)


# Logs


@router.get("/api/spaces/{repo:repo}/logs/{log}", response_model=None)
def logs(call: InSpace, log: Literal["build", "run"]) -> StreamingResponse:
    with call.writing() as (db, repo, _caller):
        space = call.spaces.of(repo)
    reader = Reader(space.build_log if log == "build" else space.run_log)

    def complete() -> bool:
        return not (space.stage == "BUILDING" if log == "build" else space.active) or not call.spaces.is_open

    return StreamingResponse(_events(reader, complete), media_type="text/event-stream")


async def _events(reader: Reader, complete: Callable[[], bool]) -> AsyncIterator[str]:
    """The log's lines as events, until it is complete and all is said."""
    silent = 0.0
    # What is here already must not seem to come after this answer: a client that does not follow would leave it out.
    when = datetime.now(UTC) - timedelta(seconds=2)
    while True:
        ended = complete()
        for line in await asyncio.to_thread(reader.lines, last=ended):
            silent = 0.0
            yield f"data: {json.dumps({'data': line, 'timestamp': _moment(when)})}\n\n"
        if ended:
            return
        await asyncio.sleep(0.2)
        silent += 0.2
        when = datetime.now(UTC)
        if silent > KEPT_ALIVE:
            silent = 0.0
            yield "data:\n\n"


def _moment(when: datetime) -> str:
    return when.isoformat(timespec="milliseconds").replace("+00:00", "Z")
