"""What a Space wants to run: its card and its files, read for the Hub."""

from collections.abc import Mapping
from dataclasses import dataclass

from utils.hub.git import Entry

SDKS = ("gradio", "streamlit", "docker", "static")
DEFAULT_FILES = {"static": "index.html", "docker": "Dockerfile"}
APP_PORT = 7860  # that a container listens on, where its card says nothing


class Unfit(Exception):
    """The Space cannot run; `stage` is what the Hub says then, the message why."""

    def __init__(self, stage: str, message: str):
        super().__init__(message)
        self.stage = stage


@dataclass(frozen=True)
class Config:
    sdk: str
    app_file: str
    app_port: int = APP_PORT


def read(card: Mapping, files: Mapping[str, Entry]) -> Config:
    """What the card asks for, of which `files` by path there are. Raises Unfit."""
    sdk = card.get("sdk")
    if sdk not in SDKS:
        raise Unfit("CONFIG_ERROR", f"README.md must say `sdk:` gradio, streamlit, docker or static, not {sdk!r}")
    app_file = card.get("app_file") or DEFAULT_FILES.get(sdk, "app.py")
    app_port = card.get("app_port") or APP_PORT
    if sdk == "docker":
        app_file = DEFAULT_FILES[sdk]
    if not isinstance(app_file, str) or not (isinstance(app_port, int) and 0 < app_port < 65536):
        raise Unfit("CONFIG_ERROR", "README.md: `app_file:` is a path and `app_port:` a number of a port")
    if app_file not in files:
        raise Unfit("NO_APP_FILE", f"There is no {app_file} in this Space: push one")
    return Config(sdk, app_file, app_port)
