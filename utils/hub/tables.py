"""The Hub's SQLite tables. Git holds the files; these hold who may see them and what search needs to know.

The columns under "index" repeat what a repo's `main` says (card, tags, date). They can be rebuilt from git at any
time and carry the commit they were read from, so that a crash between the two never shows anything stale.
"""

import threading
from datetime import UTC, datetime

from sqlalchemy import DDL, JSON, ForeignKey, Index, UniqueConstraint, create_engine, event, func, inspect, select
from sqlalchemy.engine import Engine
from sqlalchemy.orm import DeclarativeBase, Mapped, column_property, mapped_column, relationship
from sqlalchemy.schema import CreateColumn, CreateIndex

PATIENCE = 30  # seconds that a transaction waits for its turn to write


def now() -> datetime:
    """The present as SQLite keeps it: UTC without a zone."""
    return datetime.now(UTC).replace(tzinfo=None)


class Table(DeclarativeBase):
    type_annotation_map = {dict: JSON, list: JSON}


class Account(Table):
    """A user or an organisation: the owner of a namespace."""

    __tablename__ = "accounts"
    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str]  # "user" · "org"
    name: Mapped[str]
    key: Mapped[str] = mapped_column(unique=True)  # name in lower case: ids are case-insensitive to look up
    fullname: Mapped[str]
    admin: Mapped[bool] = mapped_column(default=False)
    private_by_default: Mapped[bool] = mapped_column(default=False)
    created_at: Mapped[datetime] = mapped_column(default=now)


class Membership(Table):
    __tablename__ = "memberships"
    org_id: Mapped[int] = mapped_column(ForeignKey("accounts.id", ondelete="CASCADE"), primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("accounts.id", ondelete="CASCADE"), primary_key=True)
    role: Mapped[str]  # "admin" · "write" · "contributor" · "read"
    org: Mapped[Account] = relationship(foreign_keys=org_id)
    user: Mapped[Account] = relationship(foreign_keys=user_id)


class Token(Table):
    """An access token. Only its SHA-256 is kept: tokens are long random strings, which no table of guesses holds."""

    __tablename__ = "tokens"
    id: Mapped[int] = mapped_column(primary_key=True)
    account_id: Mapped[int] = mapped_column(ForeignKey("accounts.id", ondelete="CASCADE"))
    name: Mapped[str]
    role: Mapped[str]  # "read" · "write" · "fineGrained"
    digest: Mapped[str] = mapped_column(unique=True)
    fine_grained: Mapped[dict | None]  # what such a token may do, as whoami shows it
    created_at: Mapped[datetime] = mapped_column(default=now)
    account: Mapped[Account] = relationship()


class Repo(Table):
    __tablename__ = "repos"
    # An id is never given twice: a link that was signed for a deleted repo must not open the next one.
    # A page of a listing reads as many rows as it shows, in the order of one of these. The first one also holds what
    # searches and the count of likes go through all repos for.
    __table_args__ = (
        UniqueConstraint("kind", "key"),
        Index("ix_repos_last_modified", "kind", "last_modified", "private", "owner_id", "key"),
        Index("ix_repos_created_at", "kind", "created_at"),
        Index("ix_repos_downloads", "kind", "downloads"),
        Index("ix_repos_owner_id", "owner_id"),
        {"sqlite_autoincrement": True},
    )
    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str]  # "model" · "dataset" · "space"
    owner_id: Mapped[int] = mapped_column(ForeignKey("accounts.id"))
    creator_id: Mapped[int | None] = mapped_column(ForeignKey("accounts.id"))
    name: Mapped[str]
    key: Mapped[str]  # "owner/name" in lower case
    folder: Mapped[str] = mapped_column(unique=True)  # of the bare git repo; stays when the repo is renamed
    private: Mapped[bool] = mapped_column(default=False)
    gated: Mapped[str | None]  # None · "auto" · "manual"
    created_at: Mapped[datetime] = mapped_column(default=now)
    downloads: Mapped[int] = mapped_column(default=0, server_default="0")
    # index
    sha: Mapped[str | None]
    last_modified: Mapped[datetime] = mapped_column(default=now)
    card: Mapped[dict] = mapped_column(default=dict)
    config: Mapped[dict] = mapped_column(default=dict)
    pipeline_tag: Mapped[str | None]
    library_name: Mapped[str | None]
    safetensors: Mapped[dict | None]  # {"parameters": {dtype: count}, "total": count}
    owner: Mapped[Account] = relationship(lazy="joined", foreign_keys=owner_id)
    tags: Mapped[list["RepoTag"]] = relationship(
        cascade="all, delete-orphan", passive_deletes=True, order_by="RepoTag.position"
    )

    @property
    def full_name(self) -> str:
        return f"{self.owner.name}/{self.name}"

    @property
    def url_path(self) -> str:
        """Path of the repo's page, without the leading slash: models stand at the root."""
        return self.full_name if self.kind == "model" else f"{self.kind}s/{self.full_name}"


class RepoTag(Table):
    __tablename__ = "repo_tags"
    repo_id: Mapped[int] = mapped_column(ForeignKey("repos.id", ondelete="CASCADE"), primary_key=True)
    tag: Mapped[str] = mapped_column(primary_key=True, index=True)
    position: Mapped[int]


Index("ix_repo_tags_lower", func.lower(RepoTag.tag), RepoTag.repo_id)  # a listing takes tags in any letter case


class RepoObject(Table):
    """Which large files were uploaded to which repo: a sha256 alone opens nothing in another repo."""

    __tablename__ = "repo_objects"
    repo_id: Mapped[int] = mapped_column(ForeignKey("repos.id", ondelete="CASCADE"), primary_key=True)
    sha256: Mapped[str] = mapped_column(primary_key=True)
    size: Mapped[int]
    # Whether it came here as chunks: only then who reads here learns of them, whatever other repos have.
    xet: Mapped[bool] = mapped_column(default=False, server_default="0")


class Xorb(Table):
    """A xorb that lies on disk, whole and checked. Files use it by `XetTerm`; that of a young one may be on its way."""

    __tablename__ = "xorbs"
    hash: Mapped[str] = mapped_column(primary_key=True)
    size: Mapped[int]  # bytes on disk
    chunks: Mapped[bytes]  # what it holds: `xet.xorb.Index`
    created_at: Mapped[datetime] = mapped_column(default=now)  # or last sent


class XorbSender(Table):
    """Who has sent a xorb, and so has all of its chunks."""

    __tablename__ = "xorb_senders"
    xorb: Mapped[str] = mapped_column(ForeignKey("xorbs.hash", ondelete="CASCADE"), primary_key=True)
    account_id: Mapped[int] = mapped_column(ForeignKey("accounts.id", ondelete="CASCADE"), primary_key=True)


class XetFile(Table):
    """A large file that lies in xorbs. Which repos hold it, `RepoObject` says."""

    __tablename__ = "xet_files"
    sha256: Mapped[str] = mapped_column(primary_key=True)
    hash: Mapped[str] = mapped_column(index=True)
    size: Mapped[int]


class XetTerm(Table):
    """A piece of a file: its bytes from `start` on are the chunks from `first` to before `end` of a xorb."""

    __tablename__ = "xet_terms"
    sha256: Mapped[str] = mapped_column(ForeignKey("xet_files.sha256", ondelete="CASCADE"), primary_key=True)
    start: Mapped[int] = mapped_column(primary_key=True)
    size: Mapped[int]
    xorb: Mapped[str] = mapped_column(ForeignKey("xorbs.hash"), index=True)
    first: Mapped[int]
    end: Mapped[int]


class XetChunk(Table):
    """A chunk that clients ask for before they send what follows it, and a file that has it: in the term at `start`."""

    __tablename__ = "xet_chunks"
    chunk: Mapped[str] = mapped_column(primary_key=True)
    sha256: Mapped[str] = mapped_column(
        ForeignKey("xet_files.sha256", ondelete="CASCADE"), primary_key=True, index=True
    )
    start: Mapped[int]


class AccessRequest(Table):
    """Who asked for a gated repo's files, and what came of it."""

    __tablename__ = "access_requests"
    repo_id: Mapped[int] = mapped_column(ForeignKey("repos.id", ondelete="CASCADE"), primary_key=True)
    account_id: Mapped[int] = mapped_column(ForeignKey("accounts.id", ondelete="CASCADE"), primary_key=True)
    status: Mapped[str]  # "pending" · "accepted" · "rejected"
    granted: Mapped[bool] = mapped_column(default=False)  # given by the owner without having been asked
    fields: Mapped[dict | None]  # of the form, where the card asks for more
    rejection_reason: Mapped[str | None]
    asked_at: Mapped[datetime] = mapped_column(default=now)
    account: Mapped[Account] = relationship(lazy="joined")


class Like(Table):
    """Who likes which repo, and since when."""

    __tablename__ = "likes"
    repo_id: Mapped[int] = mapped_column(ForeignKey("repos.id", ondelete="CASCADE"), primary_key=True)
    account_id: Mapped[int] = mapped_column(ForeignKey("accounts.id", ondelete="CASCADE"), primary_key=True, index=True)
    created_at: Mapped[datetime] = mapped_column(default=now)
    repo: Mapped[Repo] = relationship()
    account: Mapped[Account] = relationship()


Repo.likes = column_property(
    select(func.count()).select_from(Like).where(Like.repo_id == Repo.id).correlate_except(Like).scalar_subquery()
)


class SpaceSetting(Table):
    """How a Space is to run: what its owner chose, and where it was last reached."""

    __tablename__ = "space_settings"
    repo_id: Mapped[int] = mapped_column(ForeignKey("repos.id", ondelete="CASCADE"), primary_key=True)
    paused: Mapped[bool] = mapped_column(default=False)
    sleep_time: Mapped[int | None]  # seconds without a visitor; -1 for never, None for the Hub's own
    port: Mapped[int | None]  # where visitors find it: the same one again, so that a bookmark stays good


class SpaceVariable(Table):
    """A variable of a Space's environment. A secret one is never shown again, only handed to the app."""

    __tablename__ = "space_variables"
    repo_id: Mapped[int] = mapped_column(ForeignKey("repos.id", ondelete="CASCADE"), primary_key=True)
    key: Mapped[str] = mapped_column(primary_key=True)
    secret: Mapped[bool] = mapped_column(primary_key=True)
    value: Mapped[str]
    description: Mapped[str | None]
    updated_at: Mapped[datetime] = mapped_column(default=now)


class Discussion(Table):
    """A discussion of a repo, or a pull request: `refs/pr/NUM` in its git. Numbers count up in each repo, without gaps.

    Of a pull request git has the last word: `head` and `merge_commit` repeat what it says (`discussions.follow`).
    """

    __tablename__ = "discussions"
    __table_args__ = (UniqueConstraint("repo_id", "num"),)
    id: Mapped[int] = mapped_column(primary_key=True)
    repo_id: Mapped[int] = mapped_column(ForeignKey("repos.id", ondelete="CASCADE"))
    num: Mapped[int]
    title: Mapped[str]
    author_id: Mapped[int | None] = mapped_column(ForeignKey("accounts.id", ondelete="SET NULL"))
    status: Mapped[str]  # "open" · "closed"; of a pull request also "draft" · "merged"
    is_pull_request: Mapped[bool]
    base: Mapped[str | None]  # the commit that the pull request was opened on
    head: Mapped[str | None]  # the last commit of `refs/pr/NUM` that has its event
    merge_commit: Mapped[str | None]
    created_at: Mapped[datetime] = mapped_column(default=now)
    author: Mapped[Account | None] = relationship(lazy="joined")

    @property
    def ref(self) -> str:
        return f"refs/pr/{self.num}"


class DiscussionEvent(Table):
    """What happened in a discussion, in order: a comment, a change of status or title, a commit."""

    __tablename__ = "discussion_events"
    id: Mapped[int] = mapped_column(primary_key=True)
    discussion_id: Mapped[int] = mapped_column(ForeignKey("discussions.id", ondelete="CASCADE"), index=True)
    type: Mapped[str]  # "comment" · "status-change" · "title-change" · "commit"
    author_id: Mapped[int | None] = mapped_column(ForeignKey("accounts.id", ondelete="SET NULL"))
    data: Mapped[dict]
    created_at: Mapped[datetime] = mapped_column(default=now)
    author: Mapped[Account | None] = relationship(lazy="joined")


class Collection(Table):
    """A list of repos under a title; its slug is `owner/title-key`, of which only the key stays the same."""

    __tablename__ = "collections"
    id: Mapped[int] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(unique=True)  # 24 random hex digits: nobody finds a private one by counting
    owner_id: Mapped[int] = mapped_column(ForeignKey("accounts.id", ondelete="CASCADE"), index=True)
    title: Mapped[str]
    description: Mapped[str | None]
    private: Mapped[bool] = mapped_column(default=False)
    theme: Mapped[str]
    position: Mapped[int] = mapped_column(default=0)  # among the owner's collections
    updated_at: Mapped[datetime] = mapped_column(default=now)
    owner: Mapped[Account] = relationship(lazy="joined")


class CollectionItem(Table):
    """A repo, or another collection, in a collection."""

    __tablename__ = "collection_items"
    # An id is never given twice: who deletes an item deletes no other one.
    __table_args__ = (
        UniqueConstraint("collection_id", "repo_id"),
        UniqueConstraint("collection_id", "inner_id"),
        {"sqlite_autoincrement": True},
    )
    id: Mapped[int] = mapped_column(primary_key=True)
    collection_id: Mapped[int] = mapped_column(ForeignKey("collections.id", ondelete="CASCADE"))
    repo_id: Mapped[int | None] = mapped_column(ForeignKey("repos.id", ondelete="CASCADE"), index=True)
    inner_id: Mapped[int | None] = mapped_column(ForeignKey("collections.id", ondelete="CASCADE"), index=True)
    position: Mapped[int]
    note: Mapped[str | None]
    repo: Mapped[Repo | None] = relationship()
    inner: Mapped[Collection | None] = relationship(foreign_keys=inner_id)


class Alias(Table):
    """A former or short id of a repo ("gpt2"), which redirects."""

    __tablename__ = "aliases"
    kind: Mapped[str] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(primary_key=True)
    repo_id: Mapped[int] = mapped_column(ForeignKey("repos.id", ondelete="CASCADE"))


class Allowance(Table):
    """How much inference an account may ask for; who has no row, and a field that is empty, is endless."""

    __tablename__ = "allowances"
    account_id: Mapped[int] = mapped_column(ForeignKey("accounts.id", ondelete="CASCADE"), primary_key=True)
    calls: Mapped[int | None]  # left
    per_minute: Mapped[int | None]


class Setting(Table):
    """The Hub's own few values, such as the secret that signs upload links."""

    __tablename__ = "settings"
    name: Mapped[str] = mapped_column(primary_key=True)
    value: Mapped[str]


def connect(path: str) -> Engine:
    """Opens the SQLite file at `path` (made if missing) so that readers never wait and a commit survives kill -9."""
    # A connection for every thread that wants one: a request waits for the disk, never for another request's.
    engine = create_engine(f"sqlite:///{path}", max_overflow=-1, connect_args={"timeout": PATIENCE})

    @event.listens_for(engine, "connect")
    def pragmas(connection, _record) -> None:
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
            connection.execute(f"PRAGMA {pragma}")

    _queue_writers(engine)
    Table.metadata.create_all(engine)
    _add_what_came_later(engine)
    return engine


def _queue_writers(engine: Engine) -> None:
    """Lets this process's transactions write one after the other, as they came.

    SQLite itself has those who wait try again and again, asleep in between: of forty writers some wait ten seconds.
    """
    turn = threading.Lock()

    @event.listens_for(engine, "before_cursor_execute")
    def wait(connection, _cursor, statement: str, *_more) -> None:
        if "writing" not in connection.info and statement.startswith(("INSERT", "UPDATE", "DELETE")):
            # Whose patience ends here is refused by SQLite.
            connection.info["writing"] = turn.acquire(timeout=PATIENCE)

    @event.listens_for(engine, "checkin")
    def ended(_connection, record) -> None:
        if record.info.pop("writing", False):
            turn.release()


def _add_what_came_later(engine: Engine) -> None:
    """Columns and indexes that are younger than the data directory. A column may be empty or has a server's default."""
    known = inspect(engine)
    for table in Table.metadata.sorted_tables:
        there = {column["name"] for column in known.get_columns(table.name)}
        for column in table.columns:
            if column.name not in there:
                with engine.begin() as connection:
                    connection.execute(DDL(f"ALTER TABLE {table.name} ADD COLUMN {CreateColumn(column)}"))
        with engine.begin() as connection:
            for index in table.indexes:
                connection.execute(CreateIndex(index, if_not_exists=True))
