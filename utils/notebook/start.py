"""`start()`: every notebook's first call. It says where the notebook is, as whom, and on which device."""

import json
import random
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from http.client import HTTPException
from urllib.parse import urlsplit
from urllib.request import ProxyHandler, Request, build_opener

from utils.hub.local import HubFailed, LocalHub
from utils.notebook import environment, router, workspace
from utils.notebook.environment import StartError
from utils.notebook.plots import use_bangla_font

SEED = 42
PUBLIC = "https://huggingface.co"
DEVICES = ("auto", "cpu", "cuda")

_lease: LocalHub | None = None  # this kernel's hold on the local Hub; the operating system lets go of it at the end


@dataclass(frozen=True)
class Place:
    """Where a notebook runs: the Hub's address, the account's name (None: nobody) and the device, "cpu" or "cuda"."""

    hub: str
    user: str | None
    device: str


def start(hub: str = "local", device: str = "auto") -> Place:
    """Connects the notebook to a Hub and makes it ready to run.

    Args:
        hub: "local" (the workspace's own Hub, started if need be), "https://huggingface.co", or a class Hub's address.
        device: "auto" (the GPU if there is one), "cpu" or "cuda".

    Raises:
        StartError: in Bangla, with the way out. Nothing is set half in that case.
    """
    if device not in DEVICES:
        raise StartError(f'DEVICE = "{device}" চিনি না। এগুলোর একটা দাও: "auto", "cpu", "cuda"।')
    address = _address(hub)
    with ThreadPoolExecutor(1) as meanwhile:  # the Hub starts while torch is imported
        opening = meanwhile.submit(_open_local) if address == "local" else None
        try:
            chosen = _device(device)
        except BaseException:  # Interrupt too: a start that failed holds no lease
            with suppress(StartError):  # a Hub that did not start either: the device is told first
                if opening:
                    opening.result().close()
            raise
        url, user = _use_local(opening.result()) if opening else _use_remote(address)
    environment.put_scripts_first()
    _seed()
    use_bangla_font()
    where = {"local": "local Hub", PUBLIC: "আসল Hub"}.get(hub.rstrip("/"), "class এর Hub")
    who = f"তুমি: {user}" if user else "login করোনি (করতে চাইলে: hf auth login)"
    print(f"✓ {where}: {url} · {who} · device: {chosen}")
    return Place(url, user, chosen)


def _address(hub: str) -> str:
    if hub != "local" and not _is_address(hub):
        raise StartError(
            f'HUB = "{hub}" চিনি না। এগুলোর একটা দাও: "local", "{PUBLIC}", বা class এর Hub এর ঠিকানা, '
            'যেমন "http://192.168.0.10:7860"।'
        )
    return hub.rstrip("/")


def _is_address(hub: object) -> bool:
    """Whether it is http(s)://host or http(s)://host:port, and nothing after that."""
    try:
        parts = urlsplit(str(hub))
        host = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:  # a port that is no number, a broken IPv6 address
        return False
    return bool(host) and not (parts.path.strip("/") or parts.query or parts.fragment)


def _open_local() -> LocalHub:
    home = workspace.home()
    try:
        return LocalHub.open(home)
    except HubFailed as error:
        raise StartError(str(error)) from None
    except OSError as error:  # a folder that cannot be written, or a lock that another notebook keeps too long
        raise StartError(
            f"{home} এ local Hub চালু করা গেল না ({error})। folder টায় লেখা যায় কি না দেখো, তারপর আবার চালাও। "
            "অন্য folder দিতে চাইলে PATHSHALA_HOME এ তার নাম দাও।"
        ) from None


def _use_local(local: LocalHub) -> tuple[str, str]:
    """Points the clients at the workspace's Hub. Returns its address and the account's name."""
    hf_home = local.home / "hf"
    environment.check_imported(local.url, hf_home)
    environment.use_course_hub(local.url, hf_home)
    router.lead_home(local.url)
    environment.save_token(hf_home, local.token)
    _hold(local)
    return local.url, "student"


def _hold(local: LocalHub | None) -> None:
    """Keeps this local Hub for as long as the kernel lives, instead of the one before."""
    global _lease
    if _lease:
        _lease.close()
    _lease = local


def _use_remote(url: str) -> tuple[str, str | None]:
    """The same for huggingface.co or a class Hub; the name is None for somebody who is not logged in."""
    if url == PUBLIC:
        environment.check_imported(url, None)
        environment.use_public_hub(url)
        router.lead_home(None)
        _hold(None)
        from huggingface_hub import get_token  # the real account: environment, file or Colab's secret

        return url, _whoami(url, get_token(), needed=False)
    parts = urlsplit(url)
    hf_home = workspace.home() / f"hf-{parts.hostname}-{parts.port or parts.scheme}"
    environment.check_imported(url, hf_home)
    token = hf_home / "token"
    user = _whoami(url, token.read_text().strip() if token.exists() else None, needed=True)
    environment.use_course_hub(url, hf_home)
    router.lead_home(url)
    _hold(None)
    return url, user


def _whoami(url: str, token: str | None, *, needed: bool) -> str | None:
    """The name behind `token`; None for nobody. A Hub that does not answer is an error if it is needed."""
    request = Request(f"{url}/api/whoami-v2", headers={"Authorization": f"Bearer {token}"} if token else {})
    opener = build_opener(*([ProxyHandler({})] if needed else []))  # a class Hub is never behind the proxy
    try:
        with opener.open(request, timeout=10) as answer:
            return json.load(answer)["name"]
    except (OSError, HTTPException, ValueError, LookupError, TypeError) as error:
        if not needed or getattr(error, "code", None) == 401:
            return None
        raise StartError(
            f'{url} থেকে কোনো উত্তর নেই ({error})। ঠিকানাটা আর network দেখো, নয়তো HUB = "local" দিয়ে নিজের computer এ চালাও।'
        ) from None


def _device(wanted: str) -> str:
    try:
        import torch
    except ImportError as error:  # after an Interrupt in the middle of its import, torch refuses to be imported again
        raise StartError(
            f"torch import হয়নি ({str(error).splitlines()[0]})। Kernel → Restart দাও, তারপর প্রথম cell থেকে চালাও।"
        ) from None

    if wanted == "cpu":
        return "cpu"
    if torch.cuda.is_available():
        return "cuda"
    if wanted == "cuda":
        raise StartError(
            'DEVICE = "cuda", কিন্তু এখানে CUDA GPU পাওয়া যায়নি। DEVICE = "auto" দাও; '
            "Colab এ হলে Runtime → Change runtime type → GPU বেছে নাও।"
        )
    return "cpu"


def _seed() -> None:
    """The same numbers on every run: for Python, numpy and torch (all devices)."""
    import numpy
    import torch

    random.seed(SEED)
    numpy.random.seed(SEED)
    torch.manual_seed(SEED)
