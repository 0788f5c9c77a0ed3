"""What the Hugging Face clients read from the environment, set so that a course Hub never meets the real account."""

import os
import sys
import sysconfig
from pathlib import Path
from urllib.parse import urlsplit

# They would send the student's own token to a course Hub, mix its files into the real cache, or forbid to ask it.
UNSET = """
HF_TOKEN HUGGING_FACE_HUB_TOKEN HF_OIDC_RESOURCE HF_TOKEN_PATH HF_HUB_CACHE HUGGINGFACE_HUB_CACHE HF_XET_CACHE
HF_ASSETS_CACHE HUGGINGFACE_ASSETS_CACHE HF_DATASETS_CACHE HF_MODULES_CACHE HF_HUB_OFFLINE TRANSFORMERS_OFFLINE
HF_DATASETS_OFFLINE
""".split()  # noqa: SIM905 - a table to read


class StartError(RuntimeError):
    """Something that the student can put right; the message says how, in Bangla."""

    def _render_traceback_(self) -> list[str]:
        """In a notebook the message alone: our own stack would hide it."""
        return [f"✗ {self}"]


RESTART = (
    "এই kernel এ Hugging Face এর library আগেই অন্য ঠিকানা দিয়ে import হয়ে গেছে{what}। "
    "তাই নতুন ঠিকানাটা আর কাজে লাগবে না। Kernel → Restart দাও, তারপর প্রথম cell থেকে চালাও।"
)


def check_imported(endpoint: str, hf_home: Path | None) -> None:
    """Raises StartError if a client was already imported with another endpoint or cache.

    Clients read the environment once, when they are imported; what is set later would count for half of them only.
    """
    expected = {("huggingface_hub.constants", "ENDPOINT"): endpoint, ("datasets.config", "HF_ENDPOINT"): endpoint}
    if hf_home is not None:
        expected |= {
            ("huggingface_hub.constants", "HF_HOME"): hf_home,
            ("huggingface_hub.constants", "HF_HUB_CACHE"): hf_home / "hub",
            ("huggingface_hub.constants", "HF_TOKEN_PATH"): hf_home / "token",
            ("huggingface_hub.constants", "HF_HUB_OFFLINE"): False,
            ("datasets.config", "HF_DATASETS_CACHE"): hf_home / "datasets",
        }
    for (module, name), value in expected.items():
        if module in sys.modules:
            found = getattr(sys.modules[module], name)
            if str(found).rstrip("/") != str(value).rstrip("/"):
                raise StartError(RESTART.format(what=f" ({module}.{name} = {found})"))


_own: dict[str, str | None] = {}  # the student's values of all that `use_course_hub` changed; None: not set


def _set(name: str, value: str | None) -> None:
    if value is None:
        os.environ.pop(name, None)
    else:
        os.environ[name] = value


def use_course_hub(url: str, hf_home: Path) -> None:
    """Points every client of this process and its children at a course Hub, with a home of its own."""
    wanted: dict[str, str | None] = dict.fromkeys(UNSET) | {
        "HF_ENDPOINT": url,
        "HF_HOME": str(hf_home),
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "HF_HUB_DISABLE_UPDATE_CHECK": "1",  # `hf` would ask PyPI and advise to leave the course's pins
        "GRADIO_ANALYTICS_ENABLED": "False",
    }
    host = urlsplit(url).hostname
    for name in ("NO_PROXY", "no_proxy"):
        hosts = [h for h in os.environ.get(name, "").split(",") if h]
        if host not in hosts and "*" not in hosts:
            wanted[name] = ",".join([*hosts, host])
    if in_colab():
        # huggingface_hub asks Colab's secret store whenever it finds no token, whatever Hub it talks to. It leaves
        # that store alone in Colab Enterprise, which has none.
        wanted["VERTEX_PRODUCT"] = "COLAB_ENTERPRISE"
    for name, value in wanted.items():
        _own.setdefault(name, os.environ.get(name))
        _set(name, value)


def use_public_hub(url: str) -> None:
    """The student's own account and cache, as on any day: what a course Hub changed earlier is put back."""
    while _own:
        _set(*_own.popitem())
    os.environ["HF_ENDPOINT"] = url


def put_scripts_first() -> None:
    """Makes `!hf` in a kernel the `hf` of this kernel's Python."""
    scripts = sysconfig.get_path("scripts")
    rest = [p for p in os.environ.get("PATH", "").split(os.pathsep) if p and p != scripts]
    os.environ["PATH"] = os.pathsep.join([scripts, *rest])


def in_colab() -> bool:
    try:
        return "google.colab" in str(get_ipython())  # noqa: F821 - there in a kernel, and only there
    except NameError:
        return False


def save_token(hf_home: Path, token: str) -> None:
    """Logs the student in as `hf auth login` would: a file in HF_HOME, so that `hf auth logout` works."""
    hf_home.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(hf_home / "token", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(token)
