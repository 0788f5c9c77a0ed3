"""What `start()` refuses, it refuses in Bangla, with the way out, and leaves the process as it was."""

import os
import socket
import threading

import pytest

REFUSED = """
import json, os, sys
from utils.notebook import start
from utils.notebook.environment import StartError

before, said = dict(os.environ), {}

def refused(name, **arguments):
    try:
        said[name] = [f"accepted: {start(**arguments)}", False]
    except StartError as error:
        said[name] = [str(error), dict(os.environ) == before]
"""
# In one process, for torch is imported once: refusals leave nothing behind, so they cannot disturb each other.
FRESH = """
for hub in BAD_HUBS:
    refused(str(hub), hub=hub)
refused("mps", device="mps")
refused("cuda", device="cuda")
for name, hub in ELSEWHERE.items():
    refused(name, hub=hub)
refused("broken")
os.environ["PATHSHALA_HOME"] = before["PATHSHALA_HOME"] = os.devnull + "/workspace"
refused("unwritable")
"""
IMPORTED = """
from huggingface_hub import HfApi
refused("endpoint")
refused("class", hub=CLASS_HUB)
"""
DONE = "print(json.dumps(said))"
BAD_HUBS = ["", "Local", "huggingface.co", "ftp://huggingface.co", "http://", "127.0.0.1:7860", "http://host:port"]
BAD_HUBS += ["http://[::1", "http://127.0.0.1:7860/api", "https://huggingface.co/?x=1", None, 7860]


@pytest.fixture(scope="module")
def strangers(recorders):
    """Addresses where something else than a Hub is, or nothing at all."""
    chatter = socket.create_server(("127.0.0.1", 0))

    def chat() -> None:
        while True:
            try:
                connection, _ = chatter.accept()
            except OSError:
                return
            connection.sendall(b"SSH-2.0-OpenSSH_9.9\r\n")
            connection.close()

    threading.Thread(target=chat, daemon=True).start()
    with socket.create_server(("127.0.0.1", 0)) as closed:
        nobody = closed.getsockname()[1]
    yield {
        "nobody": f"http://127.0.0.1:{nobody}",
        "no http": f"http://127.0.0.1:{chatter.getsockname()[1]}",
        "another server": recorders().url,
    }
    chatter.close()


@pytest.fixture(scope="module")
def refusals(python, workspaces, strangers) -> dict[str, list]:
    """For each case: what the student is told, and whether the environment is as before."""
    home = workspaces()
    (home / "hub").mkdir(parents=True)
    (home / "hub" / "hub.db").write_text("this is no database")
    cases = f"BAD_HUBS, ELSEWHERE, CLASS_HUB = {BAD_HUBS!r}, {strangers!r}, {strangers['nobody']!r}\n"
    return python(REFUSED + cases + FRESH + DONE, home.parent, PATHSHALA_HOME=home, NO_PROXY="")


def test_nothing_was_changed(refusals):
    assert [name for name, (_, unchanged) in refusals.items() if not unchanged] == []
    assert len(refusals) == len(BAD_HUBS) + 7


@pytest.mark.parametrize("hub", BAD_HUBS)
def test_an_address_that_is_none(refusals, hub):
    said = refusals[str(hub)][0]

    assert said.startswith(f'HUB = "{hub}" চিনি না।') and '"local", "https://huggingface.co"' in said


def test_a_device_that_is_none(refusals):
    said = refusals["mps"][0]

    assert said.startswith('DEVICE = "mps" চিনি না।') and '"auto", "cpu", "cuda"' in said


def test_a_gpu_that_is_not_there(refusals):
    said = refusals["cuda"][0]

    assert said.startswith('DEVICE = "cuda", কিন্তু ') and 'DEVICE = "auto" দাও' in said


@pytest.mark.parametrize("name", ["nobody", "no http", "another server"])
def test_a_class_hub_that_does_not_answer(refusals, strangers, name):
    said = refusals[name][0]

    assert said.startswith(f"{strangers[name]} থেকে ") and 'HUB = "local"' in said


def test_a_hub_that_cannot_start_says_what_its_log_says(refusals):
    said = refusals["broken"][0]

    assert said.startswith("local Hub চালু ") and "pathshala reset" in said
    assert "file is not a database" in said and "hub.log" in said


def test_a_workspace_that_cannot_be_written(refusals):
    said = refusals["unwritable"][0]

    assert said.startswith(f"{os.devnull}/workspace এ local Hub চালু ") and "PATHSHALA_HOME" in said


def test_clients_imported_for_another_hub_need_a_restart(python, place, strangers, tmp_path):
    script = REFUSED + f"CLASS_HUB = {strangers['nobody']!r}\n" + IMPORTED + DONE
    said = python(script, tmp_path, PATHSHALA_HOME=place.home)

    for name in ("endpoint", "class"):
        message, unchanged = said[name]
        assert "import হয়ে গেছে" in message and "Kernel → Restart" in message
        assert "huggingface_hub.constants.ENDPOINT = https://huggingface.co" in message
        assert unchanged


def test_clients_imported_with_another_cache_need_a_restart(python, place, tmp_path):
    """The address is right, but tokens and files would go to the student's own folders."""
    script = REFUSED + "from huggingface_hub import HfApi\nrefused('home')\n" + DONE
    said = python(script, tmp_path, PATHSHALA_HOME=place.home, HF_ENDPOINT=place.url, HF_HOME="elsewhere")
    message, unchanged = said["home"]

    assert "huggingface_hub.constants.HF_HOME = elsewhere" in message and "Kernel → Restart" in message
    assert unchanged


def test_clients_imported_for_this_hub_are_accepted(python, place, tmp_path):
    """A kernel that was warmed up for the workspace, as a class's grader does."""
    warm = """
import json
import datasets, huggingface_hub, torch
from utils.notebook import start
print(json.dumps([start().hub, huggingface_hub.whoami()["name"]]))
"""
    found = python(warm, tmp_path, PATHSHALA_HOME=place.home, HF_ENDPOINT=place.url, HF_HOME=place.home / "hf")

    assert found == [place.url, "student"]


def test_in_a_notebook_the_message_stands_alone(kernels, environment, tmp_path):
    """Our own stack would hide it."""
    kernel = kernels(tmp_path, environment())

    with pytest.raises(kernel.Failed) as failure:
        kernel.run("from utils.notebook import start; start(device='tpu')")

    assert len(str(failure.value).splitlines()) == 1
    assert str(failure.value).startswith('✗ DEVICE = "tpu" চিনি না।')


def test_from_the_course_hub_back_to_the_own_account(python, place, tmp_path):
    """No client was imported yet, so the kernel may still go elsewhere: with all that the student had before."""
    # No request leaves this machine: the proxy is a port where nobody listens.
    mine = {"HF_TOKEN": "hf_mine", "HF_HOME": str(tmp_path / "mine"), "NO_PROXY": "intranet"}
    mine |= {"HTTPS_PROXY": "http://127.0.0.1:9", "PATHSHALA_HOME": str(place.home)}
    script = """
import json, os
before = dict(os.environ)
from utils.notebook import start
start()
there = start("https://huggingface.co")
from huggingface_hub import constants, get_token
changed = {name: value for name, value in os.environ.items() if before.get(name) != value and name.startswith(WATCHED)}
print(json.dumps([there.hub, there.user, get_token(), constants.HF_HOME, changed, sorted(before.keys() - os.environ)]))
"""
    watched = 'WATCHED = ("HF_", "NO_PROXY", "no_proxy", "GRADIO_", "VERTEX_")\n'

    assert python(watched + script, tmp_path, **mine) == [
        "https://huggingface.co",
        None,
        "hf_mine",
        str(tmp_path / "mine"),
        {"HF_ENDPOINT": "https://huggingface.co"},
        [],
    ]
