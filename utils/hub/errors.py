"""The Hub's answers when it says no: a status, the code that clients read, and a sentence for people."""

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


def repo_not_found() -> HubError:
    return HubError(404, "Repository not found", "RepoNotFound")


def revision_not_found(revision: str) -> HubError:
    return HubError(404, f"Invalid rev id: {revision}", "RevisionNotFound")


def entry_not_found(path: str, commit: str | None = None) -> HubError:
    return HubError(
        404, f'Entry not found: "{path}"', "EntryNotFound", headers={"X-Repo-Commit": commit} if commit else None
    )


def gated(repo_id: str, signed_in: bool) -> HubError:
    how = "ask for access on its page" if signed_in else "log in and ask for access on its page"
    return HubError(403 if signed_in else 401, f"Access to {repo_id} is restricted: {how}.", "GatedRepo")


def invalid(message: str) -> HubError:
    return HubError(400, message)


def unprocessable(message: str) -> HubError:
    return HubError(422, message)


def conflict(message: str) -> HubError:
    return HubError(409, message)


def not_served(what: str) -> HubError:
    return HubError(501, f"The local Hub does not serve {what}.", "NotImplemented")
