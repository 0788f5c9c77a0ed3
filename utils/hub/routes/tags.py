"""Which tags there are, by type: what a search form offers, from the repos that the caller may know of."""

from collections.abc import Iterable

from fastapi import APIRouter
from sqlalchemy import Subquery, func, select
from sqlalchemy.orm import Session

from utils.hub import cards
from utils.hub.routes.call import AnyCall
from utils.hub.routes.listing import visible
from utils.hub.tables import Repo, RepoTag

router = APIRouter()
MOST = 10_000  # tags: those that the most repos have
FORMATS = ("safetensors", "gguf")  # the Hub counts them among the libraries


@router.get("/api/models-tags-by-type")
def of_models(call: AnyCall) -> dict[str, list[dict]]:
    with call.hub.db() as db:
        repos = visible(call.caller(db)).where(Repo.kind == "model").subquery()
        tags = _common(db, repos)
        # A model's tags bear no prefix where the field they come from is one of these.
        tasks = {*db.scalars(select(repos.c.pipeline_tag).distinct())}
        libraries = {*db.scalars(select(repos.c.library_name).distinct()), *FORMATS}
        spoken = db.scalars(select(repos.c.card["language"]).distinct())
        languages = {language for found in spoken for language in cards.listing(found) or []}
    sorts = {"pipeline_tag": tasks, "library": libraries, "language": languages}
    return _by_type(tags, sorts)


@router.get("/api/datasets-tags-by-type")
def of_datasets(call: AnyCall) -> dict[str, list[dict]]:
    with call.hub.db() as db:
        tags = _common(db, visible(call.caller(db)).where(Repo.kind == "dataset").subquery())
    return _by_type(tags, {})


def _common(db: Session, repos: Subquery) -> list[str]:
    count = select(RepoTag.tag).join(repos, repos.c.id == RepoTag.repo_id).group_by(RepoTag.tag)
    return [*db.scalars(count.order_by(func.count().desc(), RepoTag.tag).limit(MOST))]


def _by_type(tags: Iterable[str], sorts: dict[str, set]) -> dict[str, list[dict]]:
    prefixes = tuple({*cards.TAG_FIELDS.values(), "language:"})
    found: dict[str, list[dict]] = {}
    for tag in tags:
        if tag.startswith(prefixes):
            sort, _, label = tag.partition(":")
        else:
            sort, label = next((name for name, known in sorts.items() if tag in known), "other"), tag
        found.setdefault(sort, []).append({"id": tag, "label": label, "type": sort})
    return found
