"""Repos of another Hub brought into this one's data, pinned to a commit: a class then has them without internet.

Each mirrored commit bears a tag, the whole id of the commit it was made of, so that `revision=` that id finds it.
"""

import hashlib
import os
import shutil
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from glob import escape
from pathlib import Path

from huggingface_hub import HfApi
from huggingface_hub.hf_api import RepoFile
from huggingface_hub.utils import filter_repo_objects
from huggingface_hub.utils.sha import git_hash
from sqlalchemy import select
from sqlalchemy.orm import Session

from utils.hub import accounts
from utils.hub.git import Change, Entry, GitRepo, Pointer, author, check_path
from utils.hub.hub import Hub
from utils.hub.remote import Refused, files, identity
from utils.hub.tables import Repo


@dataclass(frozen=True)
class Pin:
    """A repo of another Hub at one commit, and those of its files that are wanted, by path."""

    kind: str
    repo_id: str
    commit: str
    private: bool
    gated: str | None
    files: dict[str, RepoFile]
    include: tuple[str, ...]
    exclude: tuple[str, ...]

    def __str__(self) -> str:
        """As on the command line: OWNER/NAME@COMMIT, datasets/OWNER/NAME@COMMIT."""
        return f"{'' if self.kind == 'model' else f'{self.kind}s/'}{self.repo_id}@{self.commit}"

    @property
    def bytes(self) -> int:
        return sum(file.size for file in self.files.values())


def pin(api: HfApi, place: str, include: Sequence[str] = (), exclude: Sequence[str] = ()) -> Pin:
    """The commit that OWNER/NAME, OWNER/NAME@REVISION or datasets/OWNER/NAME stands for now.

    `include` and `exclude` are patterns as of `hf download`. Raises Refused where nothing is wanted, HubError 422 for
    a path that would leave the repo, and the client's errors.
    """
    place, _, revision = place.partition("@")
    kind, _, rest = place.partition("/")
    kind, repo_id = (kind[:-1], rest) if kind in ("models", "datasets", "spaces") and "/" in rest else ("model", place)
    info = api.repo_info(repo_id, repo_type=kind, revision=revision or None)
    found = files(api, kind, info.id, info.sha)
    wanted = filter_repo_objects(found, allow_patterns=[*include] or None, ignore_patterns=[*exclude] or None)
    chosen = {check_path(path): found[path] for path in wanted}
    if not chosen:
        raise Refused("একটা file ও মেলেনি: --include আর --exclude এর pattern দেখো")
    return Pin(
        kind,
        info.id,
        info.sha,
        bool(info.private),
        getattr(info, "gated", None) or None,
        chosen,
        (*include,),
        (*exclude,),
    )


def mirror(hub: Hub, api: HfApi, pinned: Pin) -> bool:
    """Brings the pinned files into the Hub's data and says whether anything was missing.

    They become one commit on top of `main`, which then holds them and no others; where the same commit was mirrored
    before with fewer files, it holds both. What is private or gated there is so here. The Hub must be `serving` for
    this process alone. What was downloaded when this breaks off is there the next time. Raises Refused for content
    that is not what was announced, HubError, OSError and the client's errors.
    """
    with hub.db() as db:
        repo = _find(db, pinned)
        main, mirrored = _held(hub, repo, "main"), _held(hub, repo, pinned.commit)
        if all(mirrored.get(path) == identity(file) for path, file in pinned.files.items()):
            return False
        new = {path: file for path, file in pinned.files.items() if main.get(path) != identity(file)}
        missing = {path: file for path, file in new.items() if not (file.lfs and _has(hub, db, file))}
    cache = hub.data / "mirror" / f"{pinned.kind}s--{pinned.repo_id.replace('/', '--')}"
    folder = _download(api, pinned, cache, missing) if missing else cache
    for path, file in missing.items():
        if file.lfs:
            _take(hub, folder / path, file)
    _commit(hub, pinned, folder, new)
    shutil.rmtree(cache, ignore_errors=True)
    with suppress(OSError):  # another one's download was broken off: it goes on some day
        cache.parent.rmdir()
    return True


def _find(db: Session, pinned: Pin) -> Repo | None:
    return db.scalar(select(Repo).where(Repo.kind == pinned.kind, Repo.key == pinned.repo_id.lower()))


def _held(hub: Hub, repo: Repo | None, revision: str) -> dict[str, str]:
    """What the repo holds here: path → identity, as `remote.identity` has it; nothing without repo or revision."""
    if repo is None:
        return {}
    with hub.git(repo) as git:
        return {path: _identity(entry) for path, entry in _entries(git, revision).items()}


def _entries(git: GitRepo, revision: str) -> dict[str, Entry]:
    """The files at `main`, or at the tag of a commit that was mirrored; none if it was not."""
    commit = git.head("refs/heads/main" if revision == "main" else f"refs/tags/{revision}")
    return {entry.path: entry for entry in git.files(commit)} if commit else {}


def _identity(entry: Entry) -> str:
    return entry.pointer.sha256 if entry.pointer else entry.oid


def _has(hub: Hub, db: Session, file: RepoFile) -> bool:
    return hub.content(db, file.lfs.sha256, size=file.lfs.size) is not None


def _download(api: HfApi, pinned: Pin, cache: Path, missing: dict[str, RepoFile]) -> Path:
    """The folder that has the missing files; those that an earlier run has got are not asked for again."""
    for half in cache.rglob("*.incomplete"):  # the client begins such a file anew, under another name
        half.unlink()
    snapshot = api.snapshot_download(
        pinned.repo_id,
        repo_type=pinned.kind,
        revision=pinned.commit,
        cache_dir=cache,
        allow_patterns=[*pinned.include] or None,
        ignore_patterns=[*pinned.exclude, *(escape(path) for path in pinned.files if path not in missing)],
    )
    return Path(snapshot)


def _take(hub: Hub, path: Path, file: RepoFile) -> None:
    """Moves a large file from the download's folder to the Hub's large files: a second copy may not find room."""
    with hub.db() as db:
        if _has(hub, db, file):  # the same content under another path
            return
    blob = path.resolve()
    with blob.open("r+b") as stream:
        found = hashlib.file_digest(stream, "sha256").hexdigest()
        os.fsync(stream.fileno())
    if found != file.lfs.sha256:
        blob.unlink()
        raise _spoilt(file)
    os.utime(blob)  # it is new here: `care.collect` leaves it until a repo holds it
    hub.objects.adopt(blob, found)


def _commit(hub: Hub, pinned: Pin, folder: Path, new: dict[str, RepoFile]) -> None:
    """Puts the pinned files on `main` and the tag on what it is then, all at once or not at all for who reads."""
    with hub.db() as db:
        repo = _find(db, pinned)
        if repo is None:
            namespace, _, name = pinned.repo_id.rpartition("/")
            owner = accounts.find(db, namespace) or accounts.add(db, namespace, kind="org")
            repo = hub.create(db, pinned.kind, owner, name, private=pinned.private)
            repo.gated = pinned.gated
        for file in new.values():
            if file.lfs:
                hub.keep(db, repo, file.lfs.sha256)
        with hub.git(repo) as git:
            main, before = _entries(git, "main"), _entries(git, pinned.commit)
            changes = [
                Change(path, entry.pointer or git.read(entry))
                for path, entry in before.items()
                if path not in pinned.files and (path not in main or main[path].oid != entry.oid)
            ]
            changes += [Change(path, _content(folder / path, file)) for path, file in new.items()]
            gone = main.keys() - before.keys() - pinned.files.keys() - {".gitattributes"}
            changes = [*(Change(path, None) for path in sorted(gone)), *changes]
            head = git.resolve("main")
            if changes:  # none where this broke off between the commit and its tag
                head = git.commit("main", changes, author=author(repo.owner.name), message=f"Mirror {pinned}")
            with git.locked():
                git.put(f"refs/tags/{pinned.commit}", head)
        hub.index(db, repo)


def _content(path: Path, file: RepoFile) -> bytes | Pointer:
    if file.lfs:
        return Pointer(file.lfs.sha256, file.lfs.size)
    content = path.read_bytes()
    if git_hash(content) != file.blob_id:
        path.resolve().unlink()
        raise _spoilt(file)
    return content


def _spoilt(file: RepoFile) -> Refused:
    return Refused(f"{file.path} নষ্ট হয়ে এসেছে: একই command আবার চালাও, শুধু ওই file টা আবার নামবে")
