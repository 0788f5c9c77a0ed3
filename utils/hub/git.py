"""Git as the Hub needs it: revisions, trees and commits of one bare repo, over dulwich.

A commit writes its objects first and moves its branch last, by one atomic rename; whatever dies in between leaves
only objects that nothing points to.
"""

import hashlib
import os
import re
import stat
import threading
import time
import unicodedata
import uuid
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import IO

from dulwich.diff_tree import tree_changes
from dulwich.graph import find_merge_base
from dulwich.object_store import BaseObjectStore, DiskObjectStore
from dulwich.objects import Blob, Commit, ShaFile, Tag, Tree, object_class
from dulwich.pack import Pack, PackFileDisappeared, full_unpacked_object, write_pack_data, write_pack_index_v2
from dulwich.repo import Repo

from utils.hub.errors import (
    HubError,
    conflict,
    damaged,
    entry_not_found,
    forbidden,
    invalid,
    is_full,
    revision_not_found,
    unprocessable,
)
from utils.hub.objects import sync_folder

FILE_MODE = stat.S_IFREG | 0o644
# One pack is one fsync; below this many objects loose ones are as fast and keep the list of packs short.
LOOSE_AT_MOST = 16
REMEMBERED = 16  # commits and trees, in one request
POINTER = re.compile(
    rb"\Aversion https://git-lfs\.github\.com/spec/v1\n(?:ext-[^\n]*\n)*oid sha256:([0-9a-f]{64})\nsize (\d{1,18})\n?\Z"
)
WRITABLE = ("refs/heads/", "refs/pr/", "refs/convert/")
COMMIT_ID = re.compile(r"[0-9a-fA-F]{4,40}")
REF_NAME = re.compile(
    r"(?!.*(?:\.\.|//|@\{|\.lock(?:/|$)|/\.))[^\x00-\x20~^:?*\[\\\x7f/.][^\x00-\x20~^:?*\[\\\x7f]*(?<![/.])"
)


@dataclass(frozen=True)
class Pointer:
    """What git holds in place of a large file (git-lfs pointer file, spec v1)."""

    sha256: str
    size: int

    def __bytes__(self) -> bytes:
        return f"version https://git-lfs.github.com/spec/v1\noid sha256:{self.sha256}\nsize {self.size}\n".encode()

    @classmethod
    def parse(cls, content: bytes) -> "Pointer | None":
        match = POINTER.match(content) if len(content) < 1024 else None
        return cls(match[1].decode(), int(match[2])) if match else None


@dataclass(frozen=True)
class Entry:
    """A file or a folder in a tree. `size` is that of the content, not of the pointer."""

    path: str
    is_folder: bool
    oid: str
    size: int = 0
    pointer: Pointer | None = None
    pointer_size: int = 0


@dataclass(frozen=True)
class Change:
    """One operation of a commit: new content (bytes or a pointer), or none to delete the path."""

    path: str
    content: bytes | Pointer | None


def check_path(path: str) -> str:
    """Returns `path` if it stays inside the repo and a disk can hold it. Raises HubError 422 if not."""
    parts = path.split("/")
    size = len(path.encode(errors="replace"))
    bad = (
        size > 4096
        or len(parts) > 100
        or any(part in ("", ".", "..") or part.lower() == ".git" for part in parts)
        or any(len(part.encode(errors="replace")) > 255 for part in parts)
        or path.startswith(("\\", "..\\"))
        or re.match(r"[A-Za-z]:[\\/]", path)
        or (not path.isprintable() and any(unicodedata.category(character) in ("Cc", "Cs") for character in path))
    )
    if bad:
        raise unprocessable(f"Invalid path in repo: {path!r}")
    return path


_guard = threading.Lock()
_locks: dict[Path, threading.RLock] = {}


def _lock(path: Path) -> threading.RLock:
    """The lock of a repo. Who writes to the database may wait for it; who holds it begins no such writing."""
    with _guard:
        if path not in _locks:
            # First touch in this process, which alone writes here: a lock file can only be a killed server's.
            _unlock(path)
            _locks[path] = threading.RLock()
        return _locks[path]


def _unlock(path: Path) -> None:
    for leftover in path.rglob("*.lock"):
        leftover.unlink(missing_ok=True)


@contextmanager
def _tidy(path: Path) -> Iterator[None]:
    """Where a write fails, dulwich may leave its lock file, at which every later one would end."""
    try:
        yield
    except OSError:
        _unlock(path)
        raise


class Store(DiskObjectStore):
    """git's objects as they were written: of one that a disk has damaged dulwich may show what is left."""

    def get_raw(self, name: bytes) -> tuple[int, bytes]:
        """Raises KeyError for an object that is not there, HubError 404 for one that is another one now."""
        oid = name if len(name) == 40 else name.hex().encode()
        try:
            number, content = super().get_raw(oid)
            header = b"%s %d\0" % (object_class(number).type_name, len(content))
            if hashlib.sha1(header + content, usedforsecurity=False).hexdigest().encode() == oid:
                return number, content
        except (KeyError, MemoryError):
            raise
        except Exception as error:  # whatever dulwich says of bytes that are no object
            raise damaged(f"Git object {oid.decode()}") from error
        raise damaged(f"Git object {oid.decode()}")


class GitRepo:
    """One bare repo, opened for one request."""

    def __init__(self, path: Path):
        self.path = path
        self._lock = _lock(path)
        self.store = Store(str(path / "objects"), fsync_object_files=True)
        self._repo = Repo(str(path), object_store=self.store)
        self.refs = self._repo.refs
        # Whoever asks for many paths of a commit asks for the same trees again and again.
        self._remembered = lru_cache(REMEMBERED)(self.store.__getitem__)

    @classmethod
    def create(cls, path: Path) -> "GitRepo":
        path.mkdir(parents=True)
        Repo.init_bare(path, default_branch=b"main").close()
        with (path / "config").open("a") as config:
            config.write("[core]\n\tfsyncObjectFiles = true\n")
        return cls(path)

    def __enter__(self) -> "GitRepo":
        return self

    def __exit__(self, *_exc) -> None:
        self._repo.close()

    # Revisions

    def resolve(self, revision: str) -> str:
        """The commit id (40 hex digits) of a branch, tag, ref or (short) commit id.

        Raises HubError 404 RevisionNotFound.
        """
        for name in (f"refs/heads/{revision}", f"refs/tags/{revision}", revision):
            if (name.startswith("refs/") and REF_NAME.fullmatch(name)) and (found := self._ref(name)):
                return self._peel(found)
        if revision == "HEAD":  # git's own name for the default branch
            return self.resolve("main")
        if COMMIT_ID.fullmatch(revision):
            prefix = revision.lower().encode()
            found_ids = set(self.store.iter_prefix(prefix)) if len(prefix) < 40 else {prefix} & self._known(prefix)
            commits = [i for i in found_ids if isinstance(self.store[i], Commit)]
            if len(commits) == 1:
                return commits[0].decode()
        raise revision_not_found(revision)

    def _known(self, sha: bytes) -> set[bytes]:
        return {sha} if sha in self.store else set()

    def _ref(self, name: str) -> bytes | None:
        try:
            return self.refs[name.encode()]
        except (KeyError, ValueError):
            return None

    def _peel(self, sha: bytes) -> str:
        found = self.store[sha]
        while isinstance(found, Tag):
            found = self.store[found.object[1]]
        return found.id.decode()

    def list_refs(self, prefix: str) -> dict[str, str]:
        """Short names below `prefix` ("refs/heads/") → commit ids."""
        base = prefix.rstrip("/").encode()
        return {
            name.decode(errors="replace"): self._peel(self.refs[base + b"/" + name])
            for name in sorted(self.refs.subkeys(base))
        }

    def commit_object(self, commit: str) -> Commit:
        return self.store[commit.encode()]

    def head(self, ref: str) -> str | None:
        """The commit of a ref by its full name ("refs/pr/1"), or None."""
        found = self._ref(ref)
        return found and self._peel(found)

    def history(self, commit: str, without: Iterable[str] = ()) -> Iterator[Commit]:
        """Commits from `commit` back, newest first, leaving out those that others lead to."""
        for step in self._repo.get_walker(include=[commit.encode()], exclude=[other.encode() for other in without]):
            yield step.commit

    def count(self, commit: str) -> int:
        """How many commits there are from `commit` back."""
        if commit not in _counts:
            if len(_counts) > 10_000:
                _counts.clear()
            _counts[commit] = sum(1 for _ in self.history(commit))
        return _counts[commit]

    def merge_base(self, one: str, other: str) -> str | None:
        """The last commit that both histories share; None where they share nothing."""
        found = find_merge_base(self._repo, [one.encode(), other.encode()])
        return found[0].decode() if found else None

    # Trees

    def entry(self, commit: str, path: str) -> Entry | None:
        """What is at `path` in `commit`, or None."""
        oid, mode = self._remembered(commit.encode()).tree, stat.S_IFDIR
        for part in filter(None, path.encode(errors="surrogateescape").split(b"/")):
            if not stat.S_ISDIR(mode):
                return None
            try:
                mode, oid = self._remembered(oid)[part]
            except KeyError:
                return None
        return self._entry(path.strip("/"), mode, oid)

    def _entry(self, path: str, mode: int, oid: bytes) -> Entry:
        if stat.S_ISDIR(mode):
            return Entry(path, True, oid.decode())
        stored, pointer = _measure(self.store, oid)
        return Entry(path, False, oid.decode(), pointer.size if pointer else stored, pointer, stored if pointer else 0)

    def walk(self, folder: Entry, recursive: bool = False) -> Iterator[Entry]:
        """Entries of a folder in git's order; with `recursive`, folders are followed by what they hold."""
        for name, mode, oid in self.store[folder.oid.encode()].iteritems():
            path = "/".join(filter(None, (folder.path, name.decode(errors="surrogateescape"))))
            entry = self._entry(path, mode, oid)
            yield entry
            if recursive and entry.is_folder:
                yield from self.walk(entry, recursive=True)

    def files(self, commit: str) -> list[Entry]:
        root = self.entry(commit, "")
        return [entry for entry in self.walk(root, recursive=True) if not entry.is_folder]

    def read(self, entry: Entry) -> bytes:
        """The blob's own bytes: for a large file, its pointer."""
        return self.store[entry.oid.encode()].data

    def pointer(self, oid: bytes) -> Pointer | None:
        """The large file that a blob stands for, if it does."""
        return _measure(self.store, oid)[1]

    def is_file(self, oid: bytes) -> bool:
        """Whether this object, which must be there, is a blob; known at once of those that were listed before."""
        return oid in _sizes or self.store.get_raw(oid)[0] == Blob.type_num

    def last_commits(self, commit: str, paths: Iterable[str]) -> dict[str, Commit]:
        """For each path the newest commit, from `commit` back, that changed it or something in it."""
        missing, found = set(paths), {}
        for step in self.history(commit):
            if not missing:
                break
            parent = self.store[step.parents[0]].tree if step.parents else None
            touched = set()
            for change in tree_changes(self.store, parent, step.tree):
                for side in (change.old, change.new):
                    if side and side.path:
                        parts = side.path.decode(errors="surrogateescape").split("/")
                        touched.update("/".join(parts[: i + 1]) for i in range(len(parts)))
            for path in missing & touched:
                found[path] = step
            missing -= touched
        return found

    # Writing

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keeps commits to branches out; what they check of large files they check inside this lock."""
        with self._lock, self.tidy():
            yield

    def tidy(self) -> AbstractContextManager[None]:
        """Around what writes to git, under the lock: a full disk leaves nothing that keeps others from writing."""
        return _tidy(self.path)

    def commit(
        self,
        branch: str,
        changes: Iterable[Change],
        *,
        author: str,
        message: str,
        expected_parent: str | None = None,
        when: int | None = None,
    ) -> str:
        """Adds one commit to `branch` and returns its id.

        `expected_parent` (full or short id) must still be the branch's head, else HubError 412. Deleting what is not
        there is 404 EntryNotFound. `when` (unix seconds) fixes the date, for histories that must come out the same.
        """
        ref = branch if branch.startswith(WRITABLE) else f"refs/heads/{branch}"
        with self.locked():
            head = self._ref(ref)
            if head is None and ref != "refs/heads/main":
                raise revision_not_found(branch)
            if expected_parent and not (head and head.startswith(expected_parent.lower().encode(errors="replace"))):
                raise HubError(
                    412,
                    "The branch was updated since you opened this page, please refresh and try again",
                )
            new = Objects(self.store)
            tree = new.apply(self.store[head].tree if head else None, changes)
            commit = new.commit(tree, [head] if head else [], author, message, when)
            if not self.refs.set_if_equals(ref.encode(), head, commit, message=b"commit"):
                raise conflict("Another commit to this branch came first; please try again")
            return commit.decode()

    def propose(self, parent: str, changes: Iterable[Change], *, author: str, message: str) -> str:
        """A commit on top of `parent` that no branch leads to yet; returns its id."""
        new = Objects(self.store)
        with self.locked():
            tree = new.apply(self.commit_object(parent).tree, changes)
            return new.commit(tree, [parent.encode()], author, message).decode()

    def move(self, ref: str, old: str, new: str) -> bool:
        """Moves a ref on, unless somebody else did meanwhile."""
        with self.locked():
            return self.refs.set_if_equals(ref.encode(), old.encode(), new.encode(), message=b"merge")

    def put(self, ref: str, commit: str | None) -> None:
        """Makes a ref what it should be, whatever a crash may have left there; None for no ref.

        Takes no lock: for refs that nobody else can know of yet.
        """
        try:
            if commit:
                self.refs[ref.encode()] = commit.encode()
            elif self._ref(ref):
                del self.refs[ref.encode()]
        except OSError:
            (self.path / f"{ref}.lock").unlink(missing_ok=True)  # as `tidy`
            raise

    def create_branch(self, name: str, commit: str, *, overwrite: bool = False) -> None:
        """A new branch; with `overwrite` one that is there is put on `commit`."""
        ref = f"refs/heads/{name}"
        with self.locked():
            if overwrite and name in self.list_refs("refs/heads/"):
                self.refs[ref.encode()] = commit.encode()
            else:
                self._create_ref(ref, commit.encode())

    def empty_commit(self, *, author: str, message: str) -> str:
        """A commit without files and without a past, that no branch leads to yet; returns its id."""
        new = Objects(self.store)
        with self.locked():
            return new.commit(new.add(Tree()), [], author, message).decode()

    def create_tag(self, name: str, commit: str, message: str | None, author: str, when: int | None = None) -> None:
        """A lightweight tag, or an annotated one when there is a message."""
        target = commit.encode()
        if message:
            tag = Tag()
            tag.name, tag.object, tag.message = name.encode(), (Commit, target), message.encode()
            tag.tagger, tag.tag_time, tag.tag_timezone = author.encode(), when or int(time.time()), 0
            with self.locked():
                self.store.add_object(tag)
            target = tag.id
        self._create_ref(f"refs/tags/{name}", target)

    def _create_ref(self, ref: str, target: bytes) -> None:
        if not REF_NAME.fullmatch(ref) or len(ref.encode()) > 250:  # a ref is a file: no disk takes longer names
            raise invalid(f"Invalid reference name: {ref}")
        with self.locked():
            if self._ref(ref):
                raise conflict(f"Reference {ref} already exists")
            try:
                added = self.refs.add_if_new(ref.encode(), target)
            except OSError as error:  # "a" and "a/b" cannot both be branches
                if is_full(error):
                    raise
                raise conflict(f"Reference {ref} conflicts with another one") from error
            if not added:
                raise conflict(f"Reference {ref} already exists")

    def delete_ref(self, ref: str) -> None:
        if ref == "refs/heads/main":
            raise forbidden(f"Cannot delete {ref}")
        with self.locked():
            if not REF_NAME.fullmatch(ref) or self._ref(ref) is None:
                raise revision_not_found(ref.split("/", 2)[-1])
            del self.refs[ref.encode()]


class Objects:
    """The new objects of one commit, kept back until all of them are known, then written as one pack."""

    def __init__(self, store: BaseObjectStore):
        self._store = store
        self._new: dict[bytes, ShaFile] = {}

    def add(self, obj: ShaFile) -> bytes:
        self._new[obj.id] = obj
        return obj.id

    def _tree(self, oid: bytes | None) -> Tree:
        if oid is None:
            return Tree()
        return (self._new[oid] if oid in self._new else self._store[oid]).copy()

    def apply(self, root: bytes | None, changes: Iterable[Change]) -> bytes:
        """The tree that follows from `root` when `changes` are applied in their order."""
        group: dict[str, bytes | None] = {}  # changes that do not touch each other, applied together
        folders: set[str] = set()  # those that the group's paths lie in
        deleting = False
        for change in changes:
            path = change.path.strip("/")
            above = {path[:end] for end, character in enumerate(path) if character == "/"}
            if deleting != (change.content is None) or path in folders or not above.isdisjoint(group):
                root, group, folders = self._apply(root, group, ""), {}, set()
            deleting = change.content is None
            group[path] = None if deleting else self.add(Blob.from_string(bytes(change.content)))
            folders |= above
        return self._apply(root, group, "")

    def _apply(self, oid: bytes | None, changes: dict[str, bytes | None], folder: str) -> bytes:
        tree = self._tree(oid)
        below: dict[str, dict[str, bytes | None]] = {}
        for path, blob in changes.items():
            name, _, rest = path.partition("/")
            if rest:
                below.setdefault(name, {})[rest] = blob
            elif blob is not None:
                tree[_encode(name)] = (FILE_MODE, blob)
            elif _encode(name) in tree:
                del tree[_encode(name)]
            else:
                raise _nothing_to_delete(folder + name)
        for name, inner in below.items():
            mode, child = tree[_encode(name)] if _encode(name) in tree else (0, None)  # noqa: SIM401 - no mapping
            child = self._apply(child if stat.S_ISDIR(mode) else None, inner, f"{folder}{name}/")
            if len(self._tree(child)):
                tree[_encode(name)] = (stat.S_IFDIR, child)
            elif _encode(name) in tree:
                del tree[_encode(name)]
        return self.add(tree)

    def commit(self, tree: bytes, parents: list[bytes], author: str, message: str, when: int | None = None) -> bytes:
        """Adds a commit of `tree`, writes all that is new and returns the commit's id."""
        commit = Commit()
        commit.tree = tree
        commit.parents = parents
        commit.author = commit.committer = author.encode()
        commit.author_time = commit.commit_time = int(time.time()) if when is None else when
        commit.author_timezone = commit.commit_timezone = 0
        commit.encoding = b"UTF-8"
        commit.message = message.encode(errors="replace")
        self.add(commit)
        self.save()
        return commit.id

    def save(self) -> None:
        path = Path(self._store.path).parent
        with _lock(path), _tidy(path):  # two who write the same object at once disturb each other
            fresh = self._fresh()
            if len(fresh) <= LOOSE_AT_MOST:
                for obj in fresh:
                    self._store.add_object(obj)
            else:
                self._write_pack(fresh)

    def _fresh(self) -> list[ShaFile]:
        """Those that are not there yet. (Asked for one by one, dulwich looks for new packs at each that is missing.)"""
        packs = self._store.packs
        return [
            obj
            for oid, obj in self._new.items()
            if not any(_holds(pack, oid) for pack in packs) and not self._store.contains_loose(oid)
        ]

    def _write_pack(self, objects: list[ShaFile]) -> None:
        """Writes the objects as one pack. (Dulwich would unpack them all again to make the index.)"""
        folder, records = Path(self._store.path) / "pack", map(full_unpacked_object, objects)
        draft = folder / f"tmp_pack_{uuid.uuid4().hex}"  # what is called so git clears away after a crash
        draft_index = draft.with_suffix(".idx")
        try:
            with _durable(draft) as file:
                entries, checksum = write_pack_data(
                    file.write, records, self._store.object_format, num_records=len(objects)
                )
            with _durable(draft_index) as file:
                write_pack_index_v2(file, sorted((sha, *place) for sha, place in entries.items()), checksum)
            # The index comes last: with that the objects exist.
            os.replace(draft, folder / f"pack-{checksum.hex()}.pack")
            os.replace(draft_index, folder / f"pack-{checksum.hex()}.idx")
        finally:
            for leftover in (draft, draft_index):
                leftover.unlink(missing_ok=True)
        sync_folder(folder)


def _holds(pack: Pack, oid: bytes) -> bool:
    try:
        return oid in pack
    except PackFileDisappeared:  # whatever was in it is written once more
        return False


@contextmanager
def _durable(path: Path) -> Iterator[IO[bytes]]:
    """A new file that is on the disk when the block ends."""
    with path.open("xb") as file:
        yield file
        file.flush()
        os.fsync(file.fileno())


def _encode(name: str) -> bytes:
    return name.encode(errors="surrogateescape")


def _nothing_to_delete(path: str) -> HubError:
    error = entry_not_found(path)
    error.message = f'A file with this name doesn\'t exist: "{path}"'
    return error


_counts: dict[str, int] = {}  # a commit's past never changes, so it is remembered
_sizes: dict[bytes, tuple[int, Pointer | None]] = {}


def _measure(store: BaseObjectStore, oid: bytes) -> tuple[int, Pointer | None]:
    """Size of a blob and the pointer it holds, if it is one. Content never changes under an id, so it is remembered."""
    if oid not in _sizes:
        if len(_sizes) > 200_000:
            _sizes.clear()
        content = store.get_raw(oid)[1]
        _sizes[oid] = (len(content), Pointer.parse(content))
    return _sizes[oid]


@lru_cache
def author(name: str) -> str:
    """The author line of a commit made through the API."""
    return f"{name} <{name}@users.noreply.localhost>"
