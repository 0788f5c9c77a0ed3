"""Pages for a browser: what a link to the Hub shows, and what the real Hub also leaves to its pages.

Logging in, making tokens and asking for a gated repo have no API call in the client; here as there a form does it.
A program may send the same forms with its token, and is answered in JSON.
"""

from typing import Annotated

from fastapi import APIRouter, Form, Path
from fastapi.responses import FileResponse, JSONResponse, PlainTextResponse, RedirectResponse, Response
from sqlalchemy import select
from sqlalchemy.orm import Session, selectinload

from utils.hub import accounts, discussions
from utils.hub.accounts import Caller
from utils.hub.errors import HubError, forbidden
from utils.hub.html import HEADERS, page, wants_html
from utils.hub.routes.call import PREFIXES, Call, Kinds, Revision
from utils.hub.routes.listing import visible
from utils.hub.routes.visitor import COOKIE, AnyVisitor, OnRepo, Visitor, remember
from utils.hub.tables import AccessRequest, Discussion, DiscussionEvent, Repo

router = APIRouter(include_in_schema=False)
ROWS, FILES = 200, 500  # on one page
LARGEST_CARD = 100_000  # bytes shown
GREETING = "Pathshala Hub চলছে। এখানে huggingface_hub, transformers আর datasets কাজ করে।\n"


@router.get("/")
def home(call: AnyVisitor) -> Response:
    if not wants_html(call.request):
        return PlainTextResponse(GREETING)
    return _listing(call, "নতুন যা আছে", ())


@router.get("/{kind:kind}")
def all_of_a_kind(call: AnyVisitor, kind: Kinds) -> Response:
    return _listing(call, f"সব {kind.removesuffix('s')}", (Repo.kind == kind[:-1],))


def _listing(call: Visitor, title: str, conditions: tuple) -> Response:
    with call.hub.db() as db:
        wanted = visible(call.caller(db)).where(*conditions).order_by(Repo.last_modified.desc(), Repo.id)
        repos = db.scalars(wanted.options(selectinload(Repo.tags)).limit(ROWS)).all()
        return page("listing.html", title=title, repos=repos, user=call.user(db))


@router.get("/-/font.ttf")
def font() -> Response:
    """The course's Bangla font, for computers that have none."""
    import fontpkg_hind_siliguri

    file = fontpkg_hind_siliguri.ROOT / "files" / "HindSiliguri-Light.ttf"
    return FileResponse(file, media_type="font/ttf", headers={"Cache-Control": "max-age=86400"})


@router.get("/login")
def login_form(call: AnyVisitor) -> Response:
    with call.hub.db() as db:
        return page("login.html", user=call.user(db), open=call.request.app.state.open)


@router.post("/login")
def login(call: AnyVisitor, token: Annotated[str, Form(max_length=200)]) -> Response:
    with call.hub.db() as db:
        return remember(call, RedirectResponse("/", 303, HEADERS), db, token.strip())


@router.post("/logout")
def logout(_call: AnyVisitor) -> Response:
    response = RedirectResponse("/", 303, HEADERS)
    response.delete_cookie(COOKIE)
    return response


@router.get("/join")
def join_form(call: AnyVisitor) -> Response:
    _must_be_open(call)
    return page("login.html", joining=True)


@router.post("/join")
def join(call: AnyVisitor, name: Annotated[str, Form(max_length=100)]) -> Response:
    """A new account and its first token: shown once, on a page or as JSON."""
    _must_be_open(call)
    with call.hub.db() as db:
        account = accounts.add(db, name)
        secret = accounts.add_token(db, account, "first")
        db.flush()
        if not wants_html(call.request):
            return JSONResponse({"name": account.name, "token": secret}, headers=HEADERS)
        return remember(call, page("login.html", user=account, secret=secret), db, secret)


def _must_be_open(call: Call) -> None:
    if not call.request.app.state.open:
        raise forbidden("Accounts of this Hub are made by the one who runs it: pathshala hub user add NAME")


@router.get("/settings/tokens")
def tokens(call: AnyVisitor) -> Response:
    with call.hub.db() as db:
        caller = call.signed_in(db)
        listed = accounts.tokens(db, caller.account)
        if wants_html(call.request):
            return page("tokens.html", user=caller.account, tokens=listed)
        shown = [{"name": t.name, "role": t.role, "fineGrained": t.fine_grained} for t in listed]
        return JSONResponse(shown, headers=HEADERS)


@router.post("/settings/tokens")
def new_token(
    call: AnyVisitor,
    name: Annotated[str, Form(max_length=100)],
    role: Annotated[str, Form(max_length=20)] = "read",
    place: Annotated[str, Form(max_length=300)] = "",
    write: Annotated[bool, Form()] = False,
) -> Response:
    """One more token. A fine-grained one is for one place: OWNER/NAME, datasets/OWNER/NAME, or a whole OWNER."""
    with call.hub.db() as db:
        caller = _owner(call, db)
        scopes = None
        if role == "fineGrained":
            permissions = [accounts.READ, *([accounts.WRITE, accounts.DISCUSS] if write else [])]
            scopes = {accounts.entity(db, place.strip()): permissions}
        secret = accounts.add_token(db, caller.account, name, role, scopes=scopes, gated=scopes is not None)
        if not wants_html(call.request):
            return JSONResponse({"name": name, "token": secret}, headers=HEADERS)
        db.flush()
        listed = accounts.tokens(db, caller.account)
        return page("tokens.html", user=caller.account, tokens=listed, secret=secret)


@router.post("/settings/tokens/revoke")
def revoke(call: AnyVisitor, name: Annotated[str, Form(max_length=100)]) -> Response:
    with call.hub.db() as db:
        accounts.revoke(db, _owner(call, db).account, name)
    if wants_html(call.request):
        return RedirectResponse("/settings/tokens", 303, HEADERS)
    return JSONResponse({}, headers=HEADERS)


def _owner(call: Call, db: Session) -> Caller:
    """Whoever may make tokens: a token that is less than its account must not make one that is more."""
    caller = call.signed_in(db)
    if caller.token.role != "write":
        raise forbidden("Tokens are made and revoked with a write token only")
    return caller


def main_page(call: OnRepo) -> Response:
    return revision_page(call, "main")


def revision_page(call: OnRepo, revision: Revision) -> Response:
    with call.reading() as (db, repo), call.hub.git(repo) as git:
        caller = call.caller(db)
        commit = git.resolve(revision)
        files = git.files(commit)
        may_read = not repo.gated or (caller is not None and caller.may_read_files(db, repo))
        request = db.get(AccessRequest, (repo.id, caller.account.id)) if caller and repo.gated else None
        card = git.entry(commit, "README.md")
        talk = select(Discussion).where(Discussion.repo_id == repo.id)
        shown = card and not card.is_folder and not card.pointer and card.size <= LARGEST_CARD
        return page(
            "repo.html",
            user=caller and caller.account,
            repo=repo,
            revision=revision,
            tags=[tag.tag for tag in repo.tags],
            files=files[:FILES],
            more=max(len(files) - FILES, 0),
            may_read=may_read,
            card=git.read(card).decode(errors="replace") if shown else None,
            gate=repo.gated and ("accepted" if may_read else request.status if request else "new"),
            reason=request and request.rejection_reason,
            discussions=db.scalars(talk.order_by(Discussion.num.desc()).limit(ROWS)).all(),
        )


def discussion_page(call: OnRepo, num: Annotated[int, Path(ge=1, lt=10**9)]) -> Response:
    with call.reading() as (db, repo):
        found = discussions.find(db, repo, num)
        events = select(DiscussionEvent).where(DiscussionEvent.discussion_id == found.id).order_by(DiscussionEvent.id)
        said = db.scalars(events).all()
        return page("discussion.html", user=call.user(db), repo=repo, discussion=found, events=said)


# The last routes of all: they take every path of two parts.
last = APIRouter(include_in_schema=False)
for _prefix in PREFIXES:
    last.add_api_route(f"/{_prefix}{{repo:repo}}/tree/{{revision}}", revision_page, methods=["GET"])
    last.add_api_route(f"/{_prefix}{{repo:repo}}/discussions/{{num}}", discussion_page, methods=["GET"])
    last.add_api_route(f"/{_prefix}{{repo:repo}}", main_page, methods=["GET"])


@last.get("/{name}")
def account_page(call: AnyVisitor, name: str) -> Response:
    with call.hub.db() as db:
        account = accounts.find(db, name)
    if account is None:
        raise HubError(404, f"{name}: no such page, user or organisation")
    return _listing(call, account.fullname, (Repo.owner_id == account.id,))
