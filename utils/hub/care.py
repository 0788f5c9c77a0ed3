"""Looking after a data directory: `check` proves that nothing is lost or half-written, `collect` frees what is unused.

Both may run beside the Hub that serves the directory. `check` only reads. `collect` deletes files inside a writing
transaction: SQLite lets one in at a time, and who takes a large file into use (`Hub.keep`, `XetStore.keep`) looks once
more in its own whether the file is there.
"""

import hashlib
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from dulwich.objects import Blob, Commit, Tag, Tree, object_class
from dulwich.repo import Repo as Git
from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from utils.hub.errors import HubError
from utils.hub.git import Pointer
from utils.hub.hub import Hub
from utils.hub.objects import ObjectStore
from utils.hub.tables import Repo, RepoObject, XetFile, XetTerm, Xorb
from utils.hub.xet import xorb
from utils.hub.xet.hashing import to_hex

YOUNG = 24.0  # hours: an upload may still be on its way


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
        sha256s = db.scalars(select(RepoObject.sha256).distinct()).all()
        xorbs = db.scalars(select(Xorb.hash)).all()
    return [("repo", r) for r in repos] + [("object", s) for s in sha256s] + [("xorb", x) for x in xorbs]


def check(hub: Hub, step: tuple[str, object]) -> Iterator[Finding]:
    kind, what = step
    yield from {"repo": _repo, "object": _object, "xorb": _xorb}[kind](hub, what)


def _repo(hub: Hub, repo: Repo) -> Iterator[Finding]:
    """All that the refs lead to, each object read and hashed; large files that git points to; the search index."""
    name, folder = f"{repo.kind} {repo.full_name}", hub.repos / repo.folder
    with hub.db() as db:
        if db.get(Repo, repo.id) is None:
            return  # deleted since we began
        held = set(db.scalars(select(RepoObject.sha256).where(RepoObject.repo_id == repo.id)))
    try:
        git = Git(str(folder))
    except Exception as error:
        yield Finding(name, f"the git repo does not open: {error}")
        return
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
            elif kind is Blob and (pointer := Pointer.parse(content)) and pointer.sha256 not in held:
                yield Finding(name, f"large file {pointer.sha256} was deleted, or was never sent here", lost=False)


def _object(hub: Hub, sha256: str) -> Iterator[Finding]:
    """A large file that some repo holds: its bytes, read through the door by which they are served."""
    with hub.db() as db:
        row = db.scalar(select(RepoObject).where(RepoObject.sha256 == sha256))
        content = row and hub.content(db, sha256)
    if row is None:
        return
    where = f"large file {sha256}"
    if content is None:
        yield Finding(where, "is not on the disk")
        return
    digest, size = hashlib.sha256(), 0
    try:
        for block in content.iterate(0, content.size):
            digest.update(block)
            size += len(block)
    except (OSError, HubError, ValueError) as error:
        yield Finding(where, f"cannot be read: {error}")
        return
    if size != row.size or digest.hexdigest() != sha256:
        yield Finding(where, f"has other bytes: {size} of {row.size}, sha256 {digest.hexdigest()}")


def _xorb(hub: Hub, digest: str) -> Iterator[Finding]:
    with hub.db() as db:
        if db.get(Xorb, digest) is None:
            return
    try:
        with hub.xet.xorbs.path(digest).open("rb") as file:
            found = to_hex(xorb.check(file).hash)
    except (OSError, HubError) as error:
        yield Finding(f"xorb {digest}", f"cannot be read: {error}")
        return
    if found != digest:
        yield Finding(f"xorb {digest}", "has other chunks")


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
    half an upload, folders of deleted repos.
    """
    freed, before = Freed(), time.time() - 3600 * hours
    with hub.db() as db:
        db.execute(delete(XetFile).where(XetFile.sha256.not_in(select(RepoObject.sha256))))
    with hub.db() as db:
        _collect_xorbs(hub, db, datetime.fromtimestamp(before, UTC).replace(tzinfo=None), freed)
    with hub.db() as db:
        # Writing first: who takes a file into use waits until this ends, then looks whether it is there.
        db.execute(delete(RepoObject).where(RepoObject.repo_id.not_in(select(Repo.id))))
        held = set(db.scalars(select(RepoObject.sha256)))
        _collect_files(hub.objects, held, before, freed)
        known = set(db.scalars(select(Repo.folder)))
    for folder in hub.repos.iterdir():
        # A young one may be a repo that is just being made.
        if folder.name not in known and folder.stat().st_mtime < before:
            freed.add(sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()))
            shutil.rmtree(folder, ignore_errors=True)
    return freed


def _collect_xorbs(hub: Hub, db: Session, before: datetime, freed: Freed) -> None:
    unused = Xorb.hash.not_in(select(XetTerm.xorb))
    gone = db.execute(delete(Xorb).where(unused, Xorb.created_at < before).returning(Xorb.hash, Xorb.size)).all()
    if gone:
        hub.xet.renew(db)
    for digest, size in gone:
        hub.xet.xorbs.remove(digest)
        freed.add(size)
    kept = set(db.scalars(select(Xorb.hash)))
    _collect_files(hub.xet.xorbs, kept, before.replace(tzinfo=UTC).timestamp(), freed)


def _collect_files(store: ObjectStore, held: set[str], before: float, freed: Freed) -> None:
    """Files of a store that nothing names: a crash came before their row, or they were half-sent."""
    for file in [*store.root.glob("??/??/*"), *store.incoming.iterdir()]:
        _remove_old(file, held, before, freed)


def _remove_old(file: Path, held: set[str], before: float, freed: Freed) -> None:
    try:
        found = file.stat()
        if file.name not in held and found.st_mtime < before:
            file.unlink()
            freed.add(found.st_size)
    except OSError:  # just gone, or (on Windows) just being read
        pass
