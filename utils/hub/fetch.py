"""What a git client fetches: refs, and a pack of what it lacks (gitprotocol-pack, -v2; `git upload-pack`).

Every request stands for itself, as HTTP has it: the client says again what it wants and what it has.
"""

import stat
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field

from dulwich.objects import Commit, Tag
from dulwich.pack import PackChunkGenerator, generate_unpacked_objects
from dulwich.walk import Walker

from utils.hub import pkt
from utils.hub.errors import invalid
from utils.hub.git import GitRepo
from utils.hub.pack import OBJECT_ID

AGENT = "agent=pathshala"
CAPABILITIES = (
    "multi_ack_detailed side-band-64k ofs-delta no-progress shallow deepen-since deepen-not deepen-relative "
    f"allow-reachable-sha1-in-want symref=HEAD:refs/heads/main object-format=sha1 {AGENT}"
)
BLOCK = 1 << 18  # bytes handed to the network at once
MAIN = b"refs/heads/main"


@dataclass
class Wish:
    """One request, in either version of the protocol. Ids are in hex."""

    wants: list[bytes] = field(default_factory=list)
    haves: list[bytes] = field(default_factory=list)
    done: bool = False
    ends: bool = False  # a flush came after the wants
    shallow: set[bytes] = field(default_factory=set)  # commits whose parents the client does not have
    depth: int | None = None
    since: int | None = None  # unix seconds
    without: list[bytes] = field(default_factory=list)  # refs
    relative: bool = False
    capabilities: frozenset[bytes] = frozenset()

    @property
    def deepens(self) -> bool:
        return self.depth is not None or self.since is not None or bool(self.without)

    def take(self, text: bytes) -> None:
        """Reads one line; those that only say how the client would like it are passed over. Raises HubError 400."""
        word, _, value = text.partition(b" ")
        if word in (b"want", b"have", b"shallow"):
            if not OBJECT_ID.fullmatch(value):
                raise invalid("An object id has 40 hex digits")
            into = {b"want": self.wants.append, b"have": self.haves.append, b"shallow": self.shallow.add}
            into[word](value)
        elif word in (b"deepen", b"deepen-since"):
            if not value.isdigit() or len(value) > 12:
                raise invalid(f"{word.decode()} takes a number")
            if word == b"deepen":
                self.depth = int(value) or None
            else:
                self.since = int(value)
        elif word == b"deepen-not":
            self.without.append(value)
        elif word == b"deepen-relative":
            self.relative = True
        elif word == b"done":
            self.done = True


def refs(git: GitRepo) -> dict[bytes, bytes]:
    """All refs by their full names, in git's order."""
    return {b"refs/" + name: sha for name, sha in sorted(git.refs.as_dict(b"refs").items())}


def advertise(git: GitRepo, version: int) -> Iterator[bytes]:
    """The answer to `info/refs?service=git-upload-pack`."""
    if version == 2:
        for text in ("version 2", AGENT, "ls-refs", "fetch=shallow", "object-format=sha1"):
            yield pkt.line(text + "\n")
        yield pkt.FLUSH
        return
    yield pkt.line("# service=git-upload-pack\n") + pkt.FLUSH
    there = refs(git)
    yield pkt.line(there[MAIN] + b" HEAD\0" + CAPABILITIES.encode() + b"\n")
    for name, sha in there.items():
        yield pkt.line(sha + b" " + name + b"\n")
        if peeled := _peeled(git, name, sha):
            yield pkt.line(peeled + b" " + name + b"^{}\n")
    yield pkt.FLUSH


def _peeled(git: GitRepo, name: bytes, sha: bytes) -> bytes | None:
    """The commit behind an annotated tag."""
    commit = git.head(name.decode(errors="replace")) if name.startswith(b"refs/tags/") else None
    return commit.encode() if commit and commit.encode() != sha else None


def answer(git: GitRepo, request: bytes, version: int) -> Iterator[bytes]:
    """The answer to a POST. Raises HubError 400 at once for a request that is none."""
    lines = [text for text, _ in pkt.split(request)]
    return _second(git, lines) if version == 2 else _first(git, lines)


# Version 0, which is also what version 1 says after its greeting


def _first(git: GitRepo, lines: list[bytes]) -> Iterator[bytes]:
    wish, common = Wish(), []
    for text in lines:
        if text == pkt.FLUSH:
            wish.ends = wish.ends or bool(wish.wants)
        elif text.startswith(b"want ") and not wish.wants:
            wish.take(text[:45])
            wish.capabilities = frozenset(text[45:].split())
            wish.relative = b"deepen-relative" in wish.capabilities
        else:
            wish.take(text)
    return _answer_first(git, wish, lines, common) if wish.wants else iter(())


def _answer_first(git: GitRepo, wish: Wish, lines: list[bytes], common: list[bytes]) -> Iterator[bytes]:
    if unknown := _unknown(git, wish):
        yield unknown
        return
    edge = Edge(git, wish)
    if wish.deepens:
        yield from edge.lines()
        yield pkt.FLUSH
    asked = lines.index(pkt.FLUSH) + 1 if wish.ends else len(lines)
    if asked == len(lines):
        return  # the client first wants to know where its history will end
    detailed = b"multi_ack_detailed" in wish.capabilities
    for text in lines[asked:]:
        if text.startswith(b"have ") and (sha := text[5:]) in git.store:
            if detailed or not common:
                yield pkt.line(b"ACK %s%s\n" % (sha, b" common" if detailed else b""))
            common.append(sha)
    if common and detailed:
        yield pkt.line(b"ACK %s%s\n" % (common[-1], b"" if wish.done else b" ready"))
    if not common or (detailed and not wish.done):
        yield pkt.line("NAK\n")
    if wish.done:
        pack = _pack(git, edge, common)
        yield from _banded(pack) if b"side-band-64k" in wish.capabilities else pack


# Version 2


def _second(git: GitRepo, lines: list[bytes]) -> Iterator[bytes]:
    command = lines[0] if lines else b""
    arguments = lines[lines.index(pkt.DELIMITER) + 1 :] if pkt.DELIMITER in lines else []
    if command == b"command=ls-refs":
        return _list_refs(git, arguments)
    if command != b"command=fetch":
        raise invalid("The Hub knows the commands ls-refs and fetch")
    wish = Wish()
    for text in arguments:
        wish.take(text)
    return _answer_second(git, wish)


def _list_refs(git: GitRepo, arguments: list[bytes]) -> Iterator[bytes]:
    prefixes = tuple(text[11:] for text in arguments if text.startswith(b"ref-prefix ")) or (b"",)
    there = refs(git)
    for name, sha in {b"HEAD": there[MAIN], **there}.items():
        if name.startswith(prefixes):
            text = sha + b" " + name
            if name == b"HEAD" and b"symrefs" in arguments:
                text += b" symref-target:" + MAIN
            if b"peel" in arguments and (peeled := _peeled(git, name, sha)):
                text += b" peeled:" + peeled
            yield pkt.line(text + b"\n")
    yield pkt.FLUSH


def _answer_second(git: GitRepo, wish: Wish) -> Iterator[bytes]:
    if unknown := _unknown(git, wish):
        yield unknown
        return
    common = [sha for sha in wish.haves if sha in git.store]
    if not wish.done:
        yield pkt.line("acknowledgments\n")
        for sha in common:
            yield pkt.line(b"ACK " + sha + b"\n")
        if not common:
            yield pkt.line("NAK\n") + pkt.FLUSH
            return
        yield pkt.line("ready\n") + pkt.DELIMITER
    edge = Edge(git, wish)
    if wish.deepens:
        yield pkt.line("shallow-info\n")
        yield from edge.lines()
        yield pkt.DELIMITER
    yield pkt.line("packfile\n")
    yield from _banded(_pack(git, edge, common))


# Both


def _unknown(git: GitRepo, wish: Wish) -> bytes | None:
    """The refusal, if the client wants what is no commit or tag of this repo."""
    for sha in dict.fromkeys(wish.wants):
        if sha not in git.store or not isinstance(git.store[sha], Commit | Tag):
            return pkt.line(b"ERR upload-pack: not our ref " + sha + b"\n")
    return None


class Edge:
    """Where the history that the client is to have ends: at the root, or at shallow commits."""

    def __init__(self, git: GitRepo, wish: Wish):
        self._git, self._wish = git, wish
        self.tips, self.tags = _targets(git, wish.wants)
        self.had = {sha for sha in wish.shallow if sha in git.store}
        self.shallow = self._deepened() if wish.deepens else self.had

    def _deepened(self) -> set[bytes]:
        wish, git = self._wish, self._git
        if wish.depth is not None and wish.relative:
            return self._at_depth(self.had or self.tips, wish.depth + 1)
        if wish.depth is not None:
            return self._at_depth(self.tips, wish.depth)
        names = [p + ref.decode(errors="replace") for ref in wish.without for p in ("", "refs/heads/", "refs/tags/")]
        excluded = [head.encode() for head in map(git.head, names) if head]
        beyond = {step.commit.id for step in Walker(git.store, excluded)} if excluded else set()
        within, waiting = set(), list(self.tips)
        while waiting:
            sha = waiting.pop()
            if sha not in within and sha not in beyond and git.store[sha].commit_time >= (wish.since or 0):
                within.add(sha)
                waiting += git.store[sha].parents
        return {sha for sha in within if not within.issuperset(git.store[sha].parents)}

    def _at_depth(self, tips: Iterable[bytes], depth: int) -> set[bytes]:
        """Commits on level `depth`, counted from 1 at the tips, that have parents."""
        level, seen = set(tips), set(tips)
        while level and depth > 1:
            level = {parent for sha in level for parent in self._git.store[sha].parents} - seen
            seen |= level
            depth -= 1
        return {sha for sha in level if self._git.store[sha].parents}

    def lines(self) -> Iterator[bytes]:
        """What changes for the client."""
        for sha in sorted(self.shallow - self.had):
            yield pkt.line(b"shallow " + sha)
        reached = set(self.commits([])) if self.had else set()
        for sha in sorted((self.had & reached) - self.shallow):
            yield pkt.line(b"unshallow " + sha)

    def commits(self, common: list[bytes]) -> list[bytes]:
        """Those that the client lacks, given what it has."""
        if not self._wish.deepens:
            return self._walk(self.tips, self.shallow, common)
        there = self._walk(self.tips, self.shallow, [])
        had = set(self._walk(common, self.had, [])) if common else set()
        return [sha for sha in there if sha not in had]

    def _walk(self, tips: Iterable[bytes], ends: Collection[bytes], without: list[bytes]) -> list[bytes]:
        def parents(commit: Commit) -> list[bytes]:
            return [] if commit.id in ends else commit.parents

        without = list(_targets(self._git, without)[0])
        return [step.commit.id for step in Walker(self._git.store, list(tips), without, get_parents=parents)]


def _targets(git: GitRepo, wants: Iterable[bytes]) -> tuple[list[bytes], list[bytes]]:
    """The commits behind some objects, and the tags on the way there."""
    commits, tags = {}, {}
    for sha in wants:
        while isinstance(found := git.store[sha], Tag):
            tags[sha] = None
            sha = found.object[1]
        if isinstance(found, Commit):
            commits[sha] = None
    return list(commits), list(tags)


def _pack(git: GitRepo, edge: Edge, common: list[bytes]) -> Iterator[bytes]:
    """A pack of all that the client lacks, in large blocks."""
    lacking = edge.commits(common)
    sent = dict.fromkeys(edge.tags) | dict.fromkeys(lacking)
    has: set[bytes] = set()
    for sha in lacking:
        for parent in [] if sha in edge.shallow else git.store[sha].parents:
            if parent not in sent and parent not in has:
                has.add(parent)
                for _ in _below(git, git.store[parent].tree, has):
                    pass
    for sha in lacking:
        sent |= dict.fromkeys(_below(git, git.store[sha].tree, has))
    objects = [(sha, None) for sha in sent]
    records = generate_unpacked_objects(git.store, objects)
    block = bytearray()
    chunks = PackChunkGenerator(git.store.object_format, len(objects), records, compression_level=1)
    for chunk in chunks:
        block += chunk
        if len(block) >= BLOCK:
            yield bytes(block)
            block.clear()
    yield bytes(block)


def _below(git: GitRepo, tree: bytes, known: set[bytes]) -> Iterator[bytes]:
    """The tree and all in it, but for what is known; that is known from then on."""
    waiting = [tree]
    while waiting:
        sha = waiting.pop()
        if sha in known:
            continue
        known.add(sha)
        yield sha
        for _, mode, oid in git.store[sha].iteritems():
            if stat.S_ISDIR(mode):
                waiting.append(oid)
            elif oid not in known and stat.S_IFMT(mode) in (stat.S_IFREG, stat.S_IFLNK):
                known.add(oid)
                yield oid


def _banded(pack: Iterator[bytes]) -> Iterator[bytes]:
    for block in pack:
        yield b"".join(pkt.band(pkt.PACK, block))
    yield pkt.FLUSH
