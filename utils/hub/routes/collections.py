"""Collections: lists of repos, and of other collections, under a title.

A private repo may stand in a public collection: who may not know of it does not see that item, nor finds the
collection by it.
"""

import html
import re
import secrets
from collections.abc import Iterator
from typing import Annotated, Literal
from urllib.parse import unquote

from fastapi import APIRouter, Path, Query, Response
from fastapi.responses import JSONResponse
from pydantic import AfterValidator, BaseModel, Field
from sqlalchemy import ColumnElement, Select, func, or_, select, true, update
from sqlalchemy.orm import Session, joinedload

from utils.hub import accounts
from utils.hub.accounts import Caller
from utils.hub.errors import HubError, conflict, forbidden, invalid, no_write, not_served, repo_not_found
from utils.hub.routes.accounts import iso
from utils.hub.routes.call import AnyCall, Call, next_page
from utils.hub.routes.listing import visible
from utils.hub.tables import Account, Collection, CollectionItem, Membership, Repo, now

router = APIRouter()
PAGE = 100  # collections
SHOWN = 4  # items of each collection in a listing
MOST_COLLECTIONS = 1000  # of one owner
MOST_ITEMS = 500  # of one collection
THEMES = ("orange", "blue", "green", "purple", "pink", "indigo")
KINDS = ("model", "dataset", "space")
KEY = re.compile(r"(?:.*-)?([0-9a-f]{24})", re.DOTALL)

Slug = Annotated[str, Path(), AfterValidator(unquote)]
Names = Annotated[list[str], Query(max_length=50)]
Title = Annotated[str, Field(min_length=1, max_length=150, pattern=r"\S")]
Description = Annotated[str, Field(max_length=150)]
Note = Annotated[str, Field(max_length=500)]
Position = Annotated[int, Field(ge=0, le=1_000_000)]


def slug_of(collection: Collection) -> str:
    words = re.sub("[^a-z0-9]+", "-", collection.title.lower())[:60].strip("-")  # none of a title in Bangla
    return f"{collection.owner.name}/{'-'.join(filter(None, (words, collection.key)))}"


# Who may


def _may_read(db: Session, caller: Caller | None, collection: Collection) -> bool:
    if not collection.private:
        return True
    if caller is None:
        return False
    if caller.token.role == "fineGrained":  # its permissions name repos, and not what a namespace keeps beside them
        return caller.may_create(db, collection.owner)
    return caller.role_in(db, collection.owner_id) is not None


def _find(db: Session, caller: Caller | None, wanted: str) -> Collection:
    """The collection with this slug, whatever its title is now. Raises HubError 404, also for a stranger's private."""
    owner, _, rest = wanted.partition("/")
    match = KEY.fullmatch(rest)
    collection = db.scalar(select(Collection).where(Collection.key == match[1])) if match else None
    if collection is None or collection.owner.key != owner.lower() or not _may_read(db, caller, collection):
        raise _not_found()
    return collection


def _not_found() -> HubError:
    return HubError(404, "Collection not found")


def _check_writer(db: Session, caller: Caller, owner: Account) -> None:
    if not caller.may_create(db, owner):
        raise no_write(
            caller.can_write, f"you don't have the required permissions to change collections of {owner.name}"
        )


def _changing(call: Call, db: Session, wanted: str) -> tuple[Collection, Caller]:
    """The collection, if the caller may change it, with no other thread changing it until this session ends."""
    caller = call.caller(db)
    collection = _find(db, caller, wanted)
    caller = call.signed_in(db)
    _check_writer(db, caller, collection.owner)
    # Writing first lets one transaction in at a time: positions are counted after it.
    changed = db.execute(update(Collection).where(Collection.id == collection.id).values(updated_at=now()))
    if not changed.rowcount:
        raise _not_found()  # deleted meanwhile
    db.refresh(collection)
    return collection, caller


# What is shown


def _items(db: Session, caller: Caller | None, collection: Collection) -> Iterator[dict]:
    """Those items of a collection that the caller may know of, in their order."""
    position = 0
    wanted = _ordered(collection).options(joinedload(CollectionItem.repo), joinedload(CollectionItem.inner))
    for item in db.scalars(wanted.execution_options(yield_per=20)):
        if item.repo is not None:
            if not (caller.may_read(db, item.repo) if caller else not item.repo.private):
                continue
            row = _repo(item.repo)
        else:
            if not _may_read(db, caller, item.inner):
                continue
            row = {
                "id": slug_of(item.inner),
                "slug": slug_of(item.inner),
                "type": "collection",
                "title": item.inner.title,
            }
        if item.note:
            row["note"] = {"text": item.note, "html": html.escape(item.note)}
        yield row | {"_id": f"{item.id:024x}", "position": position}
        position += 1


def _repo(repo: Repo) -> dict:
    return {
        "id": repo.full_name,
        "type": repo.kind,
        "repoType": repo.kind,
        "author": repo.owner.name,
        "private": repo.private,
        "gated": repo.gated or False,
        "likes": repo.likes,
        "downloads": repo.downloads,
        "lastModified": iso(repo.last_modified),
        "pipeline_tag": repo.pipeline_tag,
    }


def _ordered(collection: Collection) -> Select[tuple[CollectionItem]]:
    wanted = select(CollectionItem).where(CollectionItem.collection_id == collection.id)
    return wanted.order_by(CollectionItem.position, CollectionItem.id)


def _shown(collection: Collection, items: list[dict]) -> dict:
    owner = collection.owner
    return {
        "slug": slug_of(collection),
        "title": collection.title,
        "description": collection.description,
        "owner": {
            "_id": f"{owner.id:024x}",
            "name": owner.name,
            "fullname": owner.fullname,
            "type": owner.kind,
            "avatarUrl": "",
        },
        "items": items,
        "theme": collection.theme,
        "private": collection.private,
        "gating": False,
        "upvotes": 0,
        "isUpvotedByUser": False,
        "lastUpdated": iso(collection.updated_at),
    }


def _whole(db: Session, caller: Caller | None, collection: Collection) -> dict:
    return _shown(collection, [*_items(db, caller, collection)]) | {"position": collection.position}


# Collections


@router.get("/api/collections")
def listing(
    call: AnyCall,
    response: Response,
    owner: Names = [],  # noqa: B006 - FastAPI makes a new one for each request
    item: Names = [],  # noqa: B006
    q: str = Query("", max_length=200),
    sort: Literal["lastModified", "trending", "upvotes"] | None = None,
    limit: int | None = Query(None, ge=1),
    cursor: str = Query("", pattern="^[0-9]{0,9}$"),
) -> list[dict]:
    """Without `position`: the client counts for itself."""
    start, size = int(cursor or 0), min(PAGE, limit or PAGE)
    with call.hub.db() as db:
        caller = call.caller(db)
        wanted = select(Collection).where(_perhaps_visible(caller))
        if owner:
            owners = select(Account.id).where(Account.key.in_([name.lower() for name in owner]))
            wanted = wanted.where(Collection.owner_id.in_(owners))
        if q:
            wanted = wanted.where(Collection.title.icontains(q, autoescape=True))
        if item:
            repos = _repos(caller, item)
            wanted = wanted.where(
                select(CollectionItem)
                .where(CollectionItem.collection_id == Collection.id, CollectionItem.repo_id.in_(repos))
                .exists()
            )
        # One owner's stand in his order; nothing trends and nobody votes here, so that else the last change decides.
        first = Collection.position if len(owner) == 1 and sort is None else Collection.updated_at.desc()
        found = db.scalars(wanted.order_by(first, Collection.id).offset(start).limit(size + 1)).all()
        rows = []
        for collection in found[:size]:
            if _may_read(db, caller, collection):
                items = _items(db, caller, collection)
                rows.append(_shown(collection, [row for row, _ in zip(items, range(SHOWN), strict=False)]))
    if len(found) > size:
        response.headers["Link"] = next_page(call, cursor=str(start + size))
    return rows


def _perhaps_visible(caller: Caller | None) -> ColumnElement[bool]:
    """Whether a collection may be visible to the caller; `_may_read` has the last word."""
    public = Collection.private.is_(False)
    if caller is None:
        return public
    if caller.account.admin:
        return true()
    mine = select(Membership.org_id).where(Membership.user_id == caller.account.id)
    return or_(public, Collection.owner_id == caller.account.id, Collection.owner_id.in_(mine))


def _repos(caller: Caller | None, names: list[str]) -> Select[tuple[int]]:
    """The ids of the repos that `models/owner/name`, `datasets/owner/name`, … name and the caller may know of."""
    split = [name.lower().partition("/") for name in names]
    named = or_(*((Repo.kind == kind.removesuffix("s")) & (Repo.key == key) for kind, _, key in split))
    return visible(caller).where(named).with_only_columns(Repo.id)


class NewCollection(BaseModel):
    title: Title
    namespace: str
    description: Description | None = None
    private: bool = False
    resourceGroupId: str | None = None


@router.post("/api/collections")
def create(call: AnyCall, new: NewCollection) -> JSONResponse:
    if new.resourceGroupId:
        raise not_served("resource groups")
    with call.hub.db() as db:
        caller = call.signed_in(db)
        owner = accounts.find(db, new.namespace)
        if owner is None:
            raise forbidden(f'you cannot create collections in "{new.namespace}"')
        _check_writer(db, caller, owner)
        collection = Collection(
            key=secrets.token_hex(12),
            owner=owner,
            title=new.title.strip(),
            description=new.description,
            private=new.private,
            theme=secrets.choice(THEMES),
        )
        db.add(collection)
        db.flush()  # writing first lets one transaction in at a time: what is there is looked at after it
        others = select(Collection).where(Collection.owner_id == owner.id, Collection.id != collection.id)
        if twin := db.scalar(others.where(Collection.title == collection.title)):
            db.delete(collection)
            error = conflict(f"You already have a collection with this title: {slug_of(twin)}")
            # With exists_ok the client reads the slug from this refusal.
            return JSONResponse({"error": error.message, "slug": slug_of(twin)}, 409, headers=error.all_headers)
        count = db.scalar(select(func.count()).select_from(others.subquery()))
        if count >= MOST_COLLECTIONS:
            raise conflict(f"{owner.name} has {MOST_COLLECTIONS} collections: delete one first")
        collection.position = count
        return JSONResponse(_whole(db, caller, collection))


# Items. Before what follows: its shorter path would catch these.


class Thing(BaseModel):
    id: str = Field(max_length=300)
    type: str | None = None


class NewItem(BaseModel):
    item: Thing
    note: Note | None = None


@router.post("/api/collections/{slug:path}/items")
def add_item(call: AnyCall, slug: Slug, new: NewItem) -> dict:
    if new.item.type is None:
        raise invalid('The item has no "type": say what it is, one of model, dataset, space, collection')
    if new.item.type in ("paper", "bucket"):
        raise not_served(f"{new.item.type}s in collections")
    if new.item.type not in (*KINDS, "collection"):
        raise invalid(f"Invalid item type {new.item.type!r}: it is one of model, dataset, space, collection")
    with call.hub.db() as db:
        # Looked up first: finding a repo may index it, in a transaction that would wait for this one.
        thing = _thing(call, db, call.signed_in(db), new.item.type, new.item.id)
        collection, caller = _changing(call, db, slug)
        if thing is collection:
            raise invalid("A collection cannot hold itself")
        which = {"inner_id" if isinstance(thing, Collection) else "repo_id": thing.id}
        there = db.scalars(_ordered(collection)).all()
        if any(getattr(item, column) == value for item in there for column, value in which.items()):
            raise conflict(f"{new.item.id} is in this collection already")
        if len(there) >= MOST_ITEMS:
            raise conflict(f"A collection holds at most {MOST_ITEMS} items")
        db.add(CollectionItem(collection_id=collection.id, position=len(there), note=new.note or None, **which))
        db.flush()
        return _whole(db, caller, collection)


def _thing(call: Call, db: Session, caller: Caller, kind: str, name: str) -> Repo | Collection:
    """What is to become an item. Raises HubError 404 where the caller may not know of it."""
    if kind == "collection":
        return _find(db, caller, name)
    repo = call.hub.find(db, kind, name.removeprefix(f"{kind}s/"))
    if not caller.may_read(db, repo):
        raise repo_not_found()
    return repo


class ItemChange(BaseModel):
    note: Note | None = None
    position: Position | None = None


@router.patch("/api/collections/{slug:path}/items/{item}")
def change_item(call: AnyCall, slug: Slug, item: str, wish: ItemChange) -> dict:
    with call.hub.db() as db:
        collection, caller = _changing(call, db, slug)
        found = _item(db, collection, item)
        if wish.note is not None:
            found.note = wish.note or None
        if wish.position is not None:
            _put(db.scalars(_ordered(collection)).all(), found, wish.position)
        db.flush()
        shown = {row["_id"]: row for row in _items(db, caller, collection)}
        return {"success": True, "data": shown.get(item)}


@router.delete("/api/collections/{slug:path}/items/{item}")
def delete_item(call: AnyCall, slug: Slug, item: str) -> dict:
    with call.hub.db() as db:
        collection, _caller = _changing(call, db, slug)
        db.delete(_item(db, collection, item))
        db.flush()
        _number(db.scalars(_ordered(collection)).all())
    return {"success": True}


def _item(db: Session, collection: Collection, item: str) -> CollectionItem:
    number = int(item, 16) if re.fullmatch("[0-9a-f]{24}", item) else 0
    found = db.get(CollectionItem, number) if number < 1 << 63 else None
    if found is None or found.collection_id != collection.id:
        raise HubError(404, "This collection has no such item")
    return found


def _put(row: list, thing: Collection | CollectionItem, position: int) -> None:
    """Moves one of a row to a position; what stands there and after it makes room."""
    rest = [other for other in row if other is not thing]
    _number([*rest[:position], thing, *rest[position:]])


def _number(row: list) -> None:
    for position, thing in enumerate(row):
        thing.position = position


# One collection


@router.get("/api/collections/{slug:path}")
def get(call: AnyCall, slug: Slug) -> dict:
    with call.hub.db() as db:
        caller = call.caller(db)
        return _whole(db, caller, _find(db, caller, slug))


class CollectionChange(BaseModel):
    title: Title | None = None
    description: Description | None = None
    position: Position | None = None
    private: bool | None = None
    theme: Literal["orange", "blue", "green", "purple", "pink", "indigo"] | None = None


@router.patch("/api/collections/{slug:path}")
def change(call: AnyCall, slug: Slug, wish: CollectionChange) -> dict:
    with call.hub.db() as db:
        collection, caller = _changing(call, db, slug)
        if wish.title is not None:
            collection.title = wish.title.strip()
        if wish.description is not None:
            collection.description = wish.description or None
        if wish.private is not None:
            collection.private = wish.private
        if wish.theme is not None:
            collection.theme = wish.theme
        if wish.position is not None:
            row = select(Collection).where(Collection.owner_id == collection.owner_id)
            _put([*db.scalars(row.order_by(Collection.position, Collection.id))], collection, wish.position)
        db.flush()
        return {"success": True, "data": _whole(db, caller, collection)}


@router.delete("/api/collections/{slug:path}")
def delete(call: AnyCall, slug: Slug) -> dict:
    with call.hub.db() as db:
        collection, _caller = _changing(call, db, slug)
        db.delete(collection)
    return {"success": True}
