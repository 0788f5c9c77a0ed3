"""A commit's files in a folder on the disk, for programs that want files: a model's runtime, a Space."""

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from sqlalchemy.orm import Session

from utils.hub.git import Entry, check_path
from utils.hub.hub import Hub
from utils.hub.tables import Repo


def check_out(
    hub: Hub, db: Session, repo: Repo, commit: str, folder: Path, wanted: Callable[[Entry], bool] = lambda entry: True
) -> None:
    """Writes the `wanted` files of a commit below `folder`, which is made; large ones whole, not as pointers.

    They are copies: whoever changes them changes nothing of the Hub's. Raises HubError 404 for a large file that is
    not there, 422 for a path that would leave the folder.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with hub.git(repo) as git:
        for entry in git.files(commit):
            if not wanted(entry):
                continue
            place = folder / check_path(entry.path)
            place.parent.mkdir(parents=True, exist_ok=True)
            if entry.pointer is None:
                place.write_bytes(git.read(entry))
                continue
            content = hub.large(db, repo, entry.pointer.sha256)
            if content is None:
                raise hub.not_there(db, repo, entry, commit)
            with place.open("wb") as file:
                for block in content.iterate(0, content.size):
                    file.write(block)
            with suppress(OSError):
                os.chmod(place, 0o600)
