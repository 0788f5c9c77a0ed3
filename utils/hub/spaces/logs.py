"""What an app has said, for whoever reads along: its log may lose its middle and begin anew meanwhile."""

from collections.abc import Iterator
from pathlib import Path

from utils.hub.supervisor import MARK

SHOWN = 40_000  # bytes on a page
PIECE = 64 << 10


def tail(path: Path) -> str:
    """The last part of a log, "" where there is none."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(size - SHOWN, 0))
            return file.read(SHOWN).decode(errors="replace")
    except OSError:
        return ""


class Reader:
    """Reads the lines of a log as they come."""

    def __init__(self, path: Path):
        self.path, self._at, self._file, self._rest = path, 0, None, b""

    def lines(self, *, last: bool = False) -> list[str]:
        """The lines that are new, each with its end; with `last` also the one that has none yet."""
        return list(self._lines(last))

    def _lines(self, last: bool) -> Iterator[str]:
        while piece := self._read():
            *whole, self._rest = (self._rest + piece).split(b"\n")
            for line in whole:
                yield line.decode(errors="replace") + "\n"
        if last and self._rest:
            yield self._rest.decode(errors="replace") + "\n"
            self._rest = b""

    def _read(self) -> bytes:
        try:
            with self.path.open("rb") as file:
                status = self.path.stat()
                if (self._file not in (None, status.st_ino)) or status.st_size < self._at:
                    self._at = self._after_the_gap(file)
                self._file = status.st_ino
                file.seek(self._at)
                piece = file.read(PIECE)
                self._at += len(piece)
                return piece
        except OSError:
            return b""

    @staticmethod
    def _after_the_gap(file) -> int:
        """Where to read on in a log that lost its middle; one that is new is read from its beginning."""
        at = file.read().find(MARK)
        return max(at, 0)
