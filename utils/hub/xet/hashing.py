"""The hashes of Xet: blake3 with a key for each purpose, and the merkle tree that names xorbs and files.

https://huggingface.co/docs/xet/hashing
"""

from collections.abc import Iterable, Iterator
from itertools import chain
from struct import Struct

from blake3 import blake3

DATA_KEY = bytes.fromhex("6697f5775b9550de3135cbaca597181c9de421109beb2b58b4d0b04b93adf229")
NODE_KEY = bytes.fromhex("017ec5c7a5472996fd946666b48a02e65ddd536f37c76dd2f86352e64a53713f")
RANGE_KEY = bytes.fromhex("7f1857d6ce56ed66127ff913e7a5c3f3a4cd26d5b5db49e64124987f28fb94c3")
FILE_KEY = bytes(32)
NOTHING = bytes(32)  # the hash of a file without chunks

BRANCHES = 4  # children of a node of the tree on average: 2 to 9, as their hashes decide
WORDS = Struct("<4Q")
Node = tuple[bytes, int]  # hash and size of what lies below it


def to_hex(digest: bytes) -> str:
    """A hash as Xet writes it: four little-endian numbers."""
    return "".join(f"{word:016x}" for word in WORDS.unpack(digest))


def from_hex(text: str) -> bytes:
    """The 32 bytes of a hash of 64 hex digits."""
    return WORDS.pack(*(int(text[at : at + 16], 16) for at in range(0, 64, 16)))


def keyed(key: bytes, content: bytes) -> bytes:
    return blake3(content, key=key).digest()


def chunk_hash(content: bytes) -> bytes:
    return keyed(DATA_KEY, content)


def range_hash(chunks: Iterable[bytes]) -> bytes:
    """What vouches for a range of chunks, given their hashes: a shard's "verification" entry."""
    return keyed(RANGE_KEY, b"".join(chunks))


def xorb_hash(chunks: Iterable[Node]) -> bytes:
    """The root of the tree over the chunks; of one chunk, its own hash. Takes them one by one and holds few."""
    level = iter(chunks)
    while True:
        pair = [node for _, node in zip(range(2), level, strict=False)]
        if len(pair) < 2:
            return pair[0][0] if pair else NOTHING
        level = _parents(chain(pair, level))


def file_hash(chunks: Iterable[Node]) -> bytes:
    root = xorb_hash(chunks)
    return root if root == NOTHING else keyed(FILE_KEY, root)


def _parents(level: Iterable[Node]) -> Iterator[Node]:
    """The next level of the tree. A node ends after its third child or later: at one that divides by `BRANCHES`."""
    children: list[Node] = []
    for child in level:
        children.append(child)
        if len(children) > 2 * BRANCHES or (len(children) > 2 and remainder(child[0], BRANCHES) == 0):
            yield _parent(children)
            children = []
    if children:
        yield _parent(children)


def _parent(children: list[Node]) -> Node:
    lines = "".join(f"{to_hex(digest)} : {size}\n" for digest, size in children)
    return keyed(NODE_KEY, lines.encode()), sum(size for _, size in children)


def remainder(digest: bytes, divisor: int) -> int:
    """Of a hash as a number, for which its last eight bytes stand."""
    return int.from_bytes(digest[24:], "little") % divisor
