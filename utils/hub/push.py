"""What a git client pushes (gitprotocol-pack; `git receive-pack`): commands, one a ref, and a pack for all of them.

The pack is received and looked through while nobody waits. Then, under the repo's lock, it is moved to its place and
after it the refs. What is in a pack is taken or refused as a whole, so that the store never holds what was refused;
who may move which ref is said for each.
"""

import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from pathlib import Path

from dulwich.objects import Commit, Tag
from sqlalchemy import select
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from utils.hub import discussions, pkt
from utils.hub.accounts import Caller
from utils.hub.errors import HubError, disk_full, invalid, is_full
from utils.hub.fetch import AGENT, refs
from utils.hub.git import REF_NAME, GitRepo, Pointer
from utils.hub.hub import Hub
from utils.hub.pack import MOST_TOLD, OBJECT_ID, Pack, Refused, malformed, missing
from utils.hub.tables import Discussion, Repo, RepoObject

LARGEST_PACK = 1 << 30
LONGEST_HEAD = 1 << 20  # bytes of all commands
MOST_COMMANDS = 2000
LONGEST_REF = 250  # bytes: a ref is a file, and no disk takes longer names
MOST_TAGS = 10  # upon each other
CAPABILITIES = f"report-status delete-refs side-band-64k ofs-delta no-thin object-format=sha1 {AGENT}"
NONE = b"0" * 40
MAIN = "refs/heads/main"

Access = Callable[[], AbstractContextManager[tuple[Session, Repo, Caller]]]


@dataclass(frozen=True)
class Command:
    """A ref is to be made, moved or deleted. Ids in hex, None for no ref."""

    old: bytes | None
    new: bytes | None
    ref: str


def advertise(git: GitRepo) -> Iterator[bytes]:
    """The answer to `info/refs?service=git-receive-pack`."""
    yield pkt.line("# service=git-receive-pack\n") + pkt.FLUSH
    for number, (name, sha) in enumerate(refs(git).items()):
        yield pkt.line(sha + b" " + name + (b"\0" + CAPABILITIES.encode() if number == 0 else b"") + b"\n")
    yield pkt.FLUSH


class Incoming:
    """A push on its way in: the commands are read as they come, the pack goes to disk."""

    def __init__(self, folder: Path):
        self.path = folder / f"{uuid.uuid4().hex}.pack"
        self._file = self.path.open("wb")
        self._head = bytearray()
        self.commands: list[Command] | None = None  # until all of them are there
        self.capabilities: frozenset[bytes] = frozenset()
        self.size = 0  # bytes of the pack
        self.no_room: Refused | None = None  # known in the middle, and told at the end: before it nobody listens

    def write(self, block: bytes) -> None:
        """Raises HubError 400, 413."""
        if self.commands is None:
            self._head += block
            block = self._commands()
        self.size += len(block)
        if self.size > LARGEST_PACK:
            raise HubError(413, f"A push may have at most {LARGEST_PACK >> 30} GiB: push fewer commits at a time")
        if self.no_room is None:
            try:
                self._file.write(block)
            except OSError as error:
                self.no_room = _no_room(error)
                self.close()

    def _commands(self) -> bytes:
        """Reads the commands, if they have come; returns what follows them."""
        commands = []
        for text, end in pkt.split(self._head):
            if text == pkt.FLUSH:
                self.commands, rest = commands, bytes(self._head[end:])
                self._head.clear()
                return rest
            if text.startswith(b"shallow "):
                continue  # where the client's history ends: what it lacks, the Hub has, or refuses the push
            text, _, capabilities = text.partition(b"\0")
            if not commands:
                self.capabilities = frozenset(capabilities.split())
            commands.append(_command(text))
            if len(commands) > MOST_COMMANDS:
                raise invalid(f"A push may move at most {MOST_COMMANDS} refs")
        if len(self._head) > LONGEST_HEAD:
            raise invalid("A push must begin with the refs that it moves")
        return b""

    def finish(self) -> None:
        try:
            self._file.close()
        except OSError as error:
            self.no_room = _no_room(error)
        if self.commands is None:
            raise invalid("The push ends before it has begun")

    def close(self) -> None:
        with suppress(OSError):  # on a full disk: what it still holds back goes nowhere
            self._file.close()
        for leftover in (self.path, self.path.with_suffix(".idx")):
            leftover.unlink(missing_ok=True)


def _command(text: bytes) -> Command:
    old, _, rest = text.partition(b" ")
    new, _, ref = rest.partition(b" ")
    if not (OBJECT_ID.fullmatch(old) and OBJECT_ID.fullmatch(new) and ref) or old == new == NONE:
        raise invalid("A command of a push is: old id, new id, ref")
    # What is no UTF-8 becomes a name that no ref may have.
    return Command(*(None if sha == NONE else sha for sha in (old, new)), ref.decode(errors="replace"))


def receive(hub: Hub, access: Access, incoming: Incoming) -> bytes:
    """Takes or refuses a push that has come in; returns the answer. `access` asks anew who may do what."""
    if not incoming.commands:
        return b""  # git asks so whether it would be let in
    with access() as (_db, repo, _caller):
        repo_id = repo.id
    with hub.git(repo) as git:
        try:
            if incoming.no_room:
                raise incoming.no_room
            refused, advice = _receive(hub, access, git, incoming)
        except (Refused, OSError, OperationalError) as error:
            refusal = error if isinstance(error, Refused) else _no_room(error)
            refused = {command.ref: refusal.reason for command in incoming.commands}
            advice = list(refusal.advice)
    with hub.db() as db:
        if found := db.get(Repo, repo_id):
            hub.fresh(db, found)
    return _report(incoming, refused, advice)


def _no_room(error: OSError | OperationalError) -> Refused:
    """What is said where the disk is full. Raises any other error."""
    if not is_full(error):
        raise error
    return Refused("disk full", disk_full().message)


def _receive(hub: Hub, access: Access, git: GitRepo, incoming: Incoming) -> tuple[dict[str, str], list[str]]:
    """(ref → why it was not moved, sentences that say more). Raises Refused."""
    pack = Pack(incoming.path, git) if any(command.new for command in incoming.commands) else None
    try:
        if pack:
            pack.check()
            with access() as (db, repo, _caller):
                _check_held(hub, db, repo, pack)
            pack.prepare()
        # First the database, then the repo's lock: everybody's order. Inside it nothing is written to the database.
        with access() as (db, repo, caller), git.locked():
            if pack and not pack.is_empty:
                _check_held(hub, db, repo, pack, on_disk=False)  # deleted meanwhile? That takes the row first
                pack.keep()
            with hub.git(repo) as now:
                return _move(db, now, repo, caller, incoming.commands)
    finally:
        if pack:
            pack.close()


def _check_held(hub: Hub, db: Session, repo: Repo, pack: Pack, *, on_disk: bool = True) -> None:
    """Raises Refused where a pointer names a large file that this repo does not hold."""
    if not pack.pointers:
        return
    rows = select(RepoObject.sha256, RepoObject.size).where(RepoObject.repo_id == repo.id)
    held = dict(db.execute(rows).tuples().all())
    lacking = [
        pointer
        for pointer in pack.pointers
        if held.get(pointer.sha256) != pointer.size or (on_disk and not hub.holds(db, repo, pointer.sha256))
    ]
    if lacking:
        raise _not_held(pack, lacking[:MOST_TOLD])


def _not_held(pack: Pack, lacking: list[Pointer]) -> Refused:
    paths = pack.paths({pack.pointers[pointer] for pointer in lacking})
    return Refused(
        "LFS file missing",
        *(
            f"{paths.get(pack.pointers[pointer], 'A pointer')} stands for a large file of {pointer.size} bytes that "
            f"this repo does not hold ({pointer.sha256[:12]}…)."
            for pointer in lacking
        ),
        "Send the large files first, then push again:",
        "    git lfs install",
        "    git lfs push --all origin",
    )


def _move(
    db: Session, git: GitRepo, repo: Repo, caller: Caller, commands: Iterable[Command]
) -> tuple[dict[str, str], list[str]]:
    """Moves the refs that may be moved. To be called under the repo's lock."""
    there = refs(git)
    refused, advice = {}, []
    for command in commands:
        try:
            if command.ref in refused:
                raise Refused("named twice")
            check_ref(db, repo, caller, command)
            if command.new:
                _check_target(git, command)
            if there.get(command.ref.encode()) != command.old or not _moved(git, command):
                raise Refused(
                    "fetch first",
                    f"Somebody else moved {command.ref} meanwhile. Take that over, then push again: git pull --rebase",
                )
        except Refused as refusal:
            refused[command.ref] = refusal.reason
            advice += refusal.advice
    return refused, advice


def check_ref(db: Session, repo: Repo, caller: Caller, command: Command) -> None:
    """Raises Refused unless the caller, who may push here at all, may do this to this ref."""
    ref = command.ref
    if not REF_NAME.fullmatch(ref) or len(ref.encode(errors="replace")) > LONGEST_REF or "\ufffd" in ref:
        raise Refused("invalid name", "This name of a ref is not valid: take letters, digits, - and _.")
    if pull := discussions.PULL.fullmatch(ref):
        check_pull(db, repo, caller, int(pull[1]))
        if command.new is None:
            raise Refused("cannot be deleted", f"{ref} belongs to its pull request: close that instead.")
    elif not ref.startswith(("refs/heads/", "refs/tags/")):
        raise Refused("not a place to push to", f"{ref}: push to refs/heads (branches) or refs/tags.")
    elif not caller.may_write(db, repo):
        raise Refused(
            "not permitted", f"You may not write to {repo.full_name}. Propose it: push to your pull request, refs/pr/N."
        )
    elif ref == MAIN and command.new is None:
        raise Refused("cannot be deleted", "main cannot be deleted: every repo has it.")


def check_pull(db: Session, repo: Repo, caller: Caller, number: int) -> None:
    """Raises Refused unless the caller may push to this pull request: its author may, and who may write to the repo."""
    pull = db.scalar(select(Discussion).where(Discussion.repo_id == repo.id, Discussion.num == number))
    if pull is None or not pull.is_pull_request:
        raise Refused("no such pull request", f"There is no pull request {number}: open it first, then push to it.")
    if pull.author_id != caller.account.id and not caller.may_write(db, repo):
        raise Refused("not permitted", f"Pull request {number} is somebody else's: open one of your own.")
    if pull.status == "merged":
        raise Refused("merged", f"Pull request {number} is merged: open another one.")


def may_push_somewhere(db: Session, repo: Repo, caller: Caller) -> bool:
    """Whether there is any ref that the caller may push to."""
    his = select(Discussion.id).where(
        Discussion.repo_id == repo.id, Discussion.author_id == caller.account.id, Discussion.is_pull_request
    )
    return caller.may_write(db, repo) or db.scalar(his.limit(1)) is not None


def _check_target(git: GitRepo, command: Command) -> None:
    """A branch is at a commit, a tag leads to one: all that shows a revision counts on that."""
    found = _object(git, command.new)
    if command.ref.startswith("refs/tags/"):
        for _ in range(MOST_TAGS):
            if isinstance(found, Tag):
                found = _object(git, found.object[1])
    if not isinstance(found, Commit):
        raise Refused("not a commit", f"{command.ref} would not lead to a commit.")


def _object(git: GitRepo, sha: bytes):
    if sha not in git.store:
        raise missing(sha)
    return git.store[sha]


def _moved(git: GitRepo, command: Command) -> bool:
    """Compares and swaps. Raises Refused where the disk cannot hold the name beside those that are there."""
    ref = command.ref.encode()
    try:
        with git.tidy():
            if command.new is None:
                return git.refs.remove_if_equals(ref, command.old)
            if command.old is not None:
                return git.refs.set_if_equals(ref, command.old, command.new, message=b"push")
            if git.refs.add_if_new(ref, command.new):
                return True
    except (OSError, ValueError) as error:
        if is_full(error):
            raise _no_room(error) from error
        if command.old:
            raise
    raise Refused(
        "name in conflict", f"{command.ref} cannot stand beside another ref: a and a/b are not both possible."
    )


def _report(incoming: Incoming, refused: dict[str, str], advice: list[str]) -> bytes:
    """`report-status`, in the side band that the client asked for, after what a person is to read."""
    broken = next((reason for reason in refused.values() if reason == malformed("").reason), None)
    lines = [f"unpack {broken or 'ok'}\n"]
    for command in incoming.commands or []:
        reason = refused.get(command.ref)
        lines.append(f"ng {command.ref} {reason}\n" if reason else f"ok {command.ref}\n")
    status = b"".join(map(pkt.line, lines)) + pkt.FLUSH if b"report-status" in incoming.capabilities else b""
    if b"side-band-64k" not in incoming.capabilities:
        return status
    told = "".join(f"{text}\n" for text in dict.fromkeys(advice))
    told = f"\n{told}\n".encode(errors="replace") if told else b""
    return b"".join([*pkt.band(pkt.PROGRESS, told), *pkt.band(pkt.PACK, status), pkt.FLUSH])
