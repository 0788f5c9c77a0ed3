"""How the app of each SDK is started, and what this machine lacks for it."""

import importlib.metadata
import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement

from utils.hub.spaces.config import Config, Unfit
from utils.hub.supervised import Limits

PASSED_ON = ("PATH", "LANG", "LC_ALL", "TZ", "SYSTEMROOT", "LD_LIBRARY_PATH")  # of the Hub's own environment
QUIET = {
    "GRADIO_ANALYTICS_ENABLED": "False",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "STREAMLIT_BROWSER_GATHER_USAGE_STATS": "false",
    "DO_NOT_TRACK": "1",
}
STREAMLIT = {  # it is behind a proxy, which keeps its origin apart
    "server.headless": "true",
    "server.address": "127.0.0.1",
    "server.enableCORS": "false",
    "server.enableXsrfProtection": "false",
    "server.fileWatcherType": "none",
    "browser.gatherUsageStats": "false",
    "client.toolbarMode": "viewer",  # no button that deploys to somewhere else
}
NO_ENGINE = "A Docker Space needs a Docker engine on the computer of the Hub, and none answers there"


def check(config: Config) -> None:
    """Raises Unfit where this machine has not what the SDK needs."""
    if config.sdk == "docker":
        if not docker_answers():
            raise Unfit("BUILD_ERROR", NO_ENGINE)
    elif importlib.util.find_spec(config.sdk) is None:
        raise Unfit("BUILD_ERROR", f"{config.sdk} is not installed where the Hub runs: pip install {config.sdk}")


def docker_answers() -> bool:
    if not shutil.which("docker"):
        return False
    try:
        return not subprocess.run(["docker", "version"], capture_output=True, timeout=10).returncode
    except (OSError, subprocess.TimeoutExpired):
        return False


def command(config: Config, port: int) -> list[str]:
    """What runs the app so that it listens on `port` of loopback, from within its own folder."""
    if config.sdk == "streamlit":
        options = [f"--{name}={value}" for name, value in STREAMLIT.items()]
        return [sys.executable, "-m", "streamlit", "run", config.app_file, f"--server.port={port}", *options]
    return [sys.executable, config.app_file]


def environment(port: int, home: Path) -> dict[str, str]:
    """What any app finds around it: nothing of the Hub's own but where programs are.

    The real Hub sets SYSTEM=spaces too. With it each Gradio app here would begin with a traceback, for want of the
    package by which the real one exchanges code in a running app.
    """
    passed = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
    passed["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), passed.get("PATH", os.defpath)])
    return (
        passed
        | QUIET
        | {
            "HOME": str(home),
            "USERPROFILE": str(home),
            "TMPDIR": str(home / "tmp"),
            "TEMP": str(home / "tmp"),
            "GRADIO_TEMP_DIR": str(home / "tmp" / "gradio"),
            "HF_HOME": str(home / "huggingface"),
            "PORT": str(port),
            "GRADIO_SERVER_PORT": str(port),
            "GRADIO_SERVER_NAME": "127.0.0.1",
            "GRADIO_NUM_PORTS": "1",
            "GRADIO_SSR_MODE": "False",
            "PYTHONUNBUFFERED": "1",
            "PYTHONNOUSERSITE": "1",
            "PYTHONUTF8": "1",
            "OMP_NUM_THREADS": "2",
            "CPU_CORES": str(os.cpu_count() or 1),
            "ACCELERATOR": "none",
        }
    )


def missing(requirements: str) -> Iterator[str]:
    """The lines of a requirements.txt that the Hub's Python does not fulfil."""
    for line in requirements.splitlines():
        line = line.split(" #")[0].strip()
        if not line or line.startswith(("#", "-")):
            continue
        try:
            wanted = Requirement(line)
            if wanted.marker and not wanted.marker.evaluate():
                continue
            if not wanted.specifier.contains(importlib.metadata.version(wanted.name), prereleases=True):
                yield line
        except (InvalidRequirement, importlib.metadata.PackageNotFoundError):
            yield line


# Docker


def docker_environment() -> dict[str, str]:
    """Of the client of the engine: how to find it, and who asks."""
    kept = (*PASSED_ON, "HOME", "USERPROFILE", "DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_CONFIG", "DOCKER_CERT_PATH")
    return {name: os.environ[name] for name in kept if name in os.environ}


def docker_variables(own: dict[str, str], app_port: int) -> dict[str, str]:
    """A container's environment: loopback there is not the Hub's."""
    endpoint = own["HF_ENDPOINT"].replace("127.0.0.1", "host.docker.internal")
    return QUIET | own | {"HF_ENDPOINT": endpoint, "PORT": str(app_port), "SYSTEM": "spaces"}


def docker_run(config: Config, image: str, port: int, environment: Path, limits: Limits) -> list[str]:
    """What runs the image with its port at `port` of loopback: as on the real Hub without root, and within limits."""
    options = {
        "--name": image,
        "--user": "1000",
        "--publish": f"127.0.0.1:{port}:{config.app_port}",
        "--env-file": str(environment),
        "--memory": str(limits.memory),
        "--pids-limit": str(limits.processes * 8),
        "--add-host": "host.docker.internal:host-gateway",
        "--cap-drop": "ALL",
        "--security-opt": "no-new-privileges",
    }
    return ["docker", "run", "--rm", *(part for pair in options.items() for part in pair), image]
