"""One data directory: the SQLite file, the bare git repos and the large files, and what is done with all three.

hub.db     accounts, tokens, repos and the search index (`tables`)
repos/     bare git repos, named by a random id so that a rename moves nothing
objects/   large files by sha256 (`objects`)
xet/       large files as chunks, where clients send them so (`xet`)
"""

import json
import logging
import secrets
import shutil
import threading
import uuid
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Set
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from dulwich.errors import NotGitRepository
from filelock import FileLock, Timeout
from itsdangerous import URLSafeTimedSerializer
from sqlalchemy import delete, false, insert, select, update
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from utils.hub import accounts, cards, discussions, safetensors
from utils.hub.errors import (
    HubError,
    conflict,
    damaged,
    entry_not_found,
    invalid,
    is_full,
    just_deleted,
    repo_not_found,
)
from utils.hub.git import Change, Entry, GitRepo, author
from utils.hub.objects import ObjectStore, PlainContent
from utils.hub.tables import Account, Alias, Repo, RepoObject, RepoTag, Setting, XetFile, Xorb, connect
from utils.hub.xet.store import XetContent, XetStore

log = logging.getLogger("pathshala.hub")
REGULAR_LIMIT = 10 * 1000 * 1000  # bytes; the Hub keeps larger files outside git
# A model is downloaded once when one of these is: its other files come with it (as the Hub counts).
COUNTED = {"config.json", "model_index.json", "adapter_config.json", "config.yaml", "params.json"}
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
        self.xet = XetStore(data / "xet", self.db)
        self.repos = data / "repos"
        self.repos.mkdir(exist_ok=True)
        self._serving = FileLock(data / "serving.lock")
        self._counting = threading.Lock()
        self._committing: Counter[int] = Counter()  # by repo: how many change its `main` just now
        self._counted: dict[tuple[str, ...], dict | None] = {}  # parameters, by the git ids of the weights' files
        self._downloads: Counter[int] = Counter()  # by repo, since the last `settle_downloads`
        with self.db() as db:
            setting = db.get(Setting, "secret")
            if setting is None:
                setting = Setting(name="secret", value=secrets.token_hex(32))
                db.add(setting)
            self.secret = setting.value
            self.signer = URLSafeTimedSerializer(self.secret, salt="upload")

    def serving(self, patience: float = 10) -> None:
        """Takes the data directory for this process and clears what a killed one left.

        Waits `patience` seconds for a Hub that is just ending. Raises DataInUse.
        """
        try:
            self._serving.acquire(timeout=patience)
        except Timeout as error:
            raise DataInUse(str(self.data)) from error
        self.objects.sweep()
        self.xet.xorbs.sweep()
        with self.db() as db:
            known = set(db.scalars(select(Repo.folder)))
        for folder in self.repos.iterdir():
            if folder.name not in known:
                shutil.rmtree(folder, ignore_errors=True)

    def close(self) -> None:
        self.settle_downloads()
        self.engine.dispose()
        self._serving.release()

    @contextmanager
    def db(self) -> Iterator[Session]:
        """A database session: committed when the block ends well, rolled back when it raises."""
        with Session(self.engine, expire_on_commit=False) as session, session.begin():
            yield session

    @contextmanager
    def writing(self) -> Iterator[Session]:
        """The same, in which nobody else writes from its beginning on: what it sees does not change meanwhile."""
        with self.db() as db:
            db.execute(update(Setting).where(false()).values(value=""))
            yield db

    # Repos

    def git(self, repo: Repo) -> GitRepo:
        """The repo's git. Raises HubError 404 if it was deleted meanwhile."""
        try:
            return GitRepo(self.repos / repo.folder)
        except NotGitRepository as error:
            raise repo_not_found() from error

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
        creator: Account | None = None,
        when: int | None = None,
    ) -> Repo:
        """A new repo with its first commit. Raises HubError 400 for a bad name, 409 for one that is taken."""
        self._claim(db, kind, owner, name)
        folder = uuid.uuid4().hex
        try:
            with GitRepo.create(self.repos / folder) as git:
                git.commit(
                    "main",
                    [Change(".gitattributes", gitattributes(kind).encode()), *files],
                    author=author((creator or owner).name),
                    message="initial commit",
                    when=when,
                )
        except OSError:
            shutil.rmtree(self.repos / folder, ignore_errors=True)
            raise
        return self.adopt(db, kind, owner, name, folder, private=private, creator=creator)

    def adopt(
        self,
        db: Session,
        kind: str,
        owner: Account,
        name: str,
        folder: str,
        *,
        private: bool | None = None,
        gated: str | None = None,
        creator: Account | None = None,
    ) -> Repo:
        """A new repo of the git repo in `folder`. Raises HubError 400 for a bad name, 409 for one that is taken."""
        key = self._claim(db, kind, owner, name)
        if not (self.repos / folder).is_dir():  # `care.collect` took it for a deleted repo's
            raise just_deleted()
        repo = Repo(
            kind=kind,
            owner=owner,
            creator_id=(creator or owner).id,
            name=name,
            key=key,
            folder=folder,
            private=owner.private_by_default if private is None else private,
            gated=gated,
        )
        db.add(repo)
        db.flush()
        self.index(db, repo)
        return repo

    def _claim(self, db: Session, kind: str, owner: Account, name: str) -> str:
        """The key of a repo to be; no other thread can take it before this session ends."""
        key = f"{owner.key}/{check_name(name).lower()}"
        self._take_over(db, kind, key)
        if db.scalar(select(Repo.id).where(Repo.kind == kind, Repo.key == key)):
            raise conflict(f"You already created this {kind} repo: {owner.name}/{name}")
        return key

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
        """The repo with its index brought up to what git says, should a crash have come between the two.

        While somebody is `committing`, the index is theirs to bring up to date: nobody who only reads waits for it.
        """
        if self._main(repo) != repo.sha and not self._committing[repo.id]:
            self._reindex(db, repo)
        return repo

    @contextmanager
    def committing(self, db: Session, repo: Repo) -> Iterator[None]:
        """Around a change of `main`: brings the index up to date at its end."""
        with self._counting:
            self._committing[repo.id] += 1
        try:
            yield
            self._reindex(db, repo)
        finally:
            with self._counting:
                self._committing[repo.id] -= 1

    def _main(self, repo: Repo) -> str:
        try:
            return (self.repos / repo.folder / "refs" / "heads" / "main").read_text().strip()
        except OSError:  # packed, or not there: ask git
            with self.git(repo) as git:
                return git.resolve("main")

    def _reindex(self, db: Session, repo: Repo) -> None:
        with self.git(repo) as git:
            self._parameters(db, repo, git, git.resolve("main"))  # a long header: no writer waits while it is read
        # In a transaction of its own: the caller's may last, and nobody else could write meanwhile.
        try:
            with self.db() as own:
                # Of many who committed at once, one has done it for all.
                if own.scalar(select(Repo.sha).where(Repo.id == repo.id)) != self._main(repo):
                    self.index(own, own.get(Repo, repo.id) or repo)
        except OperationalError as error:
            if not is_full(error):  # else it has time: git has the commit, and who reads goes on reading
                raise
        if db.get(Repo, repo.id, populate_existing=True) is None:
            raise repo_not_found()

    def refresh(self) -> None:
        """Brings every repo's index up to date: once, when the Hub starts."""
        with self.db() as db:
            for repo in db.scalars(select(Repo)).all():
                try:
                    self.fresh(db, repo)
                except HubError as error:  # one that is damaged keeps none of the others from being served
                    log.error("%s %s: %s", repo.kind, repo.full_name, error)

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
            if template := _text(git, sha, "chat_template.jinja"):  # where it lies since transformers 4.50
                tokenizer["chat_template"] = template
            changed = git.commit_object(sha).commit_time
            repo.safetensors = self._parameters(db, repo, git, sha)
            discussions.note_merges(db, git, repo, sha)
        repo.sha = sha
        repo.last_modified = datetime.fromtimestamp(changed, UTC).replace(tzinfo=None)
        repo.card = card
        repo.config = cards.config_summary(config, tokenizer)
        repo.pipeline_tag = cards.pipeline_tag(card, config)
        repo.library_name = cards.library(card, config, files)
        if tags := cards.tags(repo.kind, card, config, files):
            db.execute(insert(RepoTag), [{"repo_id": repo.id, "tag": t, "position": i} for i, t in enumerate(tags)])
        db.expire(repo, ["tags"])

    def _parameters(self, db: Session, repo: Repo, git: GitRepo, sha: str) -> dict | None:
        """How many parameters a model in safetensors has; None for another one, and for files that are not in order."""
        if repo.kind != "model":
            return None
        try:
            single = git.entry(sha, safetensors.SINGLE)
            files = [safetensors.SINGLE] if single else safetensors.shards(_json(git, sha, safetensors.INDEX))
        except ValueError:
            return None
        entries = [git.entry(sha, path) for path in files]
        large = [entry.pointer.sha256 for entry in entries if entry and entry.pointer]
        if None in entries or not all(self.holds(db, repo, sha256) for sha256 in large):
            return None
        same = tuple(entry.oid for entry in entries)
        if same not in self._counted:
            if len(self._counted) > 1000:
                self._counted.clear()
            try:
                self._counted[same] = safetensors.parameters(self.headers(db, repo, git, sha, files).values())
            except ValueError:
                self._counted[same] = None
            except HubError:  # deleted at this very moment
                return None
        return self._counted.get(same)

    def headers(self, db: Session, repo: Repo, git: GitRepo, sha: str, files: Iterable[str]) -> dict[str, dict]:
        """The headers of safetensors files, together no longer than one may be.

        Raises HubError 404 for a file that is not there, ValueError for one that is not in order.
        """
        found, room = {}, safetensors.LARGEST_HEADER
        for path in files:
            entry = git.entry(sha, path)
            if entry is None or entry.is_folder:
                raise entry_not_found(path, sha)
            if entry.pointer is None:
                content = git.read(entry)
                read, size = (lambda start, end, content=content: content[start:end]), len(content)
            elif large := self.large(db, repo, entry.pointer.sha256):
                read, size = (lambda start, end, large=large: b"".join(large.iterate(start, end))), entry.size
            else:
                raise self.not_there(db, repo, entry, sha)
            found[path], length = safetensors.header(read, size, room)
            room -= length
        return found

    # Downloads

    def count_download(self, repo: Repo, path: str) -> None:
        """Counts a download of the repo, where this file stands for it; kept in memory until `settle_downloads`."""
        if repo.kind == "dataset" or path in COUNTED or path.endswith(".gguf"):
            with self._counting:
                self._downloads[repo.id] += 1

    def settle_downloads(self) -> None:
        """Writes down what was counted: not at each download, for then every reader would write."""
        with self._counting:
            counted, self._downloads = self._downloads, Counter()
        if not counted:
            return
        try:
            with self.db() as db:
                for repo_id, count in counted.items():
                    db.execute(update(Repo).where(Repo.id == repo_id).values(downloads=Repo.downloads + count))
        except OperationalError as error:
            if not is_full(error):
                raise
            with self._counting:  # later: who only wants to read the counts goes on
                self._downloads += counted

    # Large files

    def large(self, db: Session, repo: Repo, sha256: str) -> PlainContent | XetContent | None:
        """The content of a large file that was uploaded to this repo and is there, in its full length."""
        held = db.get(RepoObject, (repo.id, sha256))
        return self.content(db, sha256, size=held.size, told=held.xet) if held else None

    def holds(self, db: Session, repo: Repo, sha256: str) -> bool:
        return self.large(db, repo, sha256) is not None

    def not_there(self, db: Session, repo: Repo, entry: Entry, commit: str) -> HubError:
        """Why there is no content of a large file that git points to."""
        if db.get(RepoObject, (repo.id, entry.pointer.sha256)):
            return damaged(entry.path, commit)
        return entry_not_found(entry.path, commit)  # a pointer to nothing, or to what others uploaded

    def content(
        self, db: Session, sha256: str, *, size: int | None = None, told: bool = True
    ) -> PlainContent | XetContent | None:
        """A large file, however it came, if it is whole, as far as lengths tell; `size` is what it should have.

        What came both ways is read from its chunks, which need not be `told`.
        """
        if (file := db.get(XetFile, sha256)) and self.xet.is_whole(db, file):
            return XetContent(self.xet, file, told)
        try:
            content = PlainContent(self.objects.path(sha256)) if sha256 in self.objects else None
        except FileNotFoundError:
            return None
        return content if content and size in (None, content.size) else None

    def xet_hashes(self, db: Session, repo: Repo, sha256s: Iterable[str]) -> dict[str, str]:
        """Of large files that the repo holds, the hashes of those that came as chunks, by sha256."""
        came = select(RepoObject.sha256).where(
            RepoObject.repo_id == repo.id, RepoObject.xet, RepoObject.sha256.in_({*sha256s})
        )
        return dict(db.execute(select(XetFile.sha256, XetFile.hash).where(XetFile.sha256.in_(came))).tuples().all())

    def keep(self, db: Session, repo: Repo, sha256: str, *, xet: bool = False) -> int:
        """Notes that the repo holds a large file that the store has, `xet`: as chunks; returns its size in bytes.

        Raises HubError 503, at which clients send it again, if the file was deleted at this very moment.
        """
        content = self.content(db, sha256)
        if content is None:
            raise just_deleted()
        row = {"repo_id": repo.id, "sha256": sha256, "size": content.size, "xet": xet}
        if db.execute(insert(RepoObject).prefix_with("OR IGNORE").values(row)).rowcount == 0 and xet:
            same = (RepoObject.repo_id == repo.id, RepoObject.sha256 == sha256)
            db.execute(update(RepoObject).where(*same).values(xet=True))
        # Writing waited for whoever might `discard` it: looked at again, the file is there to stay.
        if self.content(db, sha256) is None:
            raise just_deleted()
        return content.size

    def forget(self, db: Session, repo: Repo, files: Set[str]) -> None:
        """Takes large files from the repo. Once that is committed, their bytes are to be `discard`ed.

        Should the Hub be killed in between, it is left to `care.collect`: bytes without a row harm nobody.
        """
        db.execute(delete(RepoObject).where(RepoObject.repo_id == repo.id, RepoObject.sha256.in_(files)))
        # Its chunks may be part of other files.
        held = select(RepoObject.sha256)
        db.execute(delete(XetFile).where(XetFile.sha256.in_(files), XetFile.sha256.not_in(held)))

    def discard(self, files: Collection[str] = (), xorbs: Collection[str] = ()) -> list[int]:
        """Removes from the disk those of these large files and xorbs that no row names; returns their sizes in bytes.

        SQLite lets one transaction write at a time. So whoever wants one of them for a repo (`keep`, `keep_xorb`) has
        either noted it before this began, and it stays, or looks for it after this ended, and is refused or sends it.
        """
        freed = []
        with self.writing() as db:
            for store, row, names in ((self.objects, RepoObject.sha256, files), (self.xet.xorbs, Xorb.hash, xorbs)):
                named = set(db.scalars(select(row).where(row.in_(names))))
                freed += [size for name in names if name not in named and (size := store.remove(name)) is not None]
        return freed


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
