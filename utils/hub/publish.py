"""The starter repos pushed to another Hub, with their history: so their maintainers put them on the real one.

What is there already is not sent again, and nothing there is deleted: a run that was cut off is mended by the next
one. Old ids (`aliases`) stay behind, for no client call makes them.
"""

import hashlib
from dataclasses import dataclass, field
from pathlib import Path

import yaml
from huggingface_hub import CommitOperationAdd, HfApi, metadata_load
from huggingface_hub.errors import RepositoryNotFoundError
from huggingface_hub.utils.sha import git_hash

from utils.hub.birth import STARTERS, files_of
from utils.hub.remote import Refused, files, identity

KINDS = ("model", "dataset", "space")


class NoSuchStarter(LookupError):
    """No starter repo is called so."""


@dataclass(frozen=True)
class State:
    """A commit to be: all files of the repo at that time, those that make it what it is, and the tags on it."""

    message: str
    files: dict[str, Path]
    own: dict[str, Path]
    tags: list[str]


@dataclass(frozen=True)
class Starter:
    """A starter repo, its states from the oldest to the last one."""

    kind: str
    folder: Path
    gated: str | None
    states: list[State]

    @property
    def name(self) -> str:
        """As on the command line: "OWNER/NAME", "datasets/OWNER/NAME"."""
        name = f"{self.folder.parent.name}/{self.folder.name}"
        return name if self.kind == "model" else f"{self.kind}s/{name}"


@dataclass
class Sent:
    """What was sent of one repo, or in a dry run would be."""

    repo_id: str
    is_new: bool
    gated: str | None = None
    files: int = 0
    bytes: int = 0
    tags: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)  # tags that lead to other files there: they stay, for people use them

    def __bool__(self) -> bool:
        return bool(self.is_new or self.gated or self.files or self.tags)


def starters(names: list[str] | None = None, root: Path = STARTERS) -> list[Starter]:
    """The starter repos with these names, each NAME, OWNER/NAME or datasets/OWNER/NAME; without names all.

    Raises NoSuchStarter, and Refused where two of one kind would become one repo of a namespace.
    """
    history = yaml.safe_load((root / "history.yml").read_text(encoding="utf-8")) or {}
    found = [
        _starter(kind, folder, history.get(folder.relative_to(root).as_posix()) or {})
        for kind in KINDS
        for folder in sorted((root / f"{kind}s").glob("*/*"))
    ]
    for name in names or []:
        if not any(_is_called(starter, name) for starter in found):
            raise NoSuchStarter(name)
    chosen = [starter for starter in found if not names or any(_is_called(starter, name) for name in names)]
    for number, starter in enumerate(chosen):
        for other in chosen[:number]:
            if (other.kind, other.folder.name.lower()) == (starter.kind, starter.folder.name.lower()):
                raise Refused(f"এক namespace এ {other.name} আর {starter.name} একসঙ্গে থাকতে পারে না: একটার নাম দিয়ে চালাও")
    return chosen


def _is_called(starter: Starter, name: str) -> bool:
    return name.removeprefix("models/") == starter.name or name == starter.folder.name


def _starter(kind: str, folder: Path, history: dict) -> Starter:
    last = files_of(folder)
    states = []
    for tag in history.get("commits", []):
        own = files_of(folder / ".history" / tag)
        states.append(State(f"Version {tag}", last | own, own, [tag]))
    states.append(State("Upload files", last, last, history.get("tags", [])))
    return Starter(kind, folder, history.get("gated"), states)


def publish(api: HfApi, starter: Starter, namespace: str, *, private: bool = False, dry_run: bool = False) -> Sent:
    """Brings the repo NAMESPACE/NAME up to the starter: the repo itself, its commits, then their tags.

    A repo that is there keeps its visibility, a tag that is there its commit. Raises the client's errors.
    """
    repo_id, kind = f"{namespace}/{starter.folder.name}", starter.kind
    try:
        gated = api.repo_info(repo_id, repo_type=kind).gated if kind != "space" else None
        there = _held(api, starter, repo_id, "main")
        tags = {ref.name: ref.target_commit for ref in api.list_repo_refs(repo_id, repo_type=kind).tags}
        sent = Sent(repo_id, is_new=False)
    except RepositoryNotFoundError:
        gated, there, tags, sent = None, {}, {}, Sent(repo_id, is_new=True)
        if not dry_run:
            sdk = metadata_load(starter.folder / "README.md")["sdk"] if kind == "space" else None
            api.create_repo(repo_id, repo_type=kind, private=private, exist_ok=True, space_sdk=sdk)
    if starter.gated and gated != starter.gated:
        sent.gated = starter.gated
        if not dry_run:  # before there are files that anybody could read
            api.update_repo_settings(repo_id, repo_type=kind, gated=starter.gated)

    for state in starter.states:
        marked = [tag for tag in state.tags if tag in tags]
        for tag in marked:
            if _changed(state.own, _held(api, starter, repo_id, tags[tag])):
                sent.left.append(tag)
        if marked and state is not starter.states[-1]:
            continue
        commit = "main"
        if changed := _changed(state.files, there):
            sent.files += len(changed)
            sent.bytes += sum(path.stat().st_size for path in changed.values())
            there |= {name: _identities(path)[0] for name, path in changed.items()}
            if not dry_run:
                operations = [CommitOperationAdd(name, path) for name, path in changed.items()]
                commit = api.create_commit(repo_id, operations, commit_message=state.message, repo_type=kind).oid
        for tag in state.tags:
            if tag not in tags:
                sent.tags.append(tag)
                if not dry_run:
                    api.create_tag(repo_id, tag=tag, revision=commit, repo_type=kind)
    return sent


def _held(api: HfApi, starter: Starter, repo_id: str, revision: str) -> dict[str, str]:
    return {path: identity(file) for path, file in files(api, starter.kind, repo_id, revision).items()}


def _changed(wanted: dict[str, Path], there: dict[str, str]) -> dict[str, Path]:
    return {name: path for name, path in wanted.items() if there.get(name) not in _identities(path)}


def _identities(path: Path) -> tuple[str, str]:
    """What a Hub may call the file's content: as a large file, and as a small one."""
    content = path.read_bytes()
    return hashlib.sha256(content).hexdigest(), git_hash(content)
