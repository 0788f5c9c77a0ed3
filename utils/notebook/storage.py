"""How large files travel, for a notebook to look at: git-lfs found wherever it lies, and what Xet sent, counted."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

GIT_LFS = Path(__file__).parents[2] / ".tools" / "git-lfs" / "git_lfs" / "bin"  # where `make` puts it


def find_git_lfs() -> bool:
    """Whether git will find git-lfs: the machine's own, or else the course's, which then joins PATH."""
    os.environ["PATH"] += os.pathsep + str(GIT_LFS)
    return shutil.which("git-lfs") is not None


@dataclass
class Traffic:
    """One or more uploads through Xet, as hf_xet reports them when they are over."""

    chunks: int = 0  # that the files were cut into
    new: int = 0  # of these, those that the Hub did not have
    size: int = 0  # bytes of the files
    sent: int = 0  # bytes that travelled: the new chunks, packed, and the lists that say which file is made of which


@contextmanager
def watch_xet() -> Iterator[Traffic]:
    """Counts what `HfApi.upload_file` sends through Xet inside the block. Uploads go on as they would without it.

    hf_xet counts this itself, but the Hub's client keeps the count to itself. An upload through LFS is not seen.
    Raises RuntimeError where Xet is switched off.
    """
    from huggingface_hub import constants
    from huggingface_hub.utils._xet import get_xet_session

    if constants.HF_HUB_DISABLE_XET:
        raise RuntimeError("HF_HUB_DISABLE_XET চালু আছে, তাই Xet বন্ধ। সেটা তুলে দিয়ে kernel টা restart করো।")

    traffic = Traffic()

    class Session:
        @contextmanager
        def new_upload_commit(self, **options):
            commit = get_xet_session().new_upload_commit(**options)
            try:
                yield commit
            except BaseException:
                commit.abort()
                raise
            done = commit.wait_to_finish().dedup_metrics
            traffic.chunks += done.total_chunks
            traffic.new += done.new_chunks
            traffic.size += done.total_bytes
            traffic.sent += done.total_bytes_uploaded

    with patch("huggingface_hub.utils._xet.get_xet_session", Session):
        yield traffic
