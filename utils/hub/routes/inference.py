"""The Inference API: `POST /models/{id}` for every task, `…/v1/chat/completions` for chat, on the repos of this Hub.

What the router of the real Hub answers, at the paths behind its host: `start()` leads that host here.
"""

import base64
import json
import time
import uuid
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Annotated, Any
from urllib.parse import unquote

from anyio import CancelScope
from fastapi import APIRouter, Path, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse, Response, StreamingResponse
from pydantic import AfterValidator
from starlette.types import Receive, Scope, Send

from utils.hub.checkout import check_out
from utils.hub.errors import HubError, invalid, unprocessable
from utils.hub.git import Entry
from utils.hub.inference.pool import Loading, Pool
from utils.hub.inference.tasks import LOADERS
from utils.hub.routes.call import AnyCall, RepoCall
from utils.hub.routes.listing import visible
from utils.hub.tables import Repo

router = APIRouter()
# What a runtime reads of a repo: never pickles, never code.
READ = {".json", ".txt", ".safetensors", ".model", ".jinja"}
WAIT = "x-wait-for-model"  # "true": no 503 while the model is loaded
ON_PIPELINE = ("feature-extraction", "sentence-similarity")  # models that serve one serve the other
TGI_ONLY = ("details", "return_full_text", "decoder_input_details")  # what the answer shows, not what the model does
MOST_MODELS = 100


class InferenceCall(RepoCall):
    """A request to one model."""

    kind = "model"

    def __init__(self, request: Request, repo: Annotated[str, Path(), AfterValidator(unquote)]):
        super().__init__(request)
        self.repo_id = repo

    def look(self) -> None:
        """Finds the model, before anything else is said. Raises HubError where the caller may not load it."""
        with self.reading_files() as (db, repo):
            self.account = self.signed_in(db).account
            self.name, self.key, self.known = repo.full_name, (repo.id, repo.sha), repo.pipeline_tag

    def ask(self, task: str | None, inputs: Any, parameters: dict) -> Iterator[dict]:
        """Asks the model that was found: see `Pool.ask`. Raises HubError also for a task that it is not for."""
        task, name, key = task or self.known, self.name, self.key
        if task is None:
            raise unprocessable(f"{name} does not say what it is for: its card has no pipeline_tag")
        if task not in LOADERS or (task != self.known and not {task, self.known} <= set(ON_PIPELINE)):
            raise unprocessable(f"Model {name} is not served for {task}; its card says {self.known}")
        with self.hub.db() as db:
            self.request.app.state.allowances.spend(db, self.account)

        def bring(folder) -> None:
            with self.hub.db() as db:
                fresh = self.hub.find(db, "model", name)
                check_out(self.hub, db, fresh, key[1], folder, most=pool.limits.memory, wanted=_is_read)

        pool: Pool = self.request.app.state.inference
        question = {"inputs": inputs, "parameters": parameters}
        wait = self.request.headers.get(WAIT, "").lower() in ("1", "true")
        return pool.ask((*key, task), name, bring, question, wait=wait)


def _is_read(entry: Entry) -> bool:
    return PurePosixPath(entry.path).suffix in READ


def _answered(events: Iterator[dict]) -> dict:
    *_tokens, last = events
    return last


@router.post("/models/{repo:repo}")
async def infer(request: Request, repo: str) -> Response:
    return await _infer(request, repo, None)


@router.post("/models/{repo}")
async def infer_by_short_name(request: Request, repo: str) -> Response:
    """Old ids had no owner ("bert-base-uncased"): those that the Hub knows redirect."""
    return await _infer(request, repo, None)


@router.post("/models/{repo:repo}/pipeline/{task}")
async def infer_task(request: Request, repo: str, task: str) -> Response:
    return await _infer(request, repo, task)


async def _infer(request: Request, repo: str, task: str | None) -> Response:
    body = await request.body()
    call = InferenceCall(request, unquote(repo))
    return await run_in_threadpool(_refused_as_json, _answer, call, task, body)


def _refused_as_json(answer, *given) -> Response:
    """While a model is loaded, the refusal says for how long."""
    try:
        return answer(*given)
    except Loading as error:
        told = {"error": error.message, "estimated_time": error.estimated_time}
        return JSONResponse(told, error.status, headers=error.all_headers)


def _answer(call: InferenceCall, task: str | None, body: bytes) -> Response:
    call.look()
    sent = _sent(call.request, body)
    parameters = sent.get("parameters") or {}
    if not isinstance(parameters, dict):
        raise unprocessable('"parameters" must be an object')
    # For feature-extraction the client sends them beside the inputs.
    beside = {name: value for name, value in sent.items() if name not in ("inputs", "parameters", "stream", "options")}
    parameters = beside | parameters
    shown = {name: parameters.pop(name, None) for name in TGI_ONLY}
    events = call.ask(task, sent.get("inputs"), parameters)
    first = next(events)
    if sent.get("stream") and "event" in first:
        return EventStream(_token_stream(first, events), events)
    tokens = [first, *events]
    last = tokens.pop()
    if "picture" in last:
        return Response(base64.b64decode(last["picture"]), media_type="image/png")
    if isinstance(last["result"], dict) and "finish_reason" in last["result"]:
        text = "".join(one["event"]["text"] for one in tokens)
        prompt = sent["inputs"] if shown["return_full_text"] else ""
        told = {"generated_text": prompt + text}
        if shown["details"]:
            told["details"] = _details(last["result"]) | {"prefill": [], "tokens": [one["event"] for one in tokens]}
        return JSONResponse([told])
    return JSONResponse(last["result"])


def _details(result: dict) -> dict:
    return {"finish_reason": result["finish_reason"], "generated_tokens": result["tokens"], "seed": result["seed"]}


def _sent(request: Request, body: bytes) -> dict:
    """The request as JSON; a picture sent as it is becomes the inputs."""
    if not request.headers.get("content-type", "").startswith(("image/", "application/octet-stream")):
        try:
            sent = json.loads(body)
        except (ValueError, RecursionError):
            sent = None
            if not body.startswith((b"\x89PNG", b"\xff\xd8", b"GIF8", b"RIFF")):
                raise invalid('The body is neither JSON ({"inputs": …}) nor a picture') from None
        if sent is not None:
            if not isinstance(sent, dict) or "inputs" not in sent:
                raise unprocessable('The JSON must be an object with "inputs"')
            return sent
    return {"inputs": base64.b64encode(body).decode()}


class EventStream(StreamingResponse):
    """Lines of server-sent events made of a model's `events`; whoever leaves before the end frees the model."""

    def __init__(self, lines: Iterator[str], events: Iterator[dict]):
        super().__init__(lines, media_type="text/event-stream")
        self._both = lines, events

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            with CancelScope(shield=True):
                for one in self._both:
                    await run_in_threadpool(one.close)


def _sse(data: dict) -> str:
    return f"data:{json.dumps(data, ensure_ascii=False)}\n\n"


def _stream(first: dict, events: Iterator[dict], line) -> Iterator[str]:
    """Each event as a line, and what goes wrong in the middle as a last one."""
    try:
        yield line(first)
        for event in events:
            yield line(event)
    except HubError as error:
        yield _sse({"error": error.message, "error_type": "generation"})


def _token_stream(first: dict, events: Iterator[dict]) -> Iterator[str]:
    """Text generation as TGI streams it; the last token comes with the whole text."""
    text, count, held = "", 0, None

    def shown(token: dict, whole: str | None, details: dict | None) -> str:
        return _sse({"index": count, "token": token, "generated_text": whole, "details": details})

    def line(message: dict) -> str:
        nonlocal text, count, held
        if "result" in message:
            return shown(held, text, _details(message["result"]))
        before, held = held, message["event"]
        text += held["text"]
        count += 1
        return shown(before, None, None) if before else ""

    return _stream(first, events, line)


# Chat, as OpenAI's API has it


@router.post("/models/{repo:repo}/v1/chat/completions")
async def chat_with(request: Request, repo: str) -> Response:
    body = await request.body()
    return await run_in_threadpool(_refused_as_json, _chat, InferenceCall(request, unquote(repo)), body)


@router.post("/v1/chat/completions")
async def chat(request: Request) -> Response:
    """The same of the model that the request names; a provider after a colon is this Hub in any case."""
    body = await request.body()
    model = _chat_request(body).get("model")
    if not isinstance(model, str):
        raise unprocessable('"model" must name a repo')
    return await run_in_threadpool(_refused_as_json, _chat, InferenceCall(request, model.partition(":")[0]), body)


def _chat_request(body: bytes) -> dict:
    try:
        sent = json.loads(body)
    except (ValueError, RecursionError):
        raise invalid("The body is not JSON") from None
    if not isinstance(sent, dict):
        raise unprocessable("The body must be a JSON object")
    return sent


CHAT_OWN = ("model", "messages", "stream", "stream_options", "n", "user")
REASONS = {"eos_token": "stop", "stop_sequence": "stop", "length": "length"}


def _chat(call: InferenceCall, body: bytes) -> Response:
    call.look()
    sent = _chat_request(body)
    if sent.get("n") not in (None, 1):
        raise unprocessable("One answer at a time is served: n must be 1")
    parameters = {name: value for name, value in sent.items() if name not in CHAT_OWN and value is not None}
    events = call.ask("text-generation", {"messages": sent.get("messages")}, parameters)
    first = next(events)
    about = {"id": f"chatcmpl-{uuid.uuid4().hex}", "created": int(time.time()), "model": call.name}
    about["system_fingerprint"] = "pathshala"
    if sent.get("stream"):
        options = sent.get("stream_options")
        usage = isinstance(options, dict) and bool(options.get("include_usage"))
        return EventStream(_chat_stream(first, events, about, usage), events)
    tokens = [first, *events]
    result = tokens.pop()["result"]
    message = {"role": "assistant", "content": "".join(one["event"]["text"] for one in tokens).strip()}
    choice = {"index": 0, "message": message, "finish_reason": REASONS[result["finish_reason"]], "logprobs": None}
    return JSONResponse(about | {"object": "chat.completion", "choices": [choice], "usage": _usage(result)})


def _usage(result: dict) -> dict:
    asked, made = result["prompt_tokens"], result["tokens"]
    return {"prompt_tokens": asked, "completion_tokens": made, "total_tokens": asked + made}


def _chat_stream(first: dict, events: Iterator[dict], about: dict, usage: bool) -> Iterator[str]:
    about = about | {"object": "chat.completion.chunk"}

    def chunk(delta: dict, reason: str | None = None) -> str:
        choice = {"index": 0, "delta": {"role": "assistant", **delta}, "finish_reason": reason, "logprobs": None}
        return _sse(about | {"choices": [choice]})

    def line(message: dict) -> str:
        if "event" in message:
            return chunk({"content": message["event"]["text"]}) if message["event"]["text"] else ""
        result = message["result"]
        last = chunk({"content": ""}, REASONS[result["finish_reason"]])
        if usage:
            last += _sse(about | {"choices": [], "usage": _usage(result)})
        return last + "data: [DONE]\n\n"

    return _stream(first, events, line)


@router.get("/v1/models")
def chat_models(call: AnyCall) -> dict:
    """The models that write text, as OpenAI's API lists them."""
    with call.hub.db() as db:
        wanted = visible(call.caller(db)).where(Repo.kind == "model", Repo.pipeline_tag == "text-generation")
        repos = db.scalars(wanted.order_by(Repo.id).limit(MOST_MODELS)).all()
        return {
            "object": "list",
            "data": [
                {
                    "id": repo.full_name,
                    "object": "model",
                    "created": int(repo.created_at.timestamp()),
                    "owned_by": repo.owner.name,
                }
                for repo in repos
            ],
        }
