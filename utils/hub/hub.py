"""One data directory: the SQLite file, the bare git repos and the large files, and what is done with all three.

hub.db     accounts, tokens, repos and the search index (`tables`)
repos/     bare git repos, named by a random id so that a rename moves nothing
objects/   large files by sha256 (`objects`)
"""

import json
import secrets
import shutil
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from filelock import FileLock, Timeout
from itsdangerous import URLSafeTimedSerializer
from sqlalchemy import delete, insert, select
from sqlalchemy.orm import Session

from utils.hub import accounts, cards
from utils.hub.errors import conflict, invalid, repo_not_found
from utils.hub.git import Change, GitRepo, author
from utils.hub.objects import ObjectStore
from utils.hub.tables import Account, Alias, Repo, RepoObject, RepoTag, Setting, connect

REGULAR_LIMIT = 10 * 1000 * 1000  # bytes; the Hub keeps larger files outside git
LARGE_ENDINGS = """
7z arrow avro bin bz2 ckpt ftz gguf gz h5 joblib lz4 mds mlmodel model msgpack npy npz onnx ot parquet pb pickle pkl
pt pth rar safetensors tar tflite tgz wasm xz zip zst
""".split()  # noqa: SIM905 - a table to read
LARGE_MEDIA = "aac bmp flac gif jpeg jpg mp3 mp4 ogg pcm png raw sam tiff wav webm webp".split()  # noqa: SIM905


class DataInUse(Exception):
    """Another Hub process serves this data directory."""


def check_name(name: str) -> str:
    """Returns `name` if a repo can be called so. Raises HubError 400 if not."""
    if not accounts.NAME.fullmatch(name) or name.lower().endswith((".git", ".ipynb")):
        raise invalid(f"Invalid repo name: {name!r}")
    return name


def gitattributes(kind: str) -> str:
    """The .gitattributes a new repo is born with: which names are always large files."""
    patterns = [f"*.{ending}" for ending in LARGE_ENDINGS] + ["saved_model/**/*", "*.tar.*", "*tfevents*"]
    if kind == "dataset":
        patterns += [f"*.{ending}" for ending in LARGE_MEDIA]
    return "".join(f"{pattern} filter=lfs diff=lfs merge=lfs -text\n" for pattern in sorted(patterns))


class Hub:
    """The Hub's state. Thread-safe; one process at a time may serve it (`serving`), any may add users."""

    def __init__(self, data: Path):
        self.data = data
        data.mkdir(mode=0o700, parents=True, exist_ok=True)  # private repos, and the secret that signs links
        self.engine = connect(str(data / "hub.db"))
        self.objects = ObjectStore(data / "objects")
        self.repos = data / "repos"
        self.repos.mkdir(exist_ok=True)
        self._serving = FileLock(data / "serving.lock")
        with self.db() as db:
            setting = db.get(Setting, "secret")
            if setting is None:
                setting = Setting(name="secret", value=secrets.token_hex(32))
                db.add(setting)
            self.signer = URLSafeTimedSerializer(setting.value, salt="upload")

    def serving(self, patience: float = 10) -> None:
        """Takes the data directory for this process and clears what a killed one left.

        Waits `patience` seconds for a Hub that is just ending. Raises DataInUse.
        """
        try:
            self._serving.acquire(timeout=patience)
        except Timeout as error:
            raise DataInUse(str(self.data)) from error
        self.objects.sweep()
        with self.db() as db:
            known = set(db.scalars(select(Repo.folder)))
        for folder in self.repos.iterdir():
            if folder.name not in known:
                shutil.rmtree(folder, ignore_errors=True)

    def close(self) -> None:
        self.engine.dispose()
        self._serving.release()

    @contextmanager
    def db(self) -> Iterator[Session]:
        """A database session: committed when the block ends well, rolled back when it raises."""
        with Session(self.engine, expire_on_commit=False) as session, session.begin():
            yield session

    # Repos

    def git(self, repo: Repo) -> GitRepo:
        return GitRepo(self.repos / repo.folder)

    def find(self, db: Session, kind: str, repo_id: str) -> Repo:
        """The repo with this id, or formerly with it, in any letter case. Raises HubError 404."""
        key = repo_id.lower()
        repo = db.scalar(select(Repo).where(Repo.kind == kind, Repo.key == key))
        if repo is None and (alias := db.get(Alias, (kind, key))):
            repo = db.get(Repo, alias.repo_id)
        if repo is None:
            raise repo_not_found()
        return self.fresh(db, repo)

    def create(
        self,
        db: Session,
        kind: str,
        owner: Account,
        name: str,
        *,
        private: bool | None = None,
        files: Iterable[Change] = (),
        creator: str | None = None,
        when: int | None = None,
    ) -> Repo:
        """A new repo with its first commit. Raises HubError 400 for a bad name, 409 for one that is taken."""
        key = f"{owner.key}/{check_name(name).lower()}"
        self._take_over(db, kind, key)
        if db.scalar(select(Repo.id).where(Repo.kind == kind, Repo.key == key)):
            raise conflict(f"You already created this {kind} repo: {owner.name}/{name}")
        folder = uuid.uuid4().hex
        with GitRepo.create(self.repos / folder) as git:
            git.commit(
                "main",
                [Change(".gitattributes", gitattributes(kind).encode()), *files],
                author=author(creator or owner.name),
                message="initial commit",
                when=when,
            )
        repo = Repo(
            kind=kind,
            owner=owner,
            name=name,
            key=key,
            folder=folder,
            private=owner.private_by_default if private is None else private,
        )
        db.add(repo)
        db.flush()
        self.index(db, repo)
        return repo

    @staticmethod
    def _take_over(db: Session, kind: str, key: str) -> None:
        """Frees the id that a renamed repo left.

        To be called before looking whether the id is taken: writing lets one transaction in at a time, so that of two
        who want an id at once the second waits here and then sees the first one's repo.
        """
        db.execute(delete(Alias).where(Alias.kind == kind, Alias.key == key))

    def delete(self, db: Session, repo: Repo) -> None:
        """Forgets the repo. Its folder goes at the next start: somebody may just be reading it."""
        db.delete(repo)

    def move(self, db: Session, repo: Repo, owner: Account, name: str) -> None:
        """Renames the repo; the old id redirects from now on. Raises HubError 400 or 409."""
        key = f"{owner.key}/{check_name(name).lower()}"
        self._take_over(db, repo.kind, key)
        taken = db.scalar(select(Repo).where(Repo.kind == repo.kind, Repo.key == key))
        if taken is not None and taken.id != repo.id:
            raise conflict(f"A {repo.kind} named {owner.name}/{name} already exists")
        if taken is None:
            db.merge(Alias(kind=repo.kind, key=repo.key, repo_id=repo.id))
        repo.owner, repo.name, repo.key = owner, name, key

    # Index

    def fresh(self, db: Session, repo: Repo) -> Repo:
        """The repo with its index brought up to what git says, should a crash have come between the two."""
        try:
            sha = (self.repos / repo.folder / "refs" / "heads" / "main").read_text().strip()
        except OSError:  # packed, or not there: ask git
            with self.git(repo) as git:
                sha = git.resolve("main")
        if sha != repo.sha:
            # In a transaction of its own: the caller's may last, and nobody else could write meanwhile.
            with self.db() as own:
                self.index(own, own.get(Repo, repo.id) or repo)
            if db.get(Repo, repo.id, populate_existing=True) is None:
                raise repo_not_found()
        return repo

    def refresh(self) -> None:
        """Brings every repo's index up to date: once, when the Hub starts."""
        with self.db() as db:
            for repo in db.scalars(select(Repo)).all():
                self.fresh(db, repo)

    def index(self, db: Session, repo: Repo) -> None:
        """Reads from `main` what search knows of the repo. Raises HubError 404 if it was deleted meanwhile."""
        # Writing first lets one thread in at a time, so that the last one in has seen the last commit.
        db.execute(delete(RepoTag).where(RepoTag.repo_id == repo.id))
        if db.scalar(select(Repo.id).where(Repo.id == repo.id)) is None:
            raise repo_not_found()
        with self.git(repo) as git:
            sha = git.resolve("main")
            files = [entry.path for entry in git.files(sha)]
            card = cards.card_data(_text(git, sha, "README.md"))
            config = _json(git, sha, "config.json")
            tokenizer = _json(git, sha, "tokenizer_config.json")
            changed = git.commit_object(sha).commit_time
        repo.sha = sha
        repo.last_modified = datetime.fromtimestamp(changed, UTC).replace(tzinfo=None)
        repo.card = card
        repo.config = cards.config_summary(config, tokenizer)
        repo.pipeline_tag = cards.pipeline_tag(card, config)
        repo.library_name = cards.library(card, config, files)
        if tags := cards.tags(repo.kind, card, config, files):
            db.execute(insert(RepoTag), [{"repo_id": repo.id, "tag": t, "position": i} for i, t in enumerate(tags)])
        db.expire(repo, ["tags"])

    # Large files

    def holds(self, db: Session, repo: Repo, sha256: str) -> bool:
        """Whether this large file was uploaded to this repo and is there."""
        return sha256 in self.objects and db.get(RepoObject, (repo.id, sha256)) is not None

    def keep(self, db: Session, repo: Repo, sha256: str) -> int:
        """Notes that the repo holds a large file that the store has; returns its size in bytes."""
        size = self.objects.path(sha256).stat().st_size
        db.execute(insert(RepoObject).prefix_with("OR IGNORE"), {"repo_id": repo.id, "sha256": sha256, "size": size})
        return size


def _text(git: GitRepo, sha: str, path: str) -> str:
    entry = git.entry(sha, path)
    if entry is None or entry.is_folder or entry.pointer:
        return ""
    return git.read(entry).decode(errors="replace")


def _json(git: GitRepo, sha: str, path: str) -> dict:
    try:
        found = cards.jsonable(json.loads(_text(git, sha, path) or "{}"))
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
