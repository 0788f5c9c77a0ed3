"""The header of a safetensors file: which tensors it holds, and how many parameters of which type.

Format: 8 bytes with the header's length (little endian), the header in JSON, then the tensors' bytes.
https://huggingface.co/docs/safetensors/index#format
"""

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

LARGEST_HEADER = 25_000_000  # bytes, as the clients take them
SINGLE, INDEX = "model.safetensors", "model.safetensors.index.json"
MOST_SHARDS = 1000
DTYPE = re.compile("[A-Z][A-Z0-9_]{0,19}")
# Bits of one parameter, where they are known; what comes later is counted too.
BITS = {"BOOL": 8, "C64": 64} | {kind + bits: int(bits) for kind in "UIF" for bits in ("8", "16", "32", "64")}
BITS |= {"BF16": 16, "F8_E4M3": 8, "F8_E5M2": 8, "F8_E8M0": 8, "F6_E2M3": 6, "F6_E3M2": 6, "F4": 4}


def header(read: Callable[[int, int], bytes], size: int, most: int = LARGEST_HEADER) -> tuple[dict[str, Any], int]:
    """The header of a file of `size` bytes, of which `read(start, end)` gives those from `start` up to `end`.

    Returns it with its length in bytes.
    Raises ValueError for what is none, is longer than `most`, or tells of tensors that the file has no room for.
    """
    length = int.from_bytes(read(0, 8), "little")
    if not 2 <= length <= min(most, size - 8):
        raise ValueError(f"a header of {length} bytes")
    try:
        found = json.loads(read(8, 8 + length).decode())
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    if not isinstance(found, dict) or not isinstance(found.get("__metadata__", {}), dict):
        raise ValueError("the header is no mapping")
    room = size - 8 - length
    for name, tensor in _tensors(found):
        room -= _room(name, tensor, room)
    return found, length


def _tensors(found: dict[str, Any]) -> Iterable[tuple[str, Any]]:
    return ((name, tensor) for name, tensor in found.items() if name != "__metadata__")


def _room(name: str, tensor: Any, most: int) -> int:
    """The bytes that a tensor takes: what the file has bounds all that its shape may claim."""
    try:
        dtype, shape, (start, end) = tensor["dtype"], tensor["shape"], tensor["data_offsets"]
        whole = all(type(number) is int and number >= 0 for number in (*shape, start, end))
        if whole and 0 <= end - start <= most and DTYPE.fullmatch(dtype):
            bits = 8 * (end - start)
            if _count(shape, bits) * BITS.get(dtype, 1) <= bits:
                return end - start
    except (KeyError, TypeError):
        pass  # JSON of another form
    raise ValueError(f"{name[:100]!r} is no tensor of this file")


def _count(shape: list[int], most: int = 1 << 62) -> int:
    count = 1
    for length in shape:
        count *= length
        if count > most:
            raise ValueError("a tensor larger than its file")
    return count


def parameters(headers: Iterable[dict[str, Any]]) -> dict[str, Any] | None:
    """`{"parameters": {dtype: count}, "total": count}` of all files of a model; None where there are none."""
    counts: Counter[str] = Counter()
    for found in headers:
        for _name, tensor in _tensors(found):
            counts[tensor["dtype"]] += _count(tensor["shape"])
    return {"parameters": dict(counts), "total": counts.total()} if counts else None


def shards(index: Any) -> list[str]:
    """The files of a sharded model, by its index. Raises ValueError for what is no index."""
    weights = index.get("weight_map") if isinstance(index, dict) else None
    if not isinstance(weights, dict) or not all(isinstance(file, str) for file in weights.values()):
        raise ValueError("the index has no weight_map")
    files = sorted(set(weights.values()))
    if len(files) > MOST_SHARDS:
        raise ValueError(f"more than {MOST_SHARDS} files")
    return files
