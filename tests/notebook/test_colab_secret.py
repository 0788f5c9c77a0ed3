"""Colab keeps the student's real token as a secret, for any client that asks: only huggingface.co may see it.

`huggingface_hub` looks into that store whenever it finds no other token, whatever Hub it is about to call.
"""

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

SECRET = "hf_the_secret_in_colab"
# As in Colab: a kernel of its own, whose shell names the module, and the store with its three errors.
GOOGLE_COLAB = {
    "_kernel.py": """
from google.colab._shell import Shell
from ipykernel.ipkernel import IPythonKernel
from traitlets import Type

class Kernel(IPythonKernel):
    shell_class = Type(Shell)
""",
    "_shell.py": """
from ipykernel.zmqshell import ZMQInteractiveShell

class Shell(ZMQInteractiveShell):
    pass
""",
    "errors.py": """
class Error(Exception):
    pass
""",
    "userdata.py": f"""
from google.colab.errors import Error

asked = []

class SecretNotFoundError(Error):
    pass

class NotebookAccessError(Error):
    pass

def get(name):
    asked.append(name)
    return {SECRET!r}
""",
}
CELLS = """
import subprocess
from google.colab import userdata
from utils.notebook import start

def hf(*arguments):
    done = subprocess.run(["hf", *arguments], capture_output=True, text=True, stdin=subprocess.DEVNULL)
    return [done.returncode, done.stdout + done.stderr]
"""


@pytest.fixture(scope="module")
def colab(kernels, environment, workspaces, tmp_path_factory):
    """Starts a kernel as Colab has it, with the secret in its store; in a fresh workspace, if none is given."""
    packages = tmp_path_factory.mktemp("colab")
    (packages / "google" / "colab").mkdir(parents=True)
    for name, source in GOOGLE_COLAB.items():
        (packages / "google" / "colab" / name).write_text(source)

    def kernel(home: Path | None = None, **variables: str):
        home = home or workspaces()
        variables = environment(PATHSHALA_HOME=home, **variables)
        variables["PYTHONPATH"] = os.pathsep.join([str(packages), variables.get("PYTHONPATH", "")])
        return kernels(home.parent, variables, "--IPKernelApp.kernel_class=google.colab._kernel.Kernel")

    return kernel


@pytest.fixture(scope="module")
def class_hub(tmp_path_factory, recorders, wait):
    """A teacher's Hub with one account, behind a door that notes which tokens come through."""
    data = tmp_path_factory.mktemp("class") / "data"
    pathshala = Path(sys.executable).with_name("pathshala")
    command = [pathshala, "hub", "user", "add", "rahim", "--data", data]
    token = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    serving = subprocess.Popen(
        [pathshala, "hub", "serve", "--port", "0", "--data", data], stdout=subprocess.PIPE, text=True, bufsize=1
    )
    url = next(word for word in serving.stdout.readline().split() if word.startswith("http://"))
    door = recorders(url)
    yield SimpleNamespace(url=door.url, token=token, seen=door.authorizations)
    serving.terminate()
    serving.communicate()


def test_the_local_hub_never_gets_the_secret(colab, place):
    kernel = colab(place.home)
    kernel.run(CELLS)
    kernel.run("here = start()")
    kernel.run("from huggingface_hub import HfApi, get_token; from huggingface_hub.utils import build_hf_headers")

    assert "google.colab" in kernel.value("str(get_ipython())")
    assert kernel.value("HfApi().whoami()['name']") == "student"

    assert kernel.value("hf('auth', 'logout')")[0] == 0
    assert kernel.value("get_token()") is None
    assert "authorization" not in kernel.value("{name.lower(): '' for name in build_hf_headers()}")
    assert kernel.value("userdata.asked") == []

    kernel.run("start()")

    assert kernel.value("HfApi().whoami()['name']") == "student"
    assert kernel.value("userdata.asked") == []


def test_a_class_hub_never_gets_the_secret(colab, class_hub):
    kernel = colab()
    kernel.run(CELLS)

    said = kernel.run(f"here = start({class_hub.url!r})")
    kernel.run("from huggingface_hub import HfApi, get_token; api = HfApi()")
    kernel.run("list(api.list_models())")

    assert "class এর Hub" in said and "hf auth login" in said
    assert kernel.value("here.user") is None
    assert class_hub.seen == {None}, "before login"

    assert kernel.value(f"hf('auth', 'login', '--token', '{class_hub.token}')")[0] == 0
    said = kernel.run(f"here = start({class_hub.url!r})")

    assert "তুমি: rahim" in said and kernel.value("here.user") == "rahim"
    assert kernel.value("api.whoami()['name']") == "rahim"
    assert class_hub.seen == {None, f"Bearer {class_hub.token}"}

    assert kernel.value("hf('auth', 'logout')")[0] == 0
    class_hub.seen.clear()
    kernel.run("list(api.list_models())")

    assert class_hub.seen == {None}, "after logout"
    assert kernel.value("userdata.asked") == []
    assert SECRET not in kernel.value("list(__import__('os').environ.values())")


def test_huggingface_co_gets_it(colab):
    """No request leaves this machine: the proxy is a port where nobody listens."""
    kernel = colab(HTTPS_PROXY="http://127.0.0.1:9", https_proxy="http://127.0.0.1:9")
    kernel.run(CELLS)
    said = kernel.run("here = start('https://huggingface.co'); from huggingface_hub import get_token")

    assert kernel.value("get_token()") == SECRET
    assert kernel.value("userdata.asked") == ["HF_TOKEN"]
    assert "আসল Hub: https://huggingface.co" in said
