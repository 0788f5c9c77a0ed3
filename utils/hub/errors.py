"""The Hub's answers when it says no: a status, the code that clients read, and a sentence for people."""

import errno
import sqlite3
from urllib.parse import quote


class HubError(Exception):
    """An error that becomes an HTTP answer with `X-Error-Code` and `X-Error-Message`."""

    def __init__(self, status: int, message: str, code: str | None = None, headers: dict[str, str] | None = None):
        # It may quote what came with the request: half a character, or a path of megabytes.
        message = message.encode(errors="replace").decode()[:1000]
        super().__init__(message)
        self.status, self.message, self.code = status, message, code
        self.headers = headers or {}

    @property
    def all_headers(self) -> dict[str, str]:
        """Headers of the answer; the message is percent-quoted where a header cannot carry it."""
        headers = {"X-Error-Message": quote(self.message, safe=" !\"#$&'()*+,-./:;<=>?@[]^_`{|}~"), **self.headers}
        if self.code:
            headers["X-Error-Code"] = self.code
        return headers


class Moved(Exception):
    """The repo now lives under another id; the same request is to be sent there."""

    def __init__(self, old: str, new: str):
        super().__init__(f"{old} → {new}")
        self.old, self.new = old, new


def unauthorized() -> HubError:
    return HubError(401, "Invalid username or password.")


def bad_credentials() -> HubError:
    # The client tells a wrong token from a missing repo by this very sentence.
    return HubError(401, "Invalid credentials in Authorization header", headers={"WWW-Authenticate": "Bearer"})


def forbidden(message: str) -> HubError:
    return HubError(403, message)


def no_write(caller_can_write: bool, otherwise: str) -> HubError:
    """The refusal of a change: the token may change nothing at all, or the caller not this."""
    return forbidden(otherwise if caller_can_write else "this token is read-only: use one with write permission")


def repo_not_found() -> HubError:
    return HubError(404, "Repository not found", "RepoNotFound")


def revision_not_found(revision: str) -> HubError:
    return HubError(404, f"Invalid rev id: {revision}", "RevisionNotFound")


def entry_not_found(path: str, commit: str | None = None) -> HubError:
    return HubError(
        404, f'Entry not found: "{path}"', "EntryNotFound", headers={"X-Repo-Commit": commit} if commit else None
    )


GATED = {
    "new": "Access to {0} is restricted and you are not in the authorized list. Visit its page to ask for access.",
    "pending": "Your request to access {0} is awaiting a review from the repo authors.",
    "rejected": "Your request to access {0} has been rejected by the repo's authors.",
    "accepted": "Access to {0} is restricted, and this token may not read gated repos.",
}


def gated(repo_id: str, asked: str | None) -> HubError:
    """`asked` is the state of the caller's request, "new" before it is made, None for somebody who is not logged in."""
    message = GATED[asked] if asked else "Access to {0} is restricted. You must have access to it and be authenticated."
    return HubError(403 if asked else 401, message.format(repo_id), "GatedRepo")


def invalid(message: str) -> HubError:
    return HubError(400, message)


def unprocessable(message: str) -> HubError:
    return HubError(422, message)


def conflict(message: str) -> HubError:
    return HubError(409, message)


def damaged(what: str, commit: str | None = None) -> HubError:
    message = f"{what} is damaged on the Hub's disk. Push it again, or restore the Hub from a backup."
    return HubError(404, message, "EntryNotFound", headers={"X-Repo-Commit": commit} if commit else None)


def is_full(error: Exception) -> bool:
    """Whether the system, or SQLite, says that the disk has no room left."""
    if isinstance(error, OSError):
        return error.errno in (errno.ENOSPC, errno.EDQUOT)
    # The second is what SQLite says where it cannot lengthen the file that its readers share.
    full = (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_SHMSIZE)
    return getattr(getattr(error, "orig", error), "sqlite_errorcode", None) in full


def disk_full() -> HubError:
    # Not 503: at that clients send everything again and again.
    return HubError(507, "The Hub's disk is full: this was not taken. Send it again when somebody has made room.")


def just_deleted() -> HubError:
    return HubError(503, "This file was deleted at this very moment: please send it again")


def not_served(what: str) -> HubError:
    return HubError(501, f"The local Hub does not serve {what}.", "NotImplemented")
