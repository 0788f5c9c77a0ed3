"""A kernel on a machine whose owner has a real account, a cache and a proxy: after `start()` none of them is met."""

import os
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

SECRET = "hf_the_real_account"
UNSET = {
    "HF_TOKEN": SECRET,
    "HUGGING_FACE_HUB_TOKEN": SECRET,
    "HF_OIDC_RESOURCE": "somebody/something",
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "HF_DATASETS_OFFLINE": "1",
}
UNSET_PATHS = """
HF_TOKEN_PATH HF_HUB_CACHE HUGGINGFACE_HUB_CACHE HF_XET_CACHE HF_ASSETS_CACHE HUGGINGFACE_ASSETS_CACHE
HF_DATASETS_CACHE HF_MODULES_CACHE
""".split()  # noqa: SIM905 - a table to read
OPENED = """
import sys
opened = []
sys.addaudithook(lambda event, of: opened.append(str(of[0])) if event == "open" else None)
"""
HF = """
import subprocess
def hf(*arguments):
    done = subprocess.run(["hf", *arguments], capture_output=True, text=True, stdin=subprocess.DEVNULL)
    return [done.returncode, done.stdout + done.stderr]
"""


@pytest.fixture(scope="module")
def student(kernels, environment, workspaces, recorders) -> SimpleNamespace:
    """One kernel for this module. Its environment holds all that could lead to the real account."""
    home = workspaces()
    real = home.with_name("real")
    real.mkdir()
    (real / "token").write_text(SECRET)
    another = real.with_name("bin")
    another.mkdir()
    (another / "hf").write_text("#!/bin/sh\necho another hf; exit 3\n")
    (another / "hf").chmod(0o755)
    proxy = recorders()
    proxies = {name: proxy.url for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy")}
    mine = UNSET | {name: real / "token" if "TOKEN" in name else real for name in UNSET_PATHS}
    variables = environment(**mine, **proxies, NO_PROXY="intranet", HF_HOME=real, PATHSHALA_HOME=home)
    kernel = kernels(home.parent, variables | {"PATH": f"{another}{os.pathsep}{variables['PATH']}"})
    kernel.run(OPENED + HF)
    printed = kernel.run("from utils.notebook import start; here = start()")
    token = kernel.value("open(__import__('os').environ['HF_HOME'] + '/token').read()")
    return SimpleNamespace(kernel=kernel, home=home, real=real, proxy=proxy, printed=printed, token=token)


def test_start_prints_one_line_that_says_where_as_whom_and_on_which_device(student):
    url = student.kernel.value("here.hub")

    assert student.printed == f"✓ local Hub: {url} · তুমি: student · device: cpu\n"
    assert student.kernel.value("[here.user, here.device]") == ["student", "cpu"]


def test_the_clients_variables_lead_to_the_course_hub_only(student):
    found = student.kernel.value("dict(__import__('os').environ)")

    assert not found.keys() & {*UNSET, *UNSET_PATHS}
    assert SECRET not in found.values()
    assert found["HF_HOME"] == str(student.home / "hf")
    assert found["HF_ENDPOINT"] == student.kernel.value("here.hub")
    assert (found["HF_HUB_DISABLE_TELEMETRY"], found["GRADIO_ANALYTICS_ENABLED"]) == ("1", "False")
    assert found["NO_PROXY"].split(",") == ["intranet", "127.0.0.1"]
    assert "127.0.0.1" in found["no_proxy"]


def test_every_way_to_ask_who_i_am_says_student(student):
    student.kernel.run("from huggingface_hub import HfApi, get_token; import requests, urllib.request")

    assert student.kernel.value("HfApi().whoami()['name']") == "student"
    assert student.kernel.value("get_token()") == student.token
    assert student.kernel.value("requests.get(here.hub + '/-/health').json()['status']") == "ok"
    assert student.kernel.value("urllib.request.urlopen(here.hub + '/-/health').status") == 200


def test_hf_is_this_pythons_and_knows_the_student(student):
    assert student.kernel.value("__import__('shutil').which('hf')") == str(Path(sys.executable).with_name("hf"))

    status, said = student.kernel.value("hf('auth', 'whoami')")

    assert status == 0 and "student" in said, said


def test_logging_out_and_in_again_works_in_a_cell(student):
    assert student.kernel.value("hf('auth', 'logout')")[0] == 0
    assert student.kernel.value("get_token()") is None
    assert student.kernel.value("hf('auth', 'whoami')")[0] != 0

    status, said = student.kernel.value(f"hf('auth', 'login', '--token', '{student.token}')")

    assert status == 0, said
    assert "student" in student.kernel.value("hf('auth', 'whoami')")[1]
    assert student.kernel.value("HfApi().whoami()['name']") == "student"


def test_a_second_start_holds_one_lease_and_keeps_the_hub(student):
    before = student.kernel.value("here.hub")
    health = "requests.get(here.hub + '/-/health').json()"
    pid = student.kernel.value(health)["pid"]

    student.kernel.run("here = start()")

    assert student.kernel.value("here.hub") == before
    assert student.kernel.value(health) == {"status": "ok", "pid": pid, "leases": 1}


def test_the_numbers_are_the_same_after_every_start(student):
    numbers = "[random.random(), float(numpy.random.rand()), float(torch.rand(1))]"
    student.kernel.run("import random, numpy, torch; start()")
    first = student.kernel.value(numbers)
    student.kernel.run("start()")

    assert student.kernel.value(numbers) == first
    assert first == pytest.approx([0.6394268, 0.3745401, 0.8822693])


def test_the_device_is_the_gpu_where_there_is_one_and_it_is_wanted(student):
    student.kernel.run("import torch; there_is_none = torch.cuda.is_available; torch.cuda.is_available = lambda: True")
    try:
        chosen = [student.kernel.value(f"start(device='{wanted}').device") for wanted in ("auto", "cuda", "cpu")]
    finally:
        student.kernel.run("torch.cuda.is_available = there_is_none; here = start()")

    assert chosen == ["cuda", "cuda", "cpu"]


def test_large_files_travel_as_chunks_and_past_the_proxy(student):
    student.kernel.run("from huggingface_hub import HfApi; api = HfApi(); repo = api.create_repo('chunks').repo_id")
    student.kernel.run("api.upload_file(repo_id=repo, path_in_repo='w.bin', path_or_fileobj=bytes(10**6))")

    assert student.kernel.value("api.get_paths_info(repo, ['w.bin'])[0].xet_hash")
    assert student.kernel.value("open(api.hf_hub_download(repo, 'w.bin'), 'rb').read() == bytes(10**6)")
    assert (student.home / "hf" / "xet").is_dir(), "its cache is here, not in the real home"


def test_the_hub_process_got_nothing_of_the_account_either(student):
    pid = student.kernel.value("requests.get(here.hub + '/-/health').json()['pid']")

    assert SECRET.encode() not in Path(f"/proc/{pid}/environ").read_bytes()


def test_at_the_end_the_real_account_is_as_it_was_and_the_proxy_saw_nothing(student):
    opened = student.kernel.value("opened")

    assert opened and not [path for path in opened if path.startswith(str(student.real))]
    assert [path.name for path in student.real.iterdir()] == ["token"]
    assert (student.real / "token").read_text() == SECRET
    assert student.proxy.requests == []
    assert os.stat(student.home / "hf" / "token").st_mode & 0o077 == 0
