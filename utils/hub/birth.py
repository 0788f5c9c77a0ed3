"""What a Hub is born with: the starter repos, as real git history, and in local mode the accounts of its people.

One folder below `utils/starter/{models,datasets,spaces}/OWNER/NAME` is one repo's files. `history.yml` says more of it:

    models/OWNER/NAME:
      commits: [v1.0]          # earlier states, oldest first: tags whose differing files lie in `.history/TAG/`
      tags: [v1.1]             # of the last commit, which is the folder itself
      aliases: [short-name]    # old ids that redirect here
      gated: manual
"""

import hashlib
import os
import shutil
from pathlib import Path

import yaml
from sqlalchemy import select
from sqlalchemy.orm import Session

from utils.hub import accounts
from utils.hub.git import Change, Pointer, author
from utils.hub.globs import Attributes
from utils.hub.hub import REGULAR_LIMIT, Hub, gitattributes
from utils.hub.tables import Alias, Repo

STARTERS = Path(__file__).parents[1] / "starter"
BORN = 1_767_225_600  # 2026-01-01 in unix seconds: starter commits have the same ids on every machine
STUDENT = "student"
TOKEN = "pathshala"  # the name of the token that such an account is given
META, META_LLAMA = "meta", "meta-llama"  # somebody has to play the owner who answers requests for the gated Llama


def bear(hub: Hub, starters: Path = STARTERS) -> None:
    """Brings in every starter repo that the Hub does not have yet, each whole or not at all."""
    history = yaml.safe_load((starters / "history.yml").read_text(encoding="utf-8")) or {}
    for kind in ("model", "dataset", "space"):
        for folder in sorted((starters / f"{kind}s").glob("*/*")):
            key = folder.relative_to(starters).as_posix()
            with hub.db() as db:
                _bear_one(hub, db, kind, folder, history.get(key) or {})


def _bear_one(hub: Hub, db: Session, kind: str, folder: Path, history: dict) -> None:
    namespace, name = folder.parent.name, folder.name
    if db.scalar(select(Repo.id).where(Repo.kind == kind, Repo.key == f"{namespace}/{name}".lower())):
        return
    owner = accounts.find(db, namespace) or accounts.add(db, namespace, kind="org")
    repo = hub.create(db, kind, owner, name, private=False, when=BORN)
    repo.gated = history.get("gated")
    last = files_of(folder)
    with hub.git(repo) as git:
        for number, tag in enumerate(history.get("commits", []), start=1):
            state = last | files_of(folder / ".history" / tag)
            sha = _commit(hub, db, repo, git, state, f"Version {tag}", BORN + 60 * number)
            git.create_tag(tag, sha, None, owner.name)
        sha = _commit(hub, db, repo, git, last, "Upload files", BORN + 3600)
        for tag in history.get("tags", []):
            git.create_tag(tag, sha, None, owner.name)
    for alias in history.get("aliases", []):
        db.merge(Alias(kind=kind, key=alias.lower(), repo_id=repo.id))
    hub.index(db, repo)


def files_of(folder: Path) -> dict[str, Path]:
    """Path in the repo → file, without the earlier states."""
    found = {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*")) if path.is_file()}
    return {name: path for name, path in found.items() if not name.startswith(".history/")}


def _commit(hub: Hub, db: Session, repo: Repo, git, files: dict[str, Path], message: str, when: int) -> str:
    attributes = Attributes(gitattributes(repo.kind).encode())
    changes = []
    for name, path in files.items():
        if attributes.large(name) or path.stat().st_size > REGULAR_LIMIT:
            changes.append(Change(name, _keep(hub, db, repo, path)))
        else:
            changes.append(Change(name, path.read_bytes()))
    return git.commit("main", changes, author=author(repo.owner.name), message=message, when=when)


def _keep(hub: Hub, db: Session, repo: Repo, path: Path) -> Pointer:
    with path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    size = path.stat().st_size
    if hub.content(db, sha256, size=size) is None:
        with hub.objects.receive() as incoming, path.open("rb") as file:
            shutil.copyfileobj(file, incoming, 1 << 20)
            incoming.finish(sha256, size)
    hub.keep(db, repo, sha256)
    return Pointer(sha256, size)


def student_token(hub: Hub, file: Path) -> str:
    """The student's token for this workspace: kept in `file`, which only its owner can read, made if missing."""
    return _token(hub, file, STUDENT, "শিক্ষার্থী")


def meta_token(hub: Hub, file: Path) -> str:
    """The same for `meta`, an admin of `meta-llama`: with it a notebook can answer there what the student asked."""
    token = _token(hub, file, META, "Meta (নকল)")
    with hub.db() as db:
        org = accounts.find(db, META_LLAMA) or accounts.add(db, META_LLAMA, kind="org")
        accounts.join(db, accounts.find(db, META), org, "admin")
    return token


def _token(hub: Hub, file: Path, name: str, fullname: str) -> str:
    with hub.db() as db:
        account = accounts.find(db, name) or accounts.add(db, name, fullname=fullname)
        if file.exists() and accounts.knows(db, token := file.read_text().strip()):
            return token
        for lost in accounts.tokens(db, account):
            if lost.name == TOKEN:  # its file was deleted, or never written
                db.delete(lost)
        token = accounts.add_token(db, account, TOKEN)
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as out:
        out.write(token)
    return token
