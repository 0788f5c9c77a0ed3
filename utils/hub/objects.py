"""Large files, stored once under their sha256. A file is there whole and checked, or not at all."""

import hashlib
import os
import re
import threading
import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from utils.hub.errors import unprocessable

BLOCK = 1 << 20
SHA256 = re.compile("[0-9a-f]{64}")


def sync_folder(folder: Path) -> None:
    """Makes a rename in `folder` durable (POSIX; Windows has no such call and needs none)."""
    if os.name == "posix":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


class Incoming:
    """A file on its way in: bytes are written and hashed, then `finish` checks them and moves them to their place."""

    def __init__(self, store: "ObjectStore", path: Path):
        self._store, self.path = store, path
        self._file = path.open("wb")
        self._hash = hashlib.sha256()
        self.size = 0

    def write(self, block: bytes) -> None:
        self._file.write(block)
        self._hash.update(block)
        self.size += len(block)

    def seal(self) -> None:
        """Ends the writing: what came in is on the disk."""
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()

    def finish(self, sha256: str, size: int) -> None:
        """Keeps the file if its content is what was announced. Raises HubError 422 if not."""
        self.seal()
        if self.size != size or self._hash.hexdigest() != sha256:
            raise unprocessable(f"Content does not match: expected {size} bytes with sha256 {sha256}")
        self._store.adopt(self.path, sha256)

    def close(self) -> None:
        with suppress(OSError):  # on a full disk: what it still holds back goes nowhere
            self._file.close()
        self.path.unlink(missing_ok=True)


class PlainContent:
    """A large file that lies on the disk as it is."""

    xet_hash = None

    def __init__(self, path: Path):
        self._path = path
        self.size = path.stat().st_size

    def iterate(self, start: int, end: int) -> Iterator[bytes]:
        """The bytes from `start` to before `end`, in blocks of about a megabyte."""
        with self._path.open("rb") as file:
            file.seek(start)
            for at in range(start, end, BLOCK):
                yield file.read(min(BLOCK, end - at))


class ObjectStore:
    """Content-addressed files below one folder: `aa/bb/<sha256>`, and `incoming/` for those not yet checked."""

    def __init__(self, root: Path):
        self.root = root
        self.incoming = root / "incoming"
        self.incoming.mkdir(parents=True, exist_ok=True)
        self._lock = threading.Lock()
        self._writers: Counter[str] = Counter()  # of each multipart upload, now

    def sweep(self) -> None:
        """Removes what a killed server left half-written."""
        for leftover in self.incoming.iterdir():
            leftover.unlink(missing_ok=True)

    def path(self, sha256: str) -> Path:
        return self.root / sha256[:2] / sha256[2:4] / sha256

    def __contains__(self, sha256: str) -> bool:
        return SHA256.fullmatch(sha256) is not None and self.path(sha256).is_file()

    def adopt(self, file: Path, sha256: str) -> None:
        """Moves a checked, synced file to its place. The rename is the moment at which it exists."""
        target = self.path(sha256)
        target.parent.mkdir(parents=True, exist_ok=True)
        os.replace(file, target)
        sync_folder(target.parent)

    def remove(self, sha256: str) -> int | None:
        """Deletes a file; returns its size in bytes, None if it was not there.

        Whoever is just reading it reads on; Windows keeps it where somebody does.
        """
        try:
            size = self.path(sha256).stat().st_size
            self.path(sha256).unlink()
        except (FileNotFoundError, PermissionError):
            return None
        return size

    def has(self, sha256: str, size: int) -> bool:
        """Whether the file is there in its full length: a disk may have lost a part of it."""
        try:
            return self.path(sha256).stat().st_size == size
        except FileNotFoundError:
            return False

    @contextmanager
    def receive(self) -> Iterator[Incoming]:
        """A new incoming file, removed if it does not finish."""
        incoming = Incoming(self, self.incoming / uuid.uuid4().hex)
        try:
            yield incoming
        finally:
            incoming.close()

    def parts(self, upload: str) -> Path:
        """Where the parts of one multipart upload are put together."""
        return self.incoming / f"{upload}.parts"

    @contextmanager
    def write_part(self, upload: str, offset: int) -> Iterator["PartFile"]:
        with self._lock:
            self.parts(upload).touch()
            part = PartFile(self.parts(upload), offset)
            self._writers[upload] += 1
        try:
            yield part
            part.close()
        finally:
            with suppress(OSError):  # on a full disk, a second time
                part.close()
            with self._lock:
                self._writers[upload] -= 1

    def finish_parts(self, upload: str, sha256: str, size: int) -> None:
        """Checks the assembled parts and keeps them. Raises HubError 422 if they are not what was announced."""
        path, whole = self.parts(upload), self.incoming / uuid.uuid4().hex
        with self._lock:  # who still holds the file open could change it after it was checked
            if self._writers[upload] or not path.exists() or path.stat().st_size != size:
                raise unprocessable("Parts are missing")
            os.replace(path, whole)
        with whole.open("r+b") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
            os.fsync(file.fileno())
        if found != sha256:
            whole.unlink()
            raise unprocessable(f"Content does not match sha256 {sha256}")
        self.adopt(whole, sha256)


class PartFile:
    """One part of a multipart upload, written at its offset; its md5 is the etag that the client sends back."""

    def __init__(self, path: Path, offset: int):
        self._file = path.open("r+b")
        self._file.seek(offset)
        self._hash = hashlib.md5(usedforsecurity=False)
        self.size = 0

    def write(self, block: bytes) -> None:
        self._file.write(block)
        self._hash.update(block)
        self.size += len(block)

    @property
    def etag(self) -> str:
        return self._hash.hexdigest()

    def close(self) -> None:
        self._file.close()
