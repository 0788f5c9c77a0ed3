"""A Space in a browser: its page on the Hub, with the app in a frame, and what the Hub answers in the app's place.

The second kind is asked for by `spaces.front` alone, which knows the password, so that nobody opens a Space's files as
pages of the Hub's own origin.
"""

import hmac
import mimetypes
from typing import Annotated
from urllib.parse import parse_qsl, quote, urlencode

from fastapi import APIRouter, Depends, Path, Request
from fastapi.responses import JSONResponse, RedirectResponse, Response
from sqlalchemy.orm import Session

from utils.hub.accounts import Caller
from utils.hub.errors import HubError, entry_not_found, repo_not_found
from utils.hub.html import HEADERS, page, wants_html
from utils.hub.routes import pages
from utils.hub.routes.call import Call, InRepo
from utils.hub.routes.files import ranged, streamed
from utils.hub.routes.visitor import OnRepo, RepoVisitor
from utils.hub.spaces import config, visitors
from utils.hub.spaces.front import FONT, PASSWORD
from utils.hub.spaces.logs import tail
from utils.hub.spaces.manager import Spaces
from utils.hub.spaces.space import STARTING
from utils.hub.tables import Repo

router = APIRouter(include_in_schema=False)
# What an app may do in the page's frame: whatever it does alone, but not lead the page away.
FRAME = "allow-scripts allow-same-origin allow-forms allow-popups allow-downloads allow-modals"
BROKEN = ("RUNTIME_ERROR", "BUILD_ERROR", "CONFIG_ERROR", "NO_APP_FILE")


def space_page(call: OnRepo) -> Response:
    with call.reading() as (db, repo):
        return _page(call, db, repo, call.caller(db))


def _page(call: RepoVisitor, db: Session, repo: Repo, caller: Caller | None) -> Response:
    spaces: Spaces = call.request.app.state.spaces
    stage, reason = spaces.stage(db, repo)
    host = spaces.host(repo, call.request.url.hostname or "127.0.0.1")
    owner = caller is not None and caller.may_write(db, repo)
    space = spaces.of(repo)
    signed = ""
    if caller and repo.private:
        signed = "?" + urlencode({visitors.PARAMETER: visitors.ticket(spaces.hub, repo, caller)})
    shown = page(
        "space.html",
        user=caller and caller.account,
        repo=repo,
        tags=[tag.tag for tag in repo.tags],
        sdk=repo.card.get("sdk"),
        stage=stage,
        reason=reason,
        owner=owner,
        starting=stage in STARTING,
        broken=stage in BROKEN,
        frame=FRAME,
        address=f"{host}/{signed}" if host and stage in ("RUNNING", "SLEEPING") else None,
        run_log=tail(space.run_log) if owner else "",
        build_log=tail(space.build_log) if owner else "",
    )
    if host:
        shown.headers["Content-Security-Policy"] += f"; frame-src {host}"
    return shown


def restart(call: OnRepo) -> Response:
    spaces: Spaces = call.request.app.state.spaces
    with call.writing() as (db, repo, _caller):
        spaces.set_paused(db, repo, False)
    spaces.restart(repo)
    return RedirectResponse(f"/{repo.url_path}", 303, HEADERS)


def pause(call: OnRepo) -> Response:
    spaces: Spaces = call.request.app.state.spaces
    with call.writing() as (db, repo, _caller):
        spaces.set_paused(db, repo, True)
    spaces.pause(repo)
    return RedirectResponse(f"/{repo.url_path}", 303, HEADERS)


for _verb, _handler in (("restart", restart), ("pause", pause)):
    router.add_api_route(f"/spaces/{{repo:repo}}/{_verb}", _handler, methods=["POST"])
router.add_api_route("/spaces/{repo:repo}", space_page, methods=["GET"])


# In the app's place


class AtTheDoor(Call):
    """A request to a Space's own address, handed over by its front."""

    def __init__(self, request: Request, number: Annotated[int, Path(ge=0, lt=1 << 62)]):
        super().__init__(request)
        self.number, self.spaces = number, request.app.state.spaces
        if not hmac.compare_digest(request.headers.get(PASSWORD, "").encode(), self.spaces.password.encode()):
            raise HubError(404, "There is no such page")

    @property
    def hub_page(self) -> str:
        """The Hub's own address, as the visitor knows its host."""
        host = self.request.url.hostname or "127.0.0.1"
        return f"http://{f'[{host}]' if ':' in host else host}:{self.spaces.hub_address[1]}"


@router.api_route("/-/space/{number}/{path:path}", methods=["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
def in_place_of_the_app(call: Annotated[AtTheDoor, Depends(AtTheDoor)], path: InRepo) -> Response:
    if path == FONT:  # of the pages below: a browser takes no font of another origin
        return pages.font()
    try:
        answer = _in_place(call, path)
    except HubError as error:
        if not wants_html(call.request):
            return JSONResponse({"error": error.message}, error.status, headers=error.all_headers)
        answer = page("space_waits.html", error.status, absent=True, reason=error.message, hub=call.hub_page)
    if policy := answer.headers.get("Content-Security-Policy"):  # the Hub's page shows it in a frame
        framed = policy.replace("frame-ancestors 'none'", f"frame-ancestors {call.hub_page}")
        answer.headers["Content-Security-Policy"] = framed
    return answer


def _in_place(call: AtTheDoor, path: str) -> Response:
    with call.hub.db() as db:
        repo = db.get(Repo, call.number)
        if repo is None:
            raise repo_not_found()
        if signed := call.request.query_params.get(visitors.PARAMETER):
            return _admit(call, db, repo, signed, path)
        caller = visitors.who(call.hub, db, repo, dict(call.request.headers), call.request.cookies)
        if not visitors.may_enter(db, repo, caller):
            raise repo_not_found()
        stage, reason = call.spaces.stage(db, repo)
        if stage == "RUNNING" and repo.card.get("sdk") == "static":
            return _file(call, db, repo, path)
        if not wants_html(call.request):
            return JSONResponse({"error": f"This Space does not run: {stage}. {reason}".strip()}, 503)
        shown = {"repo": repo, "starting": stage in STARTING, "paused": stage == "PAUSED", "reason": reason}
        return page("space_waits.html", 503, **shown, hub=call.hub_page)


def _admit(call: AtTheDoor, db: Session, repo: Repo, signed: str, path: str) -> Response:
    """Keeps the ticket of a link in a cookie, and leads on without it."""
    query = [(k, v) for k, v in parse_qsl(call.request.url.query) if k != visitors.PARAMETER]
    answer = RedirectResponse(f"/{quote(path)}" + (f"?{urlencode(query)}" if query else ""), 303)
    if caller := visitors.with_ticket(call.hub, db, repo, signed, visitors.ON_THE_WAY):
        fresh = visitors.ticket(call.hub, repo, caller)
        answer.set_cookie(visitors.cookie(repo), fresh, visitors.REMEMBERED, httponly=True, samesite="lax")
    return answer


def _file(call: AtTheDoor, db: Session, repo: Repo, path: str) -> Response:
    """A static Space's file, with the type that its name says."""
    with call.hub.git(repo) as git:
        files = {entry.path: entry for entry in git.files(repo.sha)}
        first = config.read(repo.card, files).app_file
        name = path or first
        entry = files.get(name) or files.get(f"{name.rstrip('/')}/index.html")
        if entry is None:
            raise entry_not_found(path)
        large = call.hub.large(db, repo, entry.pointer.sha256) if entry.pointer else None
        if entry.pointer and large is None:
            raise call.hub.not_there(db, repo, entry, repo.sha)
        headers = {"Accept-Ranges": "bytes", "Cache-Control": "no-cache"}
        headers["ETag"] = f'"{entry.pointer.sha256 if entry.pointer else entry.oid}"'
        answer = streamed(call.request, large, headers) if large else ranged(call.request, git.read(entry), headers)
    kind = mimetypes.guess_type(entry.path)[0] or "application/octet-stream"
    text = kind.startswith("text/") or kind in ("application/javascript", "application/json")
    answer.headers["Content-Type"] = f"{kind}; charset=utf-8" if text else kind
    return answer
