"""Whole histories: squashed into one commit, copied to another repo, looked through for large files, freed of them.

Nothing is taken from the object store here: a commit that no ref leads to any more can still be asked for by its id.
"""

import stat
from collections.abc import Set
from dataclasses import dataclass
from pathlib import Path

from dulwich.diff_tree import tree_changes
from dulwich.objects import Blob, Commit, Tag, Tree

from utils.hub.errors import conflict, invalid
from utils.hub.git import GitRepo, Objects, Pointer

BRANCHES, TAGS = b"refs/heads/", b"refs/tags/"
MOST_COMMITS = 20_000  # that are looked through for the names of large files


def squash(git: GitRepo, branch: str, *, author: str, message: str) -> str:
    """Makes one commit without a parent of a branch, with the same files; returns its id.

    Raises HubError 404 for a revision that is none, 400 for one that is no branch, 409 if somebody commits meanwhile.
    """
    ref = f"refs/heads/{branch}"
    head = git.head(ref) if branch in git.list_refs("refs/heads/") else None
    if head is None:
        git.resolve(branch)
        raise invalid(f"Invalid reference for a branch: {branch}")
    commit = Objects(git.store).commit(git.commit_object(head).tree, [], author, message).decode()
    if not git.move(ref, head, commit):
        raise conflict("Another commit to this branch came first; please try again")
    return commit


def copy(git: GitRepo, path: Path) -> GitRepo:
    """A new repo at `path` with the branches and tags of another, and what they lead to.

    Left behind are pull requests, and what was squashed or overwritten.
    """
    refs = {ref: sha for ref, sha in _refs(git).items() if ref.startswith((BRANCHES, TAGS))}
    new = GitRepo.create(path)
    new.store.add_pack_data(*git.store.generate_pack_data([], [*refs.values()]))
    for ref, sha in refs.items():
        new.refs[ref] = sha
    return new


def _refs(git: GitRepo) -> dict[bytes, bytes]:
    """All refs by their full names, `main` first; tags with messages stand for themselves."""
    refs = {b"refs/" + name: sha for name, sha in git.refs.as_dict(b"refs").items()}
    return dict(sorted(refs.items(), key=lambda item: (item[0] != BRANCHES + b"main", item[0])))


def pointers(git: GitRepo) -> set[str]:
    """The sha256 of every large file that the repo points to, in any commit."""
    found = set()
    for oid in git.store:
        kind, content = git.store.get_raw(oid)
        if kind == Blob.type_num and (pointer := Pointer.parse(content)):
            found.add(pointer.sha256)
    return found


@dataclass
class Mention:
    """Where a large file is pointed to: the newest path, the ref that leads there, the first commit's time."""

    path: str
    ref: str
    since: int  # unix seconds


def mentions(git: GitRepo, wanted: Set[str]) -> dict[str, Mention]:
    """sha256 → where in the history it is pointed to."""
    found: dict[str, Mention] = {}
    done: list[str] = []
    left = MOST_COMMITS
    for ref in map(bytes.decode, _refs(git)):
        head = git.head(ref)
        for step in git.history(head, without=done):
            if (left := left - 1) < 0:
                return found
            parent = git.store[step.parents[0]].tree if step.parents else None
            for change in tree_changes(git.store, parent, step.tree):
                new = change.new
                if new is None or new.sha is None or not stat.S_ISREG(new.mode):
                    continue
                pointer = git.pointer(new.sha)
                if pointer and pointer.sha256 in wanted:
                    path = new.path.decode(errors="replace")
                    mention = found.setdefault(pointer.sha256, Mention(path, ref, step.commit_time))
                    mention.since = min(mention.since, step.commit_time)
        done.append(head)
    return found


class Rewrite:
    """The repo's history without certain large files. Commits and folders that they do not touch keep their ids."""

    def __init__(self, git: GitRepo, unwanted: Set[str]):
        self._git, self._unwanted = git, unwanted
        self._new = Objects(git.store)
        self._done: dict[bytes, bytes | None] = {}  # commits, tags and trees, old → new; None for an empty folder

    def prepare(self) -> None:
        """Writes the new history beside the old one; takes as long as there is history, and changes no ref."""
        for sha in _refs(self._git).values():
            self._target(sha)
        self._new.save()

    def apply(self) -> None:
        """Moves every ref to the new history. To be called under the repo's lock; after `prepare` it is short.

        Killed in between, it leaves some refs moved: to be called again, which it bears.
        """
        refs = {ref: (sha, self._target(sha)) for ref, sha in _refs(self._git).items()}
        self._new.save()
        for ref, (old, new) in refs.items():
            if new != old:
                self._git.refs.set_if_equals(ref, old, new, message=b"large files deleted")

    def _target(self, sha: bytes) -> bytes:
        """What a ref is to point to instead."""
        found = self._git.store[sha]
        if isinstance(found, Commit):
            return self._commit(sha)
        if not isinstance(found, Tag):
            return sha
        kind, target = found.object
        moved = self._target(target)
        if moved == target:
            return sha
        tag = found.copy()
        tag.object, tag.signature = (kind, moved), None
        return self._new.add(tag)

    def _commit(self, sha: bytes) -> bytes:
        waiting = [sha]  # not by recursion: histories are long
        while waiting:
            at = waiting[-1]
            old = self._git.store[at]
            if at not in self._done and (first := [p for p in old.parents if p not in self._done]):
                waiting += first
                continue
            waiting.pop()
            if at not in self._done:
                self._done[at] = self._changed(old)
        return self._done[sha]

    def _changed(self, old: Commit) -> bytes:
        tree = self._tree(old.tree) or self._new.add(Tree())
        parents = [self._done[parent] for parent in old.parents]
        if (tree, parents) == (old.tree, old.parents):
            return old.id
        commit = old.copy()
        commit.tree, commit.parents = tree, parents
        commit.gpgsig = None  # it was a signature of other content
        return self._new.add(commit)

    def _tree(self, sha: bytes) -> bytes | None:
        if sha not in self._done:
            old = self._git.store[sha]
            new = Tree()
            for name, mode, oid in old.iteritems():
                kept: bytes | None = oid
                if stat.S_ISDIR(mode):
                    kept = self._tree(oid)
                elif stat.S_ISREG(mode) and (pointer := self._git.pointer(oid)) and pointer.sha256 in self._unwanted:
                    kept = None
                if kept:
                    new[name] = (mode, kept)
            if new.id == old.id:
                self._done[sha] = sha
            else:
                self._done[sha] = self._new.add(new) if len(new) else None
        return self._done[sha]
