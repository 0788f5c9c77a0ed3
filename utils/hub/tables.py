"""The Hub's SQLite tables. Git holds the files; these hold who may see them and what search needs to know.

The columns under "index" repeat what a repo's `main` says (card, tags, date). They can be rebuilt from git at any
time and carry the commit they were read from, so that a crash between the two never shows anything stale.
"""

from datetime import UTC, datetime

from sqlalchemy import JSON, ForeignKey, UniqueConstraint, create_engine, event
from sqlalchemy.engine import Engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship


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
    role: Mapped[str]  # "admin" · "write" · "read"
    org: Mapped[Account] = relationship(foreign_keys=org_id)


class Token(Table):
    """An access token. Only its SHA-256 is kept: tokens are long random strings, which no table of guesses holds."""

    __tablename__ = "tokens"
    id: Mapped[int] = mapped_column(primary_key=True)
    account_id: Mapped[int] = mapped_column(ForeignKey("accounts.id", ondelete="CASCADE"))
    name: Mapped[str]
    role: Mapped[str]  # "read" · "write"
    digest: Mapped[str] = mapped_column(unique=True)
    created_at: Mapped[datetime] = mapped_column(default=now)
    account: Mapped[Account] = relationship()


class Repo(Table):
    __tablename__ = "repos"
    # An id is never given twice: a link that was signed for a deleted repo must not open the next one.
    __table_args__ = (UniqueConstraint("kind", "key"), {"sqlite_autoincrement": True})
    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str]  # "model" · "dataset" · "space"
    owner_id: Mapped[int] = mapped_column(ForeignKey("accounts.id"))
    name: Mapped[str]
    key: Mapped[str]  # "owner/name" in lower case
    folder: Mapped[str] = mapped_column(unique=True)  # of the bare git repo; stays when the repo is renamed
    private: Mapped[bool] = mapped_column(default=False)
    gated: Mapped[str | None]  # None · "auto" · "manual"
    created_at: Mapped[datetime] = mapped_column(default=now)
    # index
    sha: Mapped[str | None]
    last_modified: Mapped[datetime] = mapped_column(default=now)
    card: Mapped[dict] = mapped_column(default=dict)
    config: Mapped[dict] = mapped_column(default=dict)
    pipeline_tag: Mapped[str | None]
    library_name: Mapped[str | None]
    owner: Mapped[Account] = relationship(lazy="joined")
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


class RepoObject(Table):
    """Which large files were uploaded to which repo: a sha256 alone opens nothing in another repo."""

    __tablename__ = "repo_objects"
    repo_id: Mapped[int] = mapped_column(ForeignKey("repos.id", ondelete="CASCADE"), primary_key=True)
    sha256: Mapped[str] = mapped_column(primary_key=True)
    size: Mapped[int]


class Alias(Table):
    """A former or short id of a repo ("gpt2"), which redirects."""

    __tablename__ = "aliases"
    kind: Mapped[str] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(primary_key=True)
    repo_id: Mapped[int] = mapped_column(ForeignKey("repos.id", ondelete="CASCADE"))


class Setting(Table):
    """The Hub's own few values, such as the secret that signs upload links."""

    __tablename__ = "settings"
    name: Mapped[str] = mapped_column(primary_key=True)
    value: Mapped[str]


def connect(path: str) -> Engine:
    """Opens the SQLite file at `path` (made if missing) so that readers never wait and a commit survives kill -9."""
    # A connection for every thread that wants one: a request waits for the disk, never for another request's.
    engine = create_engine(f"sqlite:///{path}", max_overflow=-1, connect_args={"timeout": 30})

    @event.listens_for(engine, "connect")
    def pragmas(connection, _record) -> None:
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
            connection.execute(f"PRAGMA {pragma}")

    Table.metadata.create_all(engine)
    return engine
