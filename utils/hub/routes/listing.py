"""Finding repos: the listings behind `list_models`, `list_datasets` and `list_spaces`."""

import re
from collections.abc import Iterator
from typing import Annotated

from fastapi import APIRouter, Query, Response
from sqlalchemy import ColumnElement, Select, and_, func, or_, select, true
from sqlalchemy.orm import selectinload

from utils.hub.accounts import Caller
from utils.hub.errors import invalid, not_served
from utils.hub.routes import info
from utils.hub.routes.call import AnyCall, Kinds, next_page
from utils.hub.tables import Account, Like, Membership, Repo, RepoTag

router = APIRouter()
PAGE, FULL_PAGE = 1000, 100  # rows
MOST_WORDS = 50  # in one query
SORTS = {
    "lastModified": Repo.last_modified,
    "createdAt": Repo.created_at,
    "likes": Repo.likes,
    "likes30d": select(func.count())
    .select_from(Like)
    .where(Like.repo_id == Repo.id, Like.created_at > func.datetime("now", "-30 days"))
    .correlate(Repo)
    .scalar_subquery(),
    "downloads": Repo.downloads,
    "num_parameters": Repo.safetensors["total"].as_integer(),
    "id": Repo.key,
    "trendingScore": Repo.last_modified,  # nothing trends on a class's Hub: what changed last is the news
}
AMOUNT = re.compile(r"(\d{1,15}(?:\.\d{1,6})?)([KMBT]?)", re.IGNORECASE)
POWERS = {"": 1, "K": 10**3, "M": 10**6, "B": 10**9, "T": 10**12}
Words = Annotated[list[str], Query(max_length=MOST_WORDS)]


@router.get("/api/{kind:kind}")
def listing(
    call: AnyCall,
    kind: Kinds,
    response: Response,
    search: Words = [],  # noqa: B006 - FastAPI makes a new one for each request
    author: str = "",
    filter: Words = [],  # noqa: A002, B006 - the protocol's own name
    pipeline_tag: str = "",
    num_parameters: str = "",
    gated: bool | None = None,
    models: Words = [],  # noqa: B006
    datasets: Words = [],  # noqa: B006
    linked: bool = False,
    apps: Words = [],  # noqa: B006
    inference: str = "",
    inference_provider: str = "",
    sort: str = "trendingScore",
    direction: int = -1,
    limit: int | None = Query(None, ge=1),
    full: bool = False,
    cardData: bool = False,
    config: bool = False,
    cursor: str = Query("", pattern="^[0-9]{0,9}$"),
    expand: list[str] = Query([]),  # noqa: B008
) -> list[dict]:
    if sort not in SORTS:
        raise invalid(f"Cannot sort by {sort!r}: use one of {', '.join(SORTS)}")
    if apps or inference or inference_provider:
        raise not_served("search by app or by inference provider")
    words = " ".join(search).lower().split()
    if len(words) > MOST_WORDS:
        raise invalid(f"Search for at most {MOST_WORDS} words")
    fields = expand or call.request.query_params.getlist("expand[]")
    start, size = int(cursor or 0), FULL_PAGE if full or fields else PAGE
    size = min(size, limit or size)
    call.hub.settle_downloads()
    with call.hub.db() as db:
        wanted = visible(call.caller(db)).where(Repo.kind == kind[:-1])
        for word in words:
            wanted = wanted.where(Repo.key.contains(word, autoescape=True))
        if author:
            wanted = wanted.join(Account, Account.id == Repo.owner_id).where(Account.key == author.lower())
        for tag in filter:
            wanted = wanted.where(tagged(tag))
        if pipeline_tag:
            wanted = wanted.where(Repo.pipeline_tag == pipeline_tag)
        if num_parameters:
            wanted = wanted.where(*_between(num_parameters))
        # What a Space is linked to: its card names it.
        for prefix, ids in (("model:", models), ("dataset:", datasets)):
            if ids:
                wanted = wanted.where(or_(*(tagged(prefix + name) for name in ids)))
        if linked:
            wanted = wanted.where(or_(begins("model:"), begins("dataset:")))
        if gated is not None:
            wanted = wanted.where(Repo.gated.is_not(None) if gated else Repo.gated.is_(None))
        column = SORTS[sort]
        wanted = wanted.order_by(column.asc() if direction == 1 else column.desc(), Repo.id)
        # First which repos, then what is shown of them: to sort them all with all of it took three times as long.
        ids = db.scalars(wanted.with_only_columns(Repo.id).offset(start).limit(size + 1)).all()
        shown = select(Repo).where(Repo.id.in_(ids[:size])).options(selectinload(Repo.tags))
        found = {repo.id: repo for repo in db.scalars(shown)}
        rows = []
        for repo in (found[number] for number in ids[:size] if number in found):
            if fields:
                rows.append(info.only(_full(call, repo), fields))
                continue
            row = _full(call, repo) if full else info.row(repo)
            if not cardData:
                row.pop("cardData", None)
            elif repo.card:
                row["cardData"] = repo.card
            if config and repo.config:
                row["config"] = repo.config
            rows.append(row)
    if len(ids) > size:
        response.headers["Link"] = next_page(call, cursor=str(start + size))
    return rows


def _full(call: AnyCall, repo: Repo) -> dict:
    with call.hub.git(repo) as git:
        return info.full(repo, git.files(repo.sha))


def visible(caller: Caller | None) -> Select[tuple[Repo]]:
    """The repos that the caller may know of: what `Caller.may_read` says of one, of all at once."""
    public = Repo.private.is_(False)
    if caller is None:
        return select(Repo).where(public)
    mine = select(Membership.org_id).where(Membership.user_id == caller.account.id)
    own = true() if caller.account.admin else or_(Repo.owner_id == caller.account.id, Repo.owner_id.in_(mine))
    if (entities := caller.readable_entities) is not None:
        namespaces = [name for kind, name in entities if kind in ("user", "org")]
        repos = [and_(Repo.kind == kind, Repo.key == name) for kind, name in entities if kind not in ("user", "org")]
        own = and_(own, or_(Repo.owner.has(Account.key.in_(namespaces)), *repos))
    return select(Repo).where(or_(public, own))


def _between(wish: str) -> Iterator[ColumnElement[bool]]:
    """Conditions on the number of parameters: "min:6B,max:128B", either of the two or both."""
    count = Repo.safetensors["total"].as_integer()
    for part in wish.split(","):
        bound, _, amount = part.strip().partition(":")
        match = AMOUNT.fullmatch(amount.strip())
        if bound not in ("min", "max") or match is None:
            raise invalid(f'Invalid num_parameters: {wish!r}; write "min:6B,max:128B"')
        limit = int(float(match[1]) * POWERS[match[2].upper()])
        yield count >= limit if bound == "min" else count <= limit


def begins(prefix: str):
    """Whether a repo has a tag that begins so."""
    return select(RepoTag).where(and_(RepoTag.repo_id == Repo.id, RepoTag.tag.startswith(prefix))).exists()


def tagged(tag: str):
    """Whether a repo has this tag; a language may come as `bn` or `language:bn`, either way a repo spells it."""
    spellings = {tag.lower(), tag.lower().removeprefix("language:"), f"language:{tag.lower()}"}
    return Repo.id.in_(select(RepoTag.repo_id).where(func.lower(RepoTag.tag).in_(spellings)))
