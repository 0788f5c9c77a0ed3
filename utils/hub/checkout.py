"""A commit's files in a folder on the disk, for programs that want files: a model's runtime, a Space."""

import stat
from collections.abc import Callable
from pathlib import Path

from dulwich.object_store import iter_tree_contents
from sqlalchemy.orm import Session

from utils.hub.errors import HubError
from utils.hub.git import Entry, check_path
from utils.hub.hub import Hub
from utils.hub.tables import Repo


def check_out(
    hub: Hub,
    db: Session,
    repo: Repo,
    commit: str,
    folder: Path,
    *,
    most: int,
    wanted: Callable[[Entry], bool] = lambda entry: True,
) -> None:
    """Writes the `wanted` files of a commit below `folder`, which is made; large ones whole, not as pointers.

    They are copies, never links: whoever changes them changes nothing of the Hub's. Raises HubError: 403 for more than
    `most` bytes together, 404 for a large file that is not there, 422 for a path that would leave the folder.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with hub.git(repo) as git:
        entries = [entry for entry in git.files(commit) if wanted(entry)]
        if (size := sum(entry.size for entry in entries)) > most:
            raise HubError(403, f"The files of {repo.full_name} are too large to be used here: {size} bytes")
        blobs = iter_tree_contents(git.store, git.commit_object(commit).tree)
        programs = {blob.path.decode(errors="surrogateescape") for blob in blobs if blob.mode & stat.S_IXUSR}
        for entry in entries:
            place = folder / check_path(entry.path)
            place.parent.mkdir(parents=True, exist_ok=True)
            if entry.pointer is None:
                place.write_bytes(git.read(entry))
            elif content := hub.large(db, repo, entry.pointer.sha256):
                with place.open("wb") as file:
                    file.writelines(content.iterate(0, content.size))
            else:
                raise hub.not_there(db, repo, entry, commit)
            if entry.path in programs:
                place.chmod(0o755)
