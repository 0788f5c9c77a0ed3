"""Looking after a data directory: `check` proves that nothing is lost or half-written, `collect` frees what is unused.

Both may run beside the Hub that serves the directory. `check` only reads. `collect` takes rows first and bytes after,
in a transaction of their own (`Hub.discard`): killed in between, it leaves only something for the next time.
"""

import hashlib
import shutil
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path

from dulwich.objects import Blob, Commit, Tag, Tree, object_class
from dulwich.repo import Repo as Git
from sqlalchemy import ColumnElement, delete, exists, func, select

from utils.hub.errors import HubError
from utils.hub.git import Pointer
from utils.hub.hub import Hub
from utils.hub.objects import ObjectStore
from utils.hub.tables import Repo, RepoObject, XetFile, XetTerm, Xorb
from utils.hub.xet import xorb

YOUNG = 24.0  # hours: an upload may still be on its way
SILENT = 3600  # seconds without a byte after which what is half sent will not be finished
AT_ONCE = 1000  # files that are removed in one transaction: others want to write, too


@dataclass(frozen=True)
class Finding:
    """Something that is not as it should be. `lost`: what was acknowledged is gone; else it is only untidy."""

    where: str
    what: str
    lost: bool = True


def steps(hub: Hub) -> list[tuple[str, object]]:
    """What `check` goes through, so that a progress bar knows how much there is."""
    with hub.db() as db:
        repos = db.scalars(select(Repo).order_by(Repo.key)).all()
        files = db.execute(select(RepoObject.sha256, func.max(RepoObject.size)).group_by(RepoObject.sha256)).all()
        xorbs = db.scalars(select(Xorb.hash)).all()
    return [("repo", r) for r in repos] + [("file", tuple(f)) for f in files] + [("xorb", x) for x in xorbs]


def check(hub: Hub, step: tuple[str, object]) -> Iterator[Finding]:
    kind, what = step
    yield from {"repo": _repo, "file": _file, "xorb": _xorb}[kind](hub, what)


def _repo(hub: Hub, repo: Repo) -> Iterator[Finding]:
    """All that the refs lead to, each object read and hashed; large files that git points to; the search index."""
    name, folder = f"{repo.kind} {repo.full_name}", hub.repos / repo.folder
    with hub.db() as db:
        if db.get(Repo, repo.id) is None:
            return  # deleted since we began
    try:
        git = Git(str(folder))
    except Exception as error:
        if not _deleted(hub, Repo.id == repo.id):
            yield Finding(name, f"the git repo does not open: {error}")
        return
    pointers: set[str] = set()
    with git:
        refs = git.get_refs()
        if b"refs/heads/main" not in refs:
            yield Finding(name, "there is no main")
        seen: set[bytes] = set()
        todo = [(sha, ref.decode(errors="replace")) for ref, sha in refs.items()]
        while todo:
            sha, above = todo.pop()
            if sha in seen:
                continue
            seen.add(sha)
            try:
                number, content = git.object_store.get_raw(sha)
                kind = object_class(number)
                header = b"%s %d\0" % (kind.type_name, len(content))
                if hashlib.sha1(header + content, usedforsecurity=False).hexdigest().encode() != sha:
                    raise ValueError("its content is another one")
            except Exception as error:
                if _deleted(hub, Repo.id == repo.id):
                    return
                yield Finding(name, f"git object {sha.decode()} ({above}): {type(error).__name__}: {error}")
                continue
            below = f"below {sha.decode()[:10]}"
            if kind is Commit:
                commit = Commit.from_string(content)
                todo += [(commit.tree, below), *((parent, below) for parent in commit.parents)]
            elif kind is Tree:
                todo += [(entry.sha, below) for entry in Tree.from_string(content).iteritems()]
            elif kind is Tag:
                todo.append((Tag.from_string(content).object[1], below))
            elif kind is Blob and (pointer := Pointer.parse(content)):
                pointers.add(pointer.sha256)
    with hub.db() as db:  # after the refs were read: a file comes before what points to it
        held = set(db.scalars(select(RepoObject.sha256).where(RepoObject.repo_id == repo.id)))
    for sha256 in sorted(pointers - held):
        yield Finding(name, f"large file {sha256} was deleted, or was never sent here", lost=False)


def _deleted(hub: Hub, row: ColumnElement[bool]) -> bool:
    """Whether what cannot be read has been deleted since we began, and no row is left of it."""
    with hub.db() as db:
        return not db.scalar(select(exists().where(row)))


def _file(hub: Hub, file: tuple[str, int]) -> Iterator[Finding]:
    """A large file that some repo holds: its bytes, read through the door by which they are served."""
    sha256, announced = file
    digest, size, what = hashlib.sha256(), 0, ""
    with hub.db() as db:
        content = hub.content(db, sha256, size=announced)
    try:
        if content is None:
            what = "is not on the disk, or only in part"
        else:
            for block in content.iterate(0, content.size):
                digest.update(block)
                size += len(block)
            if size != announced or digest.hexdigest() != sha256:
                what = f"has other bytes: {size} of {announced}, sha256 {digest.hexdigest()}"
    except (OSError, HubError) as error:
        what = f"cannot be read: {error}"
    if what and not _deleted(hub, RepoObject.sha256 == sha256):
        yield Finding(f"large file {sha256}", what)


def _xorb(hub: Hub, digest: str) -> Iterator[Finding]:
    """A xorb: its bytes, against what its row says of them. One that no file uses may go."""
    what = ""
    with hub.db() as db:
        known = db.scalar(select(Xorb.chunks).where(Xorb.hash == digest))
    try:
        with hub.xet.xorbs.path(digest).open("rb") as file:
            if xorb.check(file).pack() != known:
                what = "has other chunks, or has them at other places"
    except (OSError, HubError) as error:
        what = f"cannot be read: {error}"
    if what and not _deleted(hub, Xorb.hash == digest):
        yield Finding(f"xorb {digest}", what, lost=not _deleted(hub, XetTerm.xorb == digest))


@dataclass
class Freed:
    """What `collect` removed."""

    files: int = 0
    bytes: int = 0

    def add(self, size: int) -> None:
        self.files += 1
        self.bytes += size


def collect(hub: Hub, hours: float = YOUNG) -> Freed:
    """Removes what nothing uses and what is older than `hours`: large files that no repo holds, chunks of no file,
    half an upload, folders of deleted repos. Of a large file that came both ways the chunks stay.
    """
    freed, before = Freed(), time.time() - 3600 * hours
    with hub.writing() as db:
        db.execute(delete(XetFile).where(XetFile.sha256.not_in(select(RepoObject.sha256))))
        old = Xorb.created_at < datetime.fromtimestamp(before, UTC).replace(tzinfo=None)
        if db.execute(delete(Xorb).where(Xorb.hash.not_in(select(XetTerm.xorb)), old)).rowcount:
            hub.xet.renew(db)
    for names in _old(hub.objects, before):
        for size in hub.discard(files=names):
            freed.add(size)
        for sha256 in names:
            _keep_chunks_only(hub, sha256, freed)
    for names in _old(hub.xet.xorbs, before):
        for size in hub.discard(xorbs=names):
            freed.add(size)
    for store in (hub.objects, hub.xet.xorbs):
        for half in store.incoming.iterdir():
            # Whatever `hours` says: somebody may be sending it just now.
            with suppress(OSError):
                if (found := half.stat()).st_mtime < min(before, time.time() - SILENT):
                    half.unlink()
                    freed.add(found.st_size)
    for folder in _folders(hub, before):
        freed.add(sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()))
        shutil.rmtree(folder, ignore_errors=True)
    return freed


def _old(store: ObjectStore, before: float) -> Iterator[list[str]]:
    """The names of a store's files that are older than `before`, in portions; whether a row names them is not said."""

    def names() -> Iterator[str]:
        for file in store.root.glob("??/??/*"):
            with suppress(FileNotFoundError):
                if file.stat().st_mtime < before:
                    yield file.name

    found = names()
    while portion := list(islice(found, AT_ONCE)):
        yield portion


def _keep_chunks_only(hub: Hub, sha256: str, freed: Freed) -> None:
    """Removes the plain copy of a large file that lies in xorbs too, and is whole there."""
    with hub.db() as db:
        chunked = db.get(XetFile, sha256) and hub.content(db, sha256)
    if not (chunked and chunked.xet_hash):
        return
    digest = hashlib.sha256()
    try:
        for block in chunked.iterate(0, chunked.size):
            digest.update(block)
    except (OSError, HubError):
        return
    with hub.writing() as db:
        file = db.get(XetFile, sha256)
        if digest.hexdigest() == sha256 and file and hub.xet.is_whole(db, file):
            size = hub.objects.remove(sha256)
            if size is not None:
                freed.add(size)


def _folders(hub: Hub, before: float) -> list[Path]:
    """Folders of repos that are no more, moved out of everybody's way: `Hub.adopt` looks whether its one is there."""
    gone = []
    with hub.writing() as db:
        known = set(db.scalars(select(Repo.folder)))
        for folder in hub.repos.iterdir():
            if folder.name not in known and folder.stat().st_mtime < before:
                with suppress(OSError):  # on Windows: somebody reads in it
                    gone.append(folder.rename(folder.with_name(f"{folder.name.partition('.')[0]}.gone")))
    return gone
