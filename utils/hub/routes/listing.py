"""Finding repos: the listings behind `list_models`, `list_datasets` and `list_spaces`."""

from fastapi import APIRouter, Query, Response
from sqlalchemy import Select, and_, func, or_, select
from sqlalchemy.orm import Session, selectinload

from utils.hub.accounts import Caller
from utils.hub.errors import invalid
from utils.hub.routes import info
from utils.hub.routes.call import AnyCall, Kinds, next_page
from utils.hub.tables import Account, Membership, Repo, RepoTag

router = APIRouter()
PAGE, FULL_PAGE = 1000, 100  # rows
MOST_WORDS = 50  # in one query
SORTS = {
    "lastModified": Repo.last_modified,
    "createdAt": Repo.created_at,
    # Nobody counts likes and downloads here yet: all have none, and the newest change decides.
    "likes": Repo.last_modified,
    "downloads": Repo.last_modified,
    "trendingScore": Repo.last_modified,
}


@router.get("/api/{kind:kind}")
def listing(
    call: AnyCall,
    kind: Kinds,
    response: Response,
    search: str = "",
    author: str = "",
    filter: list[str] = Query([], max_length=MOST_WORDS),  # noqa: A002, B008 - the protocol's own name
    pipeline_tag: str = "",
    gated: bool | None = None,
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
    words = search.lower().split()
    if len(words) > MOST_WORDS:
        raise invalid(f"Search for at most {MOST_WORDS} words")
    fields = expand or call.request.query_params.getlist("expand[]")
    start, size = int(cursor or 0), FULL_PAGE if full or fields else PAGE
    size = min(size, limit or size)
    with call.hub.db() as db:
        wanted = visible(db, call.caller(db)).where(Repo.kind == kind[:-1])
        for word in words:
            wanted = wanted.where(Repo.key.contains(word, autoescape=True))
        if author:
            wanted = wanted.join(Account, Account.id == Repo.owner_id).where(Account.key == author.lower())
        for tag in filter:
            wanted = wanted.where(tagged(tag))
        if pipeline_tag:
            wanted = wanted.where(Repo.pipeline_tag == pipeline_tag)
        if gated is not None:
            wanted = wanted.where(Repo.gated.is_not(None) if gated else Repo.gated.is_(None))
        column = SORTS[sort]
        wanted = wanted.order_by(column.asc() if direction == 1 else column.desc(), Repo.id)
        found = db.scalars(wanted.options(selectinload(Repo.tags)).offset(start).limit(size + 1)).all()
        rows = []
        for repo in found[:size]:
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
    if len(found) > size:
        response.headers["Link"] = next_page(call, cursor=str(start + size))
    return rows


def _full(call: AnyCall, repo: Repo) -> dict:
    with call.hub.git(repo) as git:
        return info.full(repo, git.files(repo.sha))


def visible(db: Session, caller: Caller | None) -> Select[tuple[Repo]]:
    """The repos that the caller may know of."""
    if caller is None:
        return select(Repo).where(Repo.private.is_(False))
    if caller.account.admin:
        return select(Repo)
    mine = select(Membership.org_id).where(Membership.user_id == caller.account.id)
    return select(Repo).where(or_(Repo.private.is_(False), Repo.owner_id == caller.account.id, Repo.owner_id.in_(mine)))


def tagged(tag: str):
    """Whether a repo has this tag; a language may come as `bn` or `language:bn`, either way a repo spells it."""
    spellings = {tag.lower(), tag.lower().removeprefix("language:"), f"language:{tag.lower()}"}
    return select(RepoTag).where(and_(RepoTag.repo_id == Repo.id, func.lower(RepoTag.tag).in_(spellings))).exists()
