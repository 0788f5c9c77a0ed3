"""git's pkt-lines (gitprotocol-common): four hex digits of length, then that many bytes less four."""

from collections.abc import Iterator

from utils.hub.errors import invalid

FLUSH, DELIMITER = b"0000", b"0001"
LONGEST = 65_520  # bytes of one line, its length included
PACK, PROGRESS, FATAL = 1, 2, 3  # bands of side-band-64k


def line(text: bytes | str) -> bytes:
    content = text.encode() if isinstance(text, str) else text
    return b"%04x" % (len(content) + 4) + content


def band(number: int, content: bytes) -> Iterator[bytes]:
    """The content as lines of one side band."""
    for start in range(0, len(content), LONGEST - 5):
        yield line(bytes([number]) + content[start : start + LONGEST - 5])


def split(content: bytes | bytearray) -> Iterator[tuple[bytes, int]]:
    """Whole lines at the beginning of `content`, each with the place where it ends.

    Yields FLUSH and DELIMITER as they are, other lines without their length and newline. Raises HubError 400.
    """
    at = 0
    while len(content) - at >= 4:
        try:
            size = int(content[at : at + 4], 16)
        except ValueError as error:
            raise invalid("This is not git's protocol: a line must begin with its length") from error
        if size in (0, 1, 2):
            at += 4
            yield bytes(content[at - 4 : at]), at
        elif not 4 <= size <= LONGEST:
            raise invalid("This is not git's protocol: a line has an impossible length")
        elif len(content) - at < size:
            return
        else:
            at += size
            text = bytes(content[at - size + 4 : at])
            # Bytes that look like a flush could be the content of a line: nobody means them, and they are no flush.
            yield (text.removesuffix(b"\n") or b"\n") if text not in (FLUSH, DELIMITER) else text + b"\n", at
