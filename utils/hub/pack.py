"""A pack that somebody sends (gitformat-pack): measured before any of it is believed, then indexed and looked through.

Nothing in it is bigger than was allowed, and memory is bounded by the largest objects, not by their number: the pack
stays on disk, and deltas are resolved along their tree, in which a base is let go before its largest branch.
"""

import hashlib
import mmap
import os
import re
import stat
import zlib
from array import array
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from dulwich.errors import ApplyDeltaError
from dulwich.objects import Blob, Commit, ShaFile, Tag, Tree, parse_tree
from dulwich.pack import apply_delta, write_pack_index_v2

from utils.hub.errors import HubError
from utils.hub.git import GitRepo, Pointer, check_path
from utils.hub.hub import REGULAR_LIMIT
from utils.hub.objects import sync_folder

MOST_OBJECTS = 500_000
MOST_INFLATED = 8 << 30  # bytes of all objects
LARGEST_TEXT = 1 << 20  # bytes of a commit or tag
LONGEST_CHAIN = 250  # deltas upon deltas; git itself makes 50, and with `gc --aggressive` once made 250
MOST_HELD = 256 << 20  # bytes of bases that wait for their deltas
MOST_ENTRIES, MOST_FOLDERS = 20_000_000, 2_000_000  # of all trees
MOST_NAMED = 1_000_000  # objects that others name
MOST_FILES, DEEPEST, LONGEST_PATH = 200_000, 100, 4096  # of one commit; bytes
LATEST = 253_402_300_799  # unix seconds: the end of the year 9999, the last one with a date
BLOCK = 1 << 16
BLOB, TREE, COMMIT, TAG = Blob.type_num, Tree.type_num, Commit.type_num, Tag.type_num
OFS_DELTA, REF_DELTA = 6, 7
MODES = {stat.S_IFDIR, stat.S_IFREG | 0o644, stat.S_IFREG | 0o755, stat.S_IFREG | 0o664, stat.S_IFLNK}
SUBMODULE = 0o160000
NAMES = {BLOB: b"blob", TREE: b"tree", COMMIT: b"commit", TAG: b"tag"}
OBJECT_ID = re.compile(b"[0-9a-f]{40}")
IGNORED = re.compile("[\u200c-\u200f\u202a-\u202e\u206a-\u206f\ufeff]")
MOST_TOLD = 5  # files, in one refusal
MOST_SHAPES = 200_000  # remembered


class Refused(Exception):
    """Why a push is not taken: `reason` for the list of refs, `advice` in whole lines for the person."""

    def __init__(self, reason: str, *advice: str):
        super().__init__(reason)
        self.reason, self.advice = reason, advice


def malformed(what: str) -> Refused:
    return Refused("malformed pack", f"The pack is malformed: {what}.", "`git fsck` may tell more. Please push again.")


def too_much(what: str) -> Refused:
    return Refused("too large", f"{what} That is more than one push may hold: push fewer commits at a time.")


@dataclass(frozen=True)
class Shape:
    """How far a folder reaches, all that lies in it included."""

    files: int
    depth: int
    longest: int  # bytes of the longest path


_shapes: dict[bytes, Shape] = {}  # of folders in stores; what an id stands for never changes


class Pack:
    """A pack file on its way in. `check` raises Refused, `keep` puts it where git looks for it."""

    def __init__(self, path: Path, git: GitRepo):
        self._path, self._git = path, git
        self._file = path.open("rb")
        if path.stat().st_size < 32:
            raise malformed("it has no beginning or no end")
        self._bytes = mmap.mmap(self._file.fileno(), 0, access=mmap.ACCESS_READ)
        self._offsets, self._starts, self._sizes = array("Q"), array("Q"), array("Q")  # of entries, of their zlib data
        self._types = bytearray()
        self._bases: dict[int, int] = {}  # entry → the entry before it that it is a delta to
        self._named_bases: dict[int, bytes] = {}  # entry → object id
        self._results = array("Q")  # sizes of whole objects
        self._too_large: dict[bytes | None, int] = {}  # object id, or None if it cannot be told → bytes
        self._index: dict[bytes, int] = {}  # object id, raw → entry
        self._resolved = 0
        self._kinds: dict[bytes, int] = {}
        self._wanted: dict[bytes, int] = {}  # what the pack's objects name → its kind
        self._folders: dict[bytes, tuple[int, int, list[tuple[bytes, int]]]] = {}
        self._roots: set[bytes] = set()
        self._entries = self._subfolders = 0
        self._shapes: dict[bytes, Shape] = {}
        self.pointers: dict[Pointer, bytes] = {}  # the large files that are pointed to → a blob

    def close(self) -> None:
        if hasattr(self, "_bytes"):
            self._bytes.close()
        self._file.close()

    @property
    def is_empty(self) -> bool:
        """As when a new branch is at a commit that is there already."""
        return not self._offsets

    def check(self) -> None:
        self._scan()
        for kind, sha, content in self._objects():
            self._kinds[sha] = kind
            if kind == BLOB:
                if len(content) < 1024 and (pointer := Pointer.parse(content)):
                    self.pointers[pointer] = sha
            elif kind == TREE:
                self._look_at_tree(sha, content)
            else:
                self._look_at_text(kind, sha, content)
        if self._too_large:
            raise self._with_large_files()
        if self._resolved < len(self._offsets):
            raise malformed("it holds deltas without what they are deltas to")
        self._check_named()
        for root in self._roots:
            shape = self._shape(root, 0)
            if shape.files > MOST_FILES:
                raise Refused("too many files", f"A commit has more than {MOST_FILES} files: pack them into archives.")
            if shape.longest > LONGEST_PATH:
                raise Refused("path too long", f"A path is longer than {LONGEST_PATH} bytes.")

    # The file

    def _scan(self) -> None:
        """Finds where each object begins and how large it is; inflates, and keeps nothing."""
        whole, end = self._bytes, len(self._bytes) - 20
        count = int.from_bytes(whole[8:12])
        if whole[:4] != b"PACK" or int.from_bytes(whole[4:8]) not in (2, 3):
            raise malformed("it does not begin as one")
        if count > MOST_OBJECTS:
            raise too_much(f"The pack has {count} objects.")
        checksum = hashlib.sha1(usedforsecurity=False)
        for start in range(0, end, 1 << 20):
            checksum.update(whole[start : min(start + (1 << 20), end)])
        if checksum.digest() != whole[end:]:
            raise malformed("its checksum is wrong")
        at, inflated = 12, 0
        entry_at: dict[int, int] = {}
        for entry in range(count):
            entry_at[at] = entry
            self._offsets.append(at)
            kind, size, at = self._header(at, end, shift=4)
            if kind == OFS_DELTA:
                distance, at = self._distance(at, end)
                base = entry_at.get(self._offsets[entry] - distance)
                if not distance or base is None:
                    raise malformed("a delta is to nothing")
                self._bases[entry] = base
            elif kind == REF_DELTA:
                self._named_bases[entry] = whole[at : at + 20].hex().encode()
                at += 20
            elif kind not in (BLOB, TREE, COMMIT, TAG):
                raise malformed("it has an object of no kind")
            is_delta = kind in (OFS_DELTA, REF_DELTA)
            inflated += size
            if inflated > MOST_INFLATED:
                raise too_much(f"Its objects are larger than {MOST_INFLATED >> 30} GiB.")
            self._types.append(kind)
            self._starts.append(at)
            self._sizes.append(size)
            if is_delta and size > 2 * REGULAR_LIMIT:
                raise malformed("a delta is longer than any file may be")
            if kind in (TREE, COMMIT, TAG) and size > (REGULAR_LIMIT if kind == TREE else LARGEST_TEXT):
                raise Refused("too large", f"A folder's list, a commit or a tag has {size} bytes: that is too much.")
            digest = hashlib.sha1(b"blob %d\0" % size, usedforsecurity=False)
            head = b""
            for block in self._inflate(at, size, end):
                if len(head) < 20:
                    head += block[:20]
                if size > REGULAR_LIMIT:
                    digest.update(block)
            at = self._end
            result = size
            if is_delta:
                _, past = _number(head, 0)
                result, _ = _number(head, past)
                inflated += result
            self._results.append(result)
            if result > REGULAR_LIMIT:
                self._too_large[None if is_delta else digest.hexdigest().encode()] = result
        if inflated > MOST_INFLATED:
            raise too_much(f"Its objects are larger than {MOST_INFLATED >> 30} GiB.")
        if at != end:
            raise malformed("something follows its last object")

    def _header(self, at: int, end: int, shift: int) -> tuple[int, int, int]:
        """(kind, size, where the header ends)."""
        byte = self._bytes[at]
        kind, size = byte >> 4 & 7, byte & 15
        while byte & 0x80:
            at += 1
            if at >= end or shift > 60:
                raise malformed("an object's header has no end")
            byte = self._bytes[at]
            size |= (byte & 0x7F) << shift
            shift += 7
        return kind, size, at + 1

    def _distance(self, at: int, end: int) -> tuple[int, int]:
        """(how far before a delta its base lies, where that is said)."""
        byte = self._bytes[at]
        distance = byte & 0x7F
        while byte & 0x80:
            at += 1
            if at >= end or distance >> 50:
                raise malformed("a delta's base has no end")
            byte = self._bytes[at]
            distance = (distance + 1) << 7 | byte & 0x7F
        return distance, at + 1

    def _inflate(self, at: int, size: int, end: int) -> Iterator[bytes]:
        """The bytes of a zlib stream, never more than `size`; afterwards `_end` is where it ended."""
        stream, left, step = zlib.decompressobj(), size, 4096  # most objects are small
        try:
            while not stream.eof:
                held = stream.unconsumed_tail
                if not held:
                    held = self._bytes[at : min(at + step, end)]
                    at, step = at + len(held), BLOCK
                    if not held:
                        raise malformed("an object has no end")
                block = stream.decompress(held, min(left, BLOCK) + 1)
                left -= len(block)
                if left < 0:
                    raise malformed("an object is larger than it says")
                yield block
        except zlib.error as error:
            raise malformed("an object cannot be inflated") from error
        if left:
            raise malformed("an object is smaller than it says")
        self._end = at - len(stream.unused_data)

    def _content(self, entry: int) -> bytes:
        return b"".join(self._inflate(self._starts[entry], self._sizes[entry], len(self._bytes) - 20))

    # The objects

    def _objects(self) -> Iterator[tuple[int, bytes, bytes]]:
        """(kind, id in hex, content) of all, each delta after its base; without what is too large."""
        below: dict[int, list[int]] = defaultdict(list)
        named: dict[bytes, list[int]] = defaultdict(list)
        weight = array("Q", [1]) * len(self._offsets)
        for entry in range(len(self._offsets) - 1, -1, -1):  # a base comes before its deltas, unless it is named
            if (base := self._bases.get(entry)) is not None:
                below[base].append(entry)
                weight[base] += weight[entry]
            elif base := self._named_bases.get(entry):
                named[base].append(entry)
        self._resolved = 0
        for entry in range(len(self._offsets)):
            kind = self._types[entry]
            if kind in (OFS_DELTA, REF_DELTA) or self._results[entry] > REGULAR_LIMIT:
                continue
            content = self._content(entry)
            sha = self._enter(entry, kind, content)
            yield kind, sha, content
            # What waits: deltas, the heaviest first, for it is taken last; what they are to; how deep they are.
            waiting = [(_heaviest_first(below.pop(entry, []) + named.pop(sha, []), weight), content, 1)]
            held = len(content)
            while waiting:
                deltas, base, depth = waiting[-1]
                if len(deltas) < 2:
                    waiting.pop()
                    held -= len(base)
                if not deltas:
                    continue
                delta = deltas.pop()
                if self._results[delta] > REGULAR_LIMIT:
                    continue
                if depth > LONGEST_CHAIN:
                    raise Refused("deltas too deep", "Deltas are nested too deep: git repack -adf --depth=50")
                try:
                    content = b"".join(apply_delta(base, self._content(delta)))
                except ApplyDeltaError as error:
                    raise malformed("a delta does not fit") from error
                sha = self._enter(delta, kind, content)
                yield kind, sha, content
                more = _heaviest_first(below.pop(delta, []) + named.pop(sha, []), weight)
                waiting.append((more, content, depth + 1))
                held += len(content)
                if held > MOST_HELD:
                    raise malformed("too many deltas wait for each other")

    def _enter(self, entry: int, kind: int, content: bytes) -> bytes:
        sha = hashlib.sha1(b"%s %d\0" % (NAMES[kind], len(content)), usedforsecurity=False)
        sha.update(content)
        self._resolved += 1
        self._index.setdefault(sha.digest(), entry)
        return sha.hexdigest().encode()

    def _look_at_tree(self, sha: bytes, content: bytes) -> None:
        files, longest, folders = 0, 0, []
        last, names = b"", set()
        try:
            entries = list(parse_tree(content, 20, strict=True))
        except Exception as error:  # whatever a parser says to bytes that were made to confuse it
            raise malformed("it holds a folder that is none") from error
        self._entries += len(entries)
        if self._entries > MOST_ENTRIES:
            raise too_much("Its folders hold too many entries in all.")
        for name, mode, oid in entries:
            if reason := _fault(name, stat.S_ISDIR(mode)):
                raise Refused("bad path", reason)
            if mode == SUBMODULE:
                raise Refused(
                    "submodule",
                    f"{shown(name)} is a submodule, which the Hub does not hold: `git rm --cached {shown(name)}`.",
                )
            key = name + b"/" if stat.S_ISDIR(mode) else name
            if mode not in MODES or key <= last or name in names:
                raise malformed(f"it holds a folder with a wrong entry, {shown(name)}")
            last = key
            names.add(name)
            self._name(oid, TREE if stat.S_ISDIR(mode) else BLOB)
            if stat.S_ISDIR(mode):
                folders.append((oid, len(name)))
            else:
                files, longest = files + 1, max(longest, len(name))
        self._subfolders += len(folders)
        if self._subfolders > MOST_FOLDERS:
            raise too_much("Its folders hold too many folders in all.")
        self._folders[sha] = files, longest, folders

    def _look_at_text(self, kind: int, sha: bytes, content: bytes) -> None:
        """A commit or a tag: whatever shows them later must be able to read them."""
        if len(content) > LARGEST_TEXT:
            raise Refused("too large", f"A commit or tag has {len(content)} bytes: that is too much.")
        try:
            found = ShaFile.from_raw_string(kind, content)
            if isinstance(found, Tag):
                target, oid = found.object
                named, times = [(oid, target.type_num)], [found.tag_time or 0]
                whole = found.name is not None
            else:
                named = [(found.tree, TREE), *((parent, COMMIT) for parent in found.parents)]
                times = [found.author_time, found.commit_time]
                whole = found.author is not None and found.committer is not None and found.message is not None
                self._roots.add(found.tree)
        except Exception as error:  # as above
            raise malformed(f"{NAMES[kind].decode()} {sha.decode()} cannot be read") from error
        if not whole or not all(0 <= moment <= LATEST for moment in times):
            raise malformed(f"{NAMES[kind].decode()} {sha.decode()} lacks something, or has an impossible date")
        for oid, kind_of_it in named:
            self._name(oid, kind_of_it)

    def _name(self, oid: bytes, kind: int) -> None:
        if self._wanted.setdefault(oid, kind) != kind or not OBJECT_ID.fullmatch(oid):
            raise malformed(f"{shown(oid)} is named as two kinds of object")
        if len(self._wanted) > MOST_NAMED:
            raise too_much(f"Its objects name more than {MOST_NAMED} others.")

    def _check_named(self) -> None:
        """All that is named must be there: whatever is in the store has all that it leads to."""
        store = self._git.store
        for oid, kind in self._wanted.items():
            if oid in self._kinds:
                same = self._kinds[oid] == kind
            elif oid not in store:
                raise missing(oid)
            else:
                same = self._git.is_file(oid) if kind == BLOB else store.get_raw(oid)[0] == kind
            if not same:
                raise malformed(f"{oid.decode()} is not of the kind that it is named as")

    def _shape(self, sha: bytes, above: int) -> Shape:
        known = self._shapes if sha in self._folders else _shapes
        if sha not in known:
            if above >= DEEPEST:
                raise Refused("too deep", f"A folder lies more than {DEEPEST} folders deep.")
            files, longest, folders = self._folders.get(sha) or _read_folder(self._git, sha)
            depth = 0
            for oid, length in folders:
                inner = self._shape(oid, above + 1)
                files, depth = files + inner.files, max(depth, inner.depth)
                longest = max(longest, length + 1 + inner.longest)
            if len(known) > MOST_SHAPES and known is _shapes:
                known.clear()
            known[sha] = Shape(files, depth + 1, longest)
        if above + known[sha].depth > DEEPEST:
            raise Refused("too deep", f"A folder lies more than {DEEPEST} folders deep.")
        return known[sha]

    def _with_large_files(self) -> Refused:
        paths = self.paths({sha for sha in self._too_large if sha})
        lines = [
            f"{paths.get(sha, 'A file')} has {size / 10**6:.1f} MB. Plain files may have {REGULAR_LIMIT // 10**6} MB."
            for sha, size in list(self._too_large.items())[:MOST_TOLD]
        ]
        pattern = paths and next(iter(paths.values())) or "*.bin"
        return Refused(
            "file too large",
            *lines,
            "Larger ones go through Git LFS. To track them from now on, and in the commits that are not pushed yet:",
            f'    git lfs track "{pattern}"',
            f'    git lfs migrate import --include="{pattern}"',
        )

    def paths(self, blobs: set[bytes]) -> dict[bytes, str]:
        """Where some blobs lie, as far as this pack tells. To be asked after `check` has looked at all of it."""
        above: dict[bytes, tuple[bytes, bytes]] = {}  # blob or folder → the folder that it is in, its name there
        for kind, sha, content in self._objects():
            if kind == TREE:
                for name, mode, oid in parse_tree(content, 20):
                    if oid in blobs or (stat.S_ISDIR(mode) and oid in self._kinds):
                        above.setdefault(oid, (sha, name))
        found = {}
        for blob in blobs & set(above):
            parts, at = [], blob
            while at in above and len(parts) < DEEPEST:
                at, name = above[at]
                parts.append(name)
            found[blob] = shown(b"/".join(reversed(parts)))
        return found

    # The store

    def prepare(self) -> None:
        """Makes the pack durable and writes its index, still beside the store."""
        ends = [*self._offsets[1:], len(self._bytes) - 20]
        entries = []
        with memoryview(self._bytes) as whole:
            for sha, entry in sorted(self._index.items()):
                start = self._offsets[entry]
                entries.append((sha, start, zlib.crc32(whole[start : ends[entry]])))
        self.checksum = self._bytes[-20:]
        self.close()
        with self._path.open("r+b") as file:
            os.fsync(file.fileno())
        with self.index_path.open("wb") as file:
            write_pack_index_v2(file, entries, self.checksum)
            file.flush()
            os.fsync(file.fileno())

    @property
    def index_path(self) -> Path:
        return self._path.with_suffix(".idx")

    def keep(self) -> None:
        """Moves the prepared pack to its place. Its index comes last: with that its objects exist."""
        folder = self._git.path / "objects" / "pack"
        for file in (self._path, self.index_path):
            os.replace(file, folder / f"pack-{self.checksum.hex()}{file.suffix}")
        sync_folder(folder)


def missing(oid: bytes) -> Refused:
    return Refused(
        "missing objects",
        f"The push lacks objects that it names, such as {oid.decode()}.",
        "From a shallow clone, fetch the rest first: git fetch --unshallow",
    )


def _read_folder(git: GitRepo, sha: bytes) -> tuple[int, int, list[tuple[bytes, int]]]:
    entries = list(git.store[sha].iteritems())
    files = [name for name, mode, _ in entries if not stat.S_ISDIR(mode)]
    folders = [(oid, len(name)) for name, mode, oid in entries if stat.S_ISDIR(mode)]
    return len(files), max(map(len, files), default=0), folders


def _heaviest_first(deltas: list[int], weight: array) -> list[int]:
    return sorted(deltas, key=weight.__getitem__, reverse=True)


def _number(head: bytes, at: int) -> tuple[int, int]:
    """A size at the beginning of a delta, and where it ends."""
    size = shift = 0
    for end in range(at, min(len(head), at + 9)):
        size |= (head[end] & 0x7F) << shift
        shift += 7
        if not head[end] & 0x80:
            return size, end + 1
    raise malformed("a delta does not say how large it is")


@lru_cache(50_000)
def _fault(name: bytes, is_folder: bool) -> str | None:
    """What is wrong with a name in a folder; what its path as a whole must not be, `_shape` says."""
    text = name.decode(errors="surrogateescape")
    try:
        check_path(f"{text}/x" if is_folder else text)  # "C:" is a fine file, and no folder
    except HubError:
        return f"{shown(name)} is no name that every disk can hold: rename it in all commits that are pushed."
    # What some file systems take for ".git" (git's own list: those that pass over such characters, or shorten names).
    plain = IGNORED.sub("", text).rstrip(". ").lower()
    if "/" in text or plain in (".git", "git~1"):
        return f"{shown(name)} is no name of a file."
    return None


def shown(name: bytes) -> str:
    """A name from the pack as a line of text may hold it."""
    text = name.decode(errors="backslashreplace")[:200]
    return "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in text) or '""'
