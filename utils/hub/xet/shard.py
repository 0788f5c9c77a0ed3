"""Shards: what a client says of the files that it has just sent, and what the Hub says of chunks that it has already.

All is in records of 48 bytes: a header; for each file its terms (ranges of chunks of xorbs), a hash that vouches for
each term, and its sha256; for each new xorb its chunks; a record of ones ends either list. A footer follows where the
shard is to be kept as a file. https://huggingface.co/docs/xet/shard
"""

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from struct import Struct

from utils.hub.errors import HubError, invalid
from utils.hub.xet.hashing import Node, keyed, to_hex

LARGEST = 80 << 20  # bytes; clients begin another one after 64 MiB
MOST_FILES, MOST_TERMS = 25_000, 100_000  # they bound the time that it takes to check
TAG = b"HFRepoMetaData\0UigEj{\x81W\x83\xa5\xbd\xd9\\\xcd\xd1J\xa9"
VERSION, FOOTER_VERSION = 2, 1
VERIFIED, WITH_SHA256 = 1 << 31, 1 << 30  # flags of a file

HEADER = Struct("<32sQQ")  # tag, version, size of the footer
RECORD = Struct("<32s4I")
# Version, offsets of files and of xorbs, offsets and lengths of three tables, key, made at, valid until, own offset.
FOOTER = Struct("<3Q6Q32sQQ72xQ")
END = RECORD.pack(b"\xff" * 32, 0, 0, 0, 0)


@dataclass(frozen=True)
class Term:
    """A piece of a file: the chunks from `first` to before `end` of a xorb, `size` bytes of content."""

    xorb: str
    first: int
    end: int
    size: int


@dataclass
class File:
    hash: bytes
    terms: list[Term]
    vouchers: list[bytes] = field(default_factory=list)  # a range hash for each term, or none at all
    sha256: str | None = None


@dataclass
class Shard:
    files: list[File]
    xorbs: dict[str, list[bytes]]  # the hashes of each one's chunks


def parse(content: bytes | bytearray) -> Shard:
    """What a shard says; that it is true, nobody has checked. Raises HubError 400."""
    if len(content) < HEADER.size or HEADER.unpack_from(content)[:2] != (TAG, VERSION):
        raise _corrupt("it does not begin as a shard of version 2")
    records = _records(content)
    return Shard([*_files(records)], dict(_xorbs(records)))


def _records(content: bytes | bytearray) -> Iterator[tuple[bytes, int, int, int, int]]:
    for at in range(HEADER.size, len(content) - RECORD.size + 1, RECORD.size):
        yield RECORD.unpack_from(content, at)
    raise _corrupt("it ends too early")


def _files(records: Iterator[tuple[bytes, int, int, int, int]]) -> Iterator[File]:
    files = terms = 0
    for digest, flags, count, *_ in records:
        if digest == END[:32]:
            return
        files, terms = files + 1, terms + count
        if files > MOST_FILES or terms > MOST_TERMS:
            raise invalid("This shard is too large: send its files one by one")
        file = File(digest, [])
        for _ in range(count):
            xorb, _flags, size, first, end = next(records)
            if first >= end:
                raise _corrupt("a term without chunks")
            file.terms.append(Term(to_hex(xorb), first, end, size))
        if flags & VERIFIED:
            file.vouchers = [next(records)[0] for _ in range(count)]
        if flags & WITH_SHA256:
            file.sha256 = to_hex(next(records)[0])
        yield file


def _xorbs(records: Iterator[tuple[bytes, int, int, int, int]]) -> Iterator[tuple[str, list[bytes]]]:
    for digest, _flags, count, *_ in records:
        if digest == END[:32]:
            return
        yield to_hex(digest), [next(records)[0] for _ in range(count)]


def answer(xorbs: Iterable[tuple[bytes, Iterable[Node]]], key: bytes, valid: int) -> bytes:
    """The shard that tells a client which chunks it need not send, for `valid` seconds: xorbs with their chunks.

    Chunks are named by their hash under `key`: who has a chunk finds it, and nobody learns of any other.
    """
    body = [END]
    for digest, chunks in xorbs:
        rows, at = [], 0
        for chunk, size in chunks:
            rows.append(RECORD.pack(keyed(key, chunk), at, size, 0, 0))
            at += size
        body += [RECORD.pack(digest, 0, len(rows), at, 0), *rows]
    body.append(END)
    files, now = HEADER.size, int(time.time())
    footer = files + sum(map(len, body))
    return b"".join(
        (
            HEADER.pack(TAG, VERSION, FOOTER.size),
            *body,
            # Clients reckon from where an empty table would be how much there is before it.
            FOOTER.pack(FOOTER_VERSION, files, files + len(END), *3 * (footer, 0), key, now, now + valid, footer),
        )
    )


def _corrupt(what: str) -> HubError:
    return invalid(f"Corrupt shard: {what}")
