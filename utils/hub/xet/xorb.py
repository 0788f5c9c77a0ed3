"""Xorbs: up to 64 MiB of chunks, each packed by itself, one after the other.

A chunk is a header of 8 bytes (version, packed size, scheme, size), then its packed bytes: as they are, as an LZ4
frame, or as an LZ4 frame of the bytes sorted by their position in each four (numbers pack better so).
https://huggingface.co/docs/xet/xorb
"""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from struct import pack, unpack_from
from typing import IO

import lz4.frame

from utils.hub.errors import HubError, invalid
from utils.hub.xet.hashing import Node, chunk_hash, xorb_hash

HEADER = 8  # bytes
LARGEST_CHUNK = 128 << 10  # bytes, unpacked
MOST_CHUNKS = 8192
LARGEST = (64 << 20) + MOST_CHUNKS * HEADER  # bytes; of what cannot be packed the client counts the content alone
PLAIN, LZ4, GROUPED_LZ4 = range(3)


class Index:
    """What a xorb holds, without its content: read from its bytes once, then kept as a blob of 40 bytes a chunk."""

    def __init__(self, hashes: list[bytes], stored: Sequence[int], ends: Sequence[int]):
        self.hashes = hashes
        self.stored = [0, *stored]  # where a chunk's bytes in the file begin, and where the last one's end
        self.ends = [0, *ends]  # the same for its content in the content of the whole xorb

    @classmethod
    def unpack(cls, blob: bytes) -> "Index":
        count = len(blob) // 40
        numbers = unpack_from(f"<{2 * count}I", blob)
        hashes = [blob[at : at + 32] for at in range(8 * count, 40 * count, 32)]
        return cls(hashes, numbers[:count], numbers[count:])

    def pack(self) -> bytes:
        return pack(f"<{2 * len(self.hashes)}I", *self.stored[1:], *self.ends[1:]) + b"".join(self.hashes)

    def __len__(self) -> int:
        return len(self.hashes)

    def nodes(self, first: int, end: int) -> Iterator[Node]:
        """(hash, size) of the chunks from `first` to before `end`."""
        return ((self.hashes[i], self.ends[i + 1] - self.ends[i]) for i in range(first, end))

    @property
    def hash(self) -> bytes:
        return xorb_hash(self.nodes(0, len(self)))

    def size(self, first: int, end: int) -> int:
        """Bytes of content in the chunks from `first` to before `end`."""
        return self.ends[end] - self.ends[first]

    def at(self, first: int, offset: int) -> int:
        """The chunk that holds the content's byte at `offset`, counted from the beginning of chunk `first`."""
        return bisect_right(self.ends, self.ends[first] + offset) - 1


def check(file: IO[bytes]) -> Index:
    """Reads a xorb from its first byte to its last, unpacks every chunk and says what there is. Raises HubError 400."""
    hashes, stored, ends = [], [0], [0]
    while header := file.read(HEADER):
        if len(hashes) == MOST_CHUNKS:
            raise invalid(f"A xorb holds at most {MOST_CHUNKS} chunks")
        scheme, packed_size, size = _sizes(header)
        content = _unpacked(scheme, _exactly(file, packed_size), size)
        hashes.append(chunk_hash(content))
        stored.append(stored[-1] + HEADER + packed_size)
        ends.append(ends[-1] + size)
    if not hashes:
        raise invalid("A xorb holds at least one chunk")
    return Index(hashes, stored[1:], ends[1:])


def contents(file: IO[bytes], index: Index, first: int, end: int) -> Iterator[bytes]:
    """The contents of the chunks from `first` to before `end`, one by one, out of a xorb that was checked."""
    file.seek(index.stored[first])
    for _ in range(first, end):
        scheme, packed_size, size = _sizes(file.read(HEADER))
        yield _unpacked(scheme, _exactly(file, packed_size), size)


def _sizes(header: bytes) -> tuple[int, int, int]:
    """(scheme, packed size, size) of a chunk, if they are possible."""
    if len(header) < HEADER:
        raise _corrupt("it ends within a header")
    version, scheme = header[0], header[4]
    packed_size, size = int.from_bytes(header[1:4], "little"), int.from_bytes(header[5:8], "little")
    if version != 0 or scheme > GROUPED_LZ4:
        raise _corrupt(f"unknown version {version} or scheme {scheme}")
    # What LZ4 would make longer is stored as it is.
    if not 0 < packed_size <= size <= LARGEST_CHUNK or (scheme == PLAIN and packed_size != size):
        raise _corrupt(f"a chunk of {size} bytes in {packed_size}")
    return scheme, packed_size, size


def _exactly(file: IO[bytes], size: int) -> bytes:
    content = file.read(size)
    if len(content) < size:
        raise _corrupt("it ends within a chunk")
    return content


def _unpacked(scheme: int, packed: bytes, size: int) -> bytes:
    if scheme == PLAIN:
        return packed
    frame = lz4.frame.LZ4FrameDecompressor()
    try:
        content = frame.decompress(packed, max_length=size + 1)  # and no further: it may be a bomb
    except RuntimeError as error:
        raise _corrupt("not an LZ4 frame") from error
    if len(content) != size or not frame.eof or frame.unused_data:
        raise _corrupt(f"a chunk is not of {size} bytes")
    return content if scheme == LZ4 else _regrouped(content)


def _regrouped(groups: bytes) -> bytes:
    """Puts the first bytes of all fours, then all second ones… back in their order."""
    content, at = bytearray(len(groups)), 0
    for position in range(4):
        size = len(range(position, len(groups), 4))
        content[position::4] = groups[at : at + size]
        at += size
    return bytes(content)


def _corrupt(what: str) -> HubError:
    return invalid(f"Corrupt xorb: {what}")
