"""What a pull request changes, as text, and its merge with `main`, path by path."""

import re
import stat
from collections.abc import Iterator
from difflib import Match, SequenceMatcher
from itertools import takewhile

from dulwich.diff_tree import TreeChange, tree_changes
from dulwich.objects import Tree

from utils.hub.git import GitRepo, Objects

MOST_CONFLICTS = 1000  # paths that are told
# What bounds a diff, for anybody may propose anything:
LONGEST = 1 << 20  # characters
MOST_READ = 32 << 20  # bytes of all files
LARGEST = 1 << 20  # bytes of one file that is compared line by line
MOST_EDITS = 500  # lines that come or go in one file, before it counts as written anew
MOST_STEPS = 2_000_000  # of the search for the shortest edits, in all files
CUT = "[The diff is longer than this.]\n"

Node = tuple[int, bytes] | None  # mode and id of what is at a path


class Merge:
    """A three-way merge: of each path, what only one side changed counts. `conflicts` are those that both did.

    `base` is for histories that share nothing, since one was squashed.
    """

    def __init__(self, git: GitRepo, ours: str, theirs: str, base: str | None):
        self._git, self._parents = git, [ours.encode(), theirs.encode()]
        self._new = Objects(git.store)
        self.conflicts: list[str] = []
        self.base = git.merge_base(ours, theirs) or base
        sides = [commit and (stat.S_IFDIR, git.commit_object(commit).tree) for commit in (self.base, ours, theirs)]
        self._root = self._merge(*sides, b"")

    def _merge(self, base: Node, ours: Node, theirs: Node, path: bytes) -> Node:
        if theirs in (base, ours):
            return ours
        if ours == base:
            return theirs
        if not all(side is None or stat.S_ISDIR(side[0]) for side in (ours, theirs)):
            if len(self.conflicts) < MOST_CONFLICTS:
                self.conflicts.append(path.decode(errors="replace"))
            return ours
        sides = [self._entries(side) for side in (base, ours, theirs)]
        tree = Tree()
        for name in sorted(set().union(*sides)):
            merged = self._merge(*(side.get(name) for side in sides), path + b"/" + name if path else name)
            if merged:
                tree.add(name, *merged)
        return (stat.S_IFDIR, self._new.add(tree)) if len(tree) else None

    def _entries(self, side: Node) -> dict[bytes, Node]:
        if side is None or not stat.S_ISDIR(side[0]):
            return {}
        return {name: (mode, oid) for name, mode, oid in self._git.store[side[1]].iteritems()}

    def commit(self, *, author: str, message: str) -> str:
        """Writes the merge commit, which no branch leads to yet; returns its id."""
        tree = self._root[1] if self._root else self._new.add(Tree())
        return self._new.commit(tree, self._parents, author, message).decode()


def diff(git: GitRepo, base: str | None, head: str) -> str:
    """What `head` changes since `base`, in git's unified format, cut where it grows too long."""
    old, new = (commit and git.commit_object(commit).tree for commit in (base, head))
    text, read, steps = [], MOST_READ, [MOST_STEPS]
    room = LONGEST
    for change in tree_changes(git.store, old, new):
        sides = [_content(git, side) for side in (change.old, change.new)]
        read -= sum(len(content) for content in sides if content)
        for line in _file(change, *sides, steps):
            room -= len(line)
            if room < 0 or read < 0:
                return "".join([*text, CUT])
            text.append(line)
    return "".join(text)


def _content(git: GitRepo, side) -> bytes | None:
    if side is None:
        return None
    if not stat.S_ISREG(side.mode) and not stat.S_ISLNK(side.mode):
        return b"Subproject commit " + side.sha + b"\n"  # as git shows it: there is nothing to read
    return git.store.get_raw(side.sha)[1]


def _file(change: TreeChange, old: bytes | None, new: bytes | None, steps: list[int]) -> Iterator[str]:
    path = _shown((change.new or change.old).path)
    yield f"diff --git a/{path} b/{path}\n"
    if old is None:
        yield f"new file mode {change.new.mode:o}\n"
    elif new is None:
        yield f"deleted file mode {change.old.mode:o}\n"
    elif change.old.mode != change.new.mode:
        yield f"old mode {change.old.mode:o}\nnew mode {change.new.mode:o}\n"
    if old == new:
        return
    before = "/dev/null" if old is None else f"a/{path}"
    after = "/dev/null" if new is None else f"b/{path}"
    old, new = old or b"", new or b""
    if b"\0" in old or b"\0" in new:
        yield f"Binary files {before} and {after} differ\n"
        return
    if max(len(old), len(new)) > LARGEST:
        yield f"Files {before} and {after} are too long to compare\n"
        return
    yield f"--- {before}\n+++ {after}\n"
    lines = Lines(_split(old), _split(new), steps)
    for group in lines.get_grouped_opcodes():
        _, i1, _, j1, _ = group[0]
        _, _, i2, _, j2 = group[-1]
        yield f"@@ -{_range(i1, i2)} +{_range(j1, j2)} @@\n"
        for tag, i1, i2, j1, j2 in group:
            if tag == "equal":
                yield from _marked(" ", lines.a[i1:i2])
            else:
                yield from _marked("-", lines.a[i1:i2])
                yield from _marked("+", lines.b[j1:j2])


def _shown(path: bytes) -> str:
    return re.sub(r"[\x00-\x1f\x7f]", lambda odd: f"\\{ord(odd[0]):03o}", path.decode(errors="replace"))


def _split(content: bytes) -> list[bytes]:
    """Lines with their ends; only a newline ends one."""
    return re.findall(rb"[^\n]*\n|[^\n]+", content)


def _range(start: int, end: int) -> str:
    count = end - start
    return f"{start + 1}" if count == 1 else f"{start + (count > 0)},{count}"


def _marked(sign: str, lines: list[bytes]) -> Iterator[str]:
    for line in lines:
        text = sign + line.decode(errors="replace")
        yield text if text.endswith("\n") else f"{text}\n\\ No newline at end of file\n"


class Lines(SequenceMatcher):
    """difflib's hunks over Myers' algorithm ("An O(ND) Difference Algorithm and Its Variations", 1986).

    difflib's own search may take cubic time. Where this one would take too many steps, all lines count as new.
    """

    def __init__(self, old: list[bytes], new: list[bytes], steps: list[int]):
        super().__init__()
        self.a, self.b, self._steps = old, new, steps

    def get_matching_blocks(self) -> list[Match]:
        ids: dict[bytes, int] = {}
        old, new = ([ids.setdefault(line, len(ids)) for line in side] for side in (self.a, self.b))
        head = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(old, new, strict=False)))
        ends = zip(reversed(old[head:]), reversed(new[head:]), strict=False)
        tail = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], ends))
        middle = self._middle(old[head : len(old) - tail], new[head : len(new) - tail])
        pairs = [*((i, i) for i in range(head)), *((head + i, head + j) for i, j in middle)]
        pairs += [(len(old) - i, len(new) - i) for i in range(tail, 0, -1)]
        blocks: list[Match] = []
        for i, j in pairs:
            last = blocks[-1] if blocks else None
            if last and (last.a + last.size, last.b + last.size) == (i, j):
                blocks[-1] = last._replace(size=last.size + 1)
            else:
                blocks.append(Match(i, j, 1))
        return [*blocks, Match(len(old), len(new), 0)]

    def _middle(self, old: list[int], new: list[int]) -> list[tuple[int, int]]:
        """Pairs of equal lines on the shortest way from `old` to `new`; none if it is too long."""
        furthest, trace = {1: 0}, []
        for edits in range(min(len(old) + len(new), MOST_EDITS) + 1):
            trace.append(furthest.copy())
            for k in range(-edits, edits + 1, 2):
                x = start = self._step(furthest, k, edits)
                while x < len(old) and 0 <= x - k < len(new) and old[x] == new[x - k]:
                    x += 1
                furthest[k] = x
                self._steps[0] -= 1 + x - start
                if x >= len(old) and x - k >= len(new):
                    return self._way_back(trace, x, x - k)
            if self._steps[0] < 0:
                break
        return []

    @staticmethod
    def _step(furthest: dict[int, int], k: int, edits: int) -> int:
        """Where diagonal `k` is entered: down from the one above, or right from the one below."""
        if k == -edits or (k != edits and furthest[k - 1] < furthest[k + 1]):
            return furthest[k + 1]
        return furthest[k - 1] + 1

    def _way_back(self, trace: list[dict[int, int]], x: int, y: int) -> list[tuple[int, int]]:
        pairs = []
        for edits in range(len(trace) - 1, -1, -1):
            start = self._step(trace[edits], k := x - y, edits)
            while x > start:
                x, y = x - 1, y - 1
                pairs.append((x, y))
            if edits:  # the edit itself: down if `x` stays, else right
                down = k == -edits or (k != edits and trace[edits][k - 1] < trace[edits][k + 1])
                x, y = (x, y - 1) if down else (x - 1, y)
        return pairs[::-1]
