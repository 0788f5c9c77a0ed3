"""What the Hub keeps of Xet: xorbs as files by their hash, and in SQLite what they hold and which files they make up.

Who may use which chunk. A file in a repo shows its content to all who read there, so nobody may make one of chunks
that he does not have. Two things count as having a chunk: to have sent the xorb that holds it, by whatever token of the
same account; or to be able to read, in some repo, a file that came there as chunks, this one among them. A shard that
names any other chunk is refused as if the Hub did not have it, and so is a question for it. What is answered are the
chunks of one file that the one who asks may read, under a key of his account, so that he is shown no hash that he does
not know. A hash alone, of a chunk, a xorb or a file, opens nothing and tells nothing; nor does anybody learn whether
others sent the same before, not even of a file that he sends whole by LFS.

A xorb's bytes are on disk before its row is, a file's row is there when its bytes have shown to have its sha256. What
an upload that broke off leaves are xorbs that no file uses.
"""

import hashlib
import os
import secrets
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from sqlalchemy import exists, insert, select, update
from sqlalchemy.orm import Session

from utils.hub.accounts import Caller
from utils.hub.errors import HubError, damaged, invalid
from utils.hub.objects import BLOCK, Incoming, ObjectStore
from utils.hub.tables import Repo, RepoObject, Setting, XetChunk, XetFile, XetTerm, Xorb, XorbSender, now
from utils.hub.xet import shard, xorb
from utils.hub.xet.hashing import file_hash, from_hex, keyed, range_hash, remainder, to_hex
from utils.hub.xet.shard import Term
from utils.hub.xet.xorb import Index

# Of the files in one shard. They bound the time that it takes to check; clients begin another shard long before.
MOST_CHUNKS = 2_000_000
MOST_BYTES = 50 * 10**9

RENEWED = "xet renewed"  # the setting that changes all addresses
ASKED_FOR = 1024  # clients ask for a file's first chunk, and for those whose hash divides by this
MOST_HOLDERS = 100  # repos that are looked at for one that the caller may read
MOST_XORBS = 64  # in one answer: 4 GiB of a file, after which the client will have asked again


@dataclass(frozen=True)
class Piece:
    """A piece of a file as a client fetches it: chunks of a xorb, and the bytes of the xorb that hold them."""

    xorb: str
    first: int
    end: int
    size: int  # of the content
    stored: range


@dataclass
class Checked:
    """A file of a shard whose chunks are there and may be used."""

    hash: str
    terms: list[Term]
    size: int
    asked_for: list[tuple[str, int]]  # chunks that clients will ask for, each with the start of its term in the file
    sha256: str | None  # as the client says
    proved: bool = False  # all of these chunks were hashed before, in this order


class XetStore:
    """Xorbs below one folder and the tables that speak of them. Thread-safe."""

    def __init__(self, root: Path, db: Callable[[], AbstractContextManager[Session]]):
        self.xorbs = ObjectStore(root / "xorbs")
        self._db = db
        self._index = lru_cache(64)(self._read_index)

    # Addresses

    def key(self, db: Session, account_id: int) -> bytes:
        """32 bytes that no other account has, nor another Hub, nor this one before the last `renew`.

        An account's address in the store is made of it. Clients remember chunks by address, for weeks, and refer to
        them without asking again.
        """
        told = db.scalars(select(Setting.value).where(Setting.name.in_(("secret", RENEWED))).order_by(Setting.name))
        return keyed(hashlib.sha256(" ".join(told).encode()).digest(), b"xet %d" % account_id)

    def renew(self, db: Session) -> None:
        """Makes clients forget what they remember: for who removes xorbs."""
        db.merge(Setting(name=RENEWED, value=secrets.token_hex(8)))

    # Xorbs

    def keep_xorb(self, incoming: Incoming, digest: str, account_id: int) -> bool:
        """Keeps a xorb that came in whole, if it is what its hash says; returns whether the account sends it first.

        Raises HubError 400.
        """
        incoming.seal()
        with incoming.path.open("rb") as file:
            index = xorb.check(file)
        if to_hex(index.hash) != digest:
            raise invalid(f"Corrupt xorb: its hash is not {digest}")
        with self._db() as db:
            # The first one stays: another may be packed differently, and somebody may be reading. Writing comes before
            # looking: it lets in one at a time, of those who send it and those who remove it.
            known = update(Xorb).where(Xorb.hash == digest).values(created_at=now())
            size = db.scalar(known.returning(Xorb.size))
            fresh = size is None or not self.xorbs.has(digest, size)  # or damaged since
            if fresh:
                self.xorbs.adopt(incoming.path, digest)
                db.merge(Xorb(hash=digest, size=index.stored[-1], chunks=index.pack()))
                db.flush()
            sender = insert(XorbSender).prefix_with("OR IGNORE").values(xorb=digest, account_id=account_id)
            first = db.execute(sender).rowcount == 1
        if fresh:  # one that was here before may have been packed differently
            self._index.cache_clear()
        return first or fresh

    def _read_index(self, digest: str) -> Index:
        with self._db() as db:
            blob = db.scalar(select(Xorb.chunks).where(Xorb.hash == digest))
        if blob is None:
            raise _missing(digest)
        return Index.unpack(blob)

    # Files: what a shard says of them is checked, proved by their bytes, and kept

    def check(self, db: Session, caller: Caller, said: shard.Shard) -> list[Checked]:
        """The files of a shard, if the caller may use their chunks and all hashes are right. Raises HubError 400."""
        terms = [term for file in said.files for term in file.terms]
        if sum(term.size for term in terms) > MOST_BYTES or sum(term.end - term.first for term in terms) > MOST_CHUNKS:
            raise invalid("This shard is too large: send its files one by one")
        usable = lru_cache(None)(lambda digest: self._usable(db, caller, digest))
        for digest, chunks in said.xorbs.items():
            if usable(digest) is not None or self._index(digest).hashes != chunks:
                raise _missing(digest)
        for term in terms:
            ranges = usable(term.xorb)
            if ranges is not None and not _covered(term, ranges):
                raise _missing(term.xorb)
            index = self._index(term.xorb)
            if not self.xorbs.has(term.xorb, index.stored[-1]):
                with self._db() as own:  # the client remembers it, and would not send it again
                    self.renew(own)
                raise _missing(term.xorb)
            if term.end > len(index) or term.size != index.size(term.first, term.end):
                raise invalid(f"Corrupt shard: xorb {term.xorb} has no such chunks")
        return [self._check_file(db, file) for file in said.files]

    def _check_file(self, db: Session, file: shard.File) -> Checked:
        for term, voucher in zip(file.terms, file.vouchers, strict=False):
            if range_hash(self._index(term.xorb).hashes[term.first : term.end]) != voucher:
                raise invalid("Corrupt shard: a verification hash is wrong")
        nodes = (node for term in file.terms for node in self._index(term.xorb).nodes(term.first, term.end))
        if file_hash(nodes) != file.hash:
            raise invalid(f"Corrupt shard: its chunks do not make up the file {to_hex(file.hash)}")
        asked_for, size = [], 0
        for term in file.terms:
            for chunk in self._index(term.xorb).hashes[term.first : term.end]:
                if not (asked_for or size) or remainder(chunk, ASKED_FOR) == 0:
                    asked_for.append((to_hex(chunk), size))
            size += term.size
        digest = to_hex(file.hash)
        known = db.scalar(select(XetFile.sha256).where(XetFile.hash == digest))
        if known and file.sha256 not in (None, known):
            raise _wrong_sha256(digest, file.sha256)
        return Checked(digest, file.terms, size, asked_for, known or file.sha256, proved=known is not None)

    def prove(self, file: Checked) -> str:
        """The sha256 of a checked file, over all its bytes. Raises HubError 400 if the client said another one."""
        if file.proved:
            return file.sha256
        digest = hashlib.sha256()
        for term in file.terms:
            for chunk in self.contents(term.xorb, term.first, term.end):
                digest.update(chunk)
        if file.sha256 not in (None, digest.hexdigest()):
            raise _wrong_sha256(file.hash, file.sha256)
        return digest.hexdigest()

    def keep(self, db: Session, file: Checked, sha256: str) -> None:
        """Writes down a file that was proved. Of two that differ only in how they were cut, the first one stays."""
        row = {"sha256": sha256, "hash": file.hash, "size": file.size}
        if db.execute(insert(XetFile).prefix_with("OR IGNORE").values(row)).rowcount == 0:
            return
        rows, start = [], 0
        for term in file.terms:
            rows.append(vars(term) | {"sha256": sha256, "start": start})
            start += term.size
        if rows:
            db.execute(insert(XetTerm), rows)
            asked_for = [{"chunk": chunk, "sha256": sha256, "start": at} for chunk, at in file.asked_for]
            db.execute(insert(XetChunk).prefix_with("OR IGNORE"), asked_for)

    # Who may use what

    @staticmethod
    def _usable(db: Session, caller: Caller, digest: str) -> list[tuple[int, int]] | None:
        """The ranges of a xorb's chunks that the caller may use; None for all, which he sent."""
        if db.get(XorbSender, (digest, caller.account.id)):
            return None
        files = select(XetTerm.sha256).where(XetTerm.xorb == digest)
        holders = select(RepoObject.repo_id).where(RepoObject.xet, RepoObject.sha256.in_(files))
        repos = db.scalars(select(Repo).where(Repo.id.in_(holders)))
        readable = [repo.id for repo in repos if _reads(db, caller, repo)]
        ranges = (
            select(XetTerm.first, XetTerm.end)
            .join(RepoObject, RepoObject.sha256 == XetTerm.sha256)
            .where(XetTerm.xorb == digest, RepoObject.xet, RepoObject.repo_id.in_(readable))
            .distinct()
        )
        return [(first, end) for first, end in db.execute(ranges)]

    def answer(self, db: Session, caller: Caller, repo: Repo, chunk: str, valid: int) -> bytes | None:
        """A shard that tells the caller where this chunk is, and those that follow it in a file that he may read."""
        holding = (
            select(XetChunk, Repo)
            .join(RepoObject, RepoObject.sha256 == XetChunk.sha256)
            .join(Repo, Repo.id == RepoObject.repo_id)
            .where(XetChunk.chunk == chunk, RepoObject.xet)
            .order_by((Repo.id == repo.id).desc(), (Repo.owner_id == caller.account.id).desc(), Repo.private)
            .limit(MOST_HOLDERS)
        )
        for found, holder in db.execute(holding):
            if _reads(db, caller, holder) and self.is_whole(db, db.get(XetFile, found.sha256)):
                shown: dict[str, set[int]] = {}
                for term in self._terms(db, found.sha256, found.start):
                    if term.xorb not in shown and len(shown) == MOST_XORBS:
                        break
                    shown.setdefault(term.xorb, set()).update(range(term.first, term.end))
                key, told = self.key(db, caller.account.id), shown.items()
                return shard.answer(((from_hex(digest), self._masked(digest, s)) for digest, s in told), key, valid)
        return None

    def _masked(self, digest: str, shown: set[int]) -> Iterator[tuple[bytes, int]]:
        """A xorb's chunks up to the last that is shown; the others keep their places under hashes of nothing."""
        for number, node in enumerate(self._index(digest).nodes(0, max(shown) + 1)):
            yield node if number in shown else (os.urandom(32), 0)

    # Reading

    def held(self, db: Session, repo: Repo, digest: str) -> XetFile | None:
        """The file by its Xet hash, if it came to the repo so."""
        held = exists().where(RepoObject.repo_id == repo.id, RepoObject.xet, RepoObject.sha256 == XetFile.sha256)
        return db.scalar(select(XetFile).where(XetFile.hash == digest, held))

    def is_whole(self, db: Session, file: XetFile) -> bool:
        """Whether all xorbs of the file are there, in their full length."""
        used = select(XetTerm.xorb).where(XetTerm.sha256 == file.sha256)
        xorbs = db.execute(select(Xorb.hash, Xorb.size).where(Xorb.hash.in_(used)))
        return all(self.xorbs.has(digest, size) for digest, size in xorbs)

    def pieces(self, file: XetFile, start: int, end: int) -> Iterator[tuple[int, Piece]]:
        """What makes up the bytes from `start` to before `end`: each piece with its own start in the file."""
        with self._db() as db:
            terms = [*self._terms(db, file.sha256, start, end)]
        for term in terms:
            index, first, last = self._index(term.xorb), term.first, term.end - 1
            if term.start < start:
                first = index.at(term.first, start - term.start)
            if term.start + term.size > end:
                last = index.at(term.first, end - 1 - term.start)
            stored = range(index.stored[first], index.stored[last + 1])
            piece = Piece(term.xorb, first, last + 1, index.size(first, last + 1), stored)
            yield term.start + index.size(term.first, first), piece

    @staticmethod
    def _terms(db: Session, sha256: str, start: int, end: int | None = None) -> Iterable[XetTerm]:
        """The terms with a byte at or after `start`, and before `end`, in the file's order."""
        wanted = select(XetTerm).where(XetTerm.sha256 == sha256, XetTerm.start + XetTerm.size > start)
        if end is not None:
            wanted = wanted.where(XetTerm.start < end)
        return db.scalars(wanted.order_by(XetTerm.start))

    def contents(self, digest: str, first: int, end: int) -> Iterator[bytes]:
        """The contents of a xorb's chunks from `first` to before `end`, one by one. Raises HubError 400 or 404."""
        index = self._index(digest)
        try:
            file = self.xorbs.path(digest).open("rb")
        except FileNotFoundError as error:
            raise _missing(digest) from error
        with file:
            if os.fstat(file.fileno()).st_size != index.stored[-1]:
                raise damaged(f"Xorb {digest}")
            yield from xorb.contents(file, index, first, end)


class XetContent:
    """A large file that lies in xorbs."""

    def __init__(self, store: XetStore, file: XetFile, told: bool):
        self._store, self._file = store, file
        self.size, self.xet_hash = file.size, file.hash if told else None

    def iterate(self, start: int, end: int) -> Iterator[bytes]:
        """The bytes from `start` to before `end`, in blocks of about a megabyte."""
        held = bytearray()
        for at, piece in self._store.pieces(self._file, start, end):
            for chunk in self._store.contents(piece.xorb, piece.first, piece.end):
                held += chunk[max(start - at, 0) : end - at]
                at += len(chunk)
                if len(held) >= BLOCK:
                    yield bytes(held)
                    held.clear()
        if held:
            yield bytes(held)


def _reads(db: Session, caller: Caller, repo: Repo) -> bool:
    return caller.may_read(db, repo) and caller.may_read_files(db, repo)


def _covered(term: Term, ranges: list[tuple[int, int]]) -> bool:
    """Whether the ranges together hold every chunk of the term."""
    at = term.first
    for first, end in sorted(ranges):
        if first <= at < end:
            at = end
    return at >= term.end


def _missing(digest: str) -> HubError:
    return invalid(f"Xorb {digest} is not here: send it first")


def _wrong_sha256(digest: str, sha256: str) -> HubError:
    return invalid(f"Content does not match: the file {digest} has not the sha256 {sha256}")
