"""Another Hub, reached with the official client: which token goes there, what a repo holds there, why it said no."""

import httpx2
from huggingface_hub import HfApi, constants, get_token
from huggingface_hub.errors import (
    EntryNotFoundError,
    GatedRepoError,
    HfHubHTTPError,
    HfUriError,
    HFValidationError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
    XetDownloadError,
)
from huggingface_hub.hf_api import RepoFile
from sqlalchemy.exc import OperationalError

from utils.hub.errors import HubError, is_full


class Refused(Exception):
    """This one repo cannot be carried over; the message says why in Bangla, and the way out."""


# What may go wrong with one repo while the next one can still be carried over; hf_xet raises RuntimeError.
FAILURES = (
    Refused,
    HubError,
    OSError,
    RuntimeError,
    httpx2.HTTPError,
    EntryNotFoundError,
    HFValidationError,
    HfUriError,
    XetDownloadError,
    OperationalError,
)
ANSWERS = {
    401: "token টা ওই Hub চেনে না: --token দিয়ে ঠিক token দাও, নয়তো আবার `hf auth login` করো",
    402: "ওই Hub এখানে টাকা চায় (402): Gradio বা Docker এর Space হলে PRO account লাগে",
    403: "এই token এর ওখানে এই কাজের অনুমতি নেই: namespace ঠিক আছে কি না আর token টা write কি না দেখো",
    429: "ওই Hub একটু থামতে বলছে (429): কয়েক মিনিট পরে একই command আবার চালাও",
    507: "ওই Hub এর disk ভরে গেছে: জায়গা খালি হলে আবার চালাও",
}


def client(url: str, token: str | None = None) -> HfApi:
    """The client of the Hub at `url`, with `token`, or else with the one that belongs there, or with none.

    HF_TOKEN and what `hf auth login` left belong to the Hub that HF_ENDPOINT names: no other one is shown them.
    """
    url = url.rstrip("/")
    if token is None and url == constants.ENDPOINT:
        token = get_token()
    return HfApi(endpoint=url, token=token or False)


def files(api: HfApi, kind: str, repo_id: str, revision: str = "main") -> dict[str, RepoFile]:
    """What a repo holds at a revision, by path. Raises the client's errors."""
    tree = api.list_repo_tree(repo_id, recursive=True, revision=revision, repo_type=kind)
    return {entry.path: entry for entry in tree if isinstance(entry, RepoFile)}


def identity(file: RepoFile) -> str:
    """What tells its content from any other: the sha256 of a large file, the git id of a small one."""
    return file.lfs.sha256 if file.lfs else file.blob_id


def reason(error: BaseException) -> str:
    """Why one of the `FAILURES` came, and the way out, in one line of Bangla."""
    while isinstance(error, (LocalEntryNotFoundError, RuntimeError)) and error.__cause__:  # as the client wraps it
        error = error.__cause__
    match error:
        case Refused():
            return str(error)
        case GatedRepoError():
            return "repo টা gated: browser এ তার পাতায় গিয়ে অনুমতি চাও, পেলে --token সহ আবার চালাও"
        case RepositoryNotFoundError():
            return "এই নামে কিছু পাওয়া যায়নি: বানান দেখো; dataset হলে সামনে datasets/ দাও; private হলে --token লাগবে"
        case RevisionNotFoundError():
            return "এই revision ওখানে নেই: branch, tag বা পুরো commit id টা মিলিয়ে দেখো"
        case HfHubHTTPError():
            status = error.response.status_code
            return ANSWERS.get(status) or f"ওই Hub {status} বলেছে: {error.server_message or _first_line(error)}"
        case OfflineModeIsEnabled():
            return "HF_HUB_OFFLINE চালু আছে: সেটা তুলে দিয়ে আবার চালাও"
        case httpx2.TransportError():
            return f"Hub এ পৌঁছানো গেল না ({type(error).__name__}): ঠিকানা আর internet দেখে একই command আবার চালাও"
        case HFValidationError() | HfUriError():
            return "repo র নাম এমন হয় না: OWNER/NAME বা datasets/OWNER/NAME এভাবে লেখো"
        case HubError():
            return error.message
        case _ if is_full(error):
            return "disk ভরে গেছে: জায়গা খালি করে একই command আবার চালাও, যেটুকু নামানো হয়েছে তা থেকে যাবে"
    return f"{type(error).__name__}: {_first_line(error)}"


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or "?").splitlines()[0]
