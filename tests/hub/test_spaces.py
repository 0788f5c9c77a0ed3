"""Spaces through their clients: from a push to a running app, and whatever an app does, the Hub does not notice.

Most apps here are small servers of the standard library: they start in a blink, where Gradio takes seconds
(`test_space_apps`).
"""

import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
import textwrap
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import psutil
import pytest
from huggingface_hub import CommitOperationAdd, HfApi
from huggingface_hub.errors import BadRequestError, HfHubHTTPError, RepositoryNotFoundError

from utils.hub import sandbox
from utils.hub.spaces import engines

HTML = {"Accept": "text/html"}
PATIENCE = 60
SERVES = """
    from utils.hub.serve import listen, serve
    from utils.hub.spaces.manager import Options
    from utils.hub.supervised import Limits
    import sys
    from pathlib import Path
    listener = listen(sys.argv[2], 0)
    print(listener.getsockname()[1], flush=True)
    limits = Limits(memory=200 << 20, processes=30, file_size=64 << 20, busy=4)
    serve(Path(sys.argv[1]), listener, spaces=Options(limits=limits, at_once=3))
"""
# Shows what it was asked, and has a few tricks: the path says which.
APP = """
import json, os, sys, time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path == "/events":
            self.send_response(200); self.send_header("Content-Type", "text/event-stream"); self.end_headers()
            for n in range(5):
                self.wfile.write(f"data: {n}\\n\\n".encode()); self.wfile.flush(); time.sleep(.3)
            return
        if self.path == "/loop":
            while True: pass
        if self.path == "/hog":
            held = []
            while True: held.append(bytearray(os.urandom(1 << 20)))
        if self.path == "/fork":
            while True: os.fork()
        if self.path == "/flood":
            for n in range(200_000): print("flood", n, "x" * 40)
        if self.path == "/exit":
            os._exit(3)
        self.answer(b"")
    def do_POST(self):
        left, total = int(self.headers["Content-Length"]), 0
        while left:
            piece = self.rfile.read(min(left, 1 << 16)); left -= len(piece); total += len(piece)
        self.answer(str(total).encode())
    def answer(self, body):
        told = {"path": self.path, "headers": dict(self.headers), "environment": dict(os.environ),
                "body": body.decode(), "pid": os.getpid(), "files": sorted(os.listdir("."))}
        text = json.dumps(told).encode()
        self.send_response(200); self.send_header("Content-Length", str(len(text))); self.end_headers()
        self.wfile.write(text)
    def log_message(self, *args): pass

print("the app begins", flush=True)
ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
"""
ECHO = """
import os
from websockets.sync.server import serve
def echo(socket):
    socket.send(str(dict(socket.request.headers)))
    for message in socket: socket.send(message[::-1])
serve(echo, "127.0.0.1", int(os.environ["PORT"])).serve_forever()
"""


def start_hub(kind: type, data: Path, address: str = "127.0.0.1", **environment: str):
    """A Hub whose Spaces have little room."""
    log = data.with_suffix(".log")
    with log.open("ab") as errors:
        process = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(SERVES), str(data), address],
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            env=os.environ | {"A_SECRET_OF_THE_HUB": "x"} | environment,
        )
    hub = kind(data, f"http://127.0.0.1:{int(process.stdout.readline())}", process, log)
    with hub.http() as http:
        http.get("/-/health").raise_for_status()
    return hub


@pytest.fixture(scope="module")
def spaces_hub(hub, people, tmp_path_factory) -> Iterator:
    data = tmp_path_factory.mktemp("spaces") / "data"
    people(data)
    started = start_hub(type(hub), data)
    yield started
    assert started.process.poll() is None, "the Hub died"
    assert_no_trace(started)


def assert_no_trace(started) -> None:
    """The Hub ends well, its log is clean, and of its Spaces no process is left."""
    below = psutil.Process(started.process.pid).children(recursive=True)
    started.stop()
    _, left = psutil.wait_procs(below, 5)
    assert not [process for process in left if process.status() != psutil.STATUS_ZOMBIE]
    assert "Traceback" not in started.log.read_text(), started.log.read_text()


@pytest.fixture
def api(spaces_hub) -> HfApi:
    return spaces_hub.api("rahim")


@pytest.fixture
def new_space(api) -> Iterator[Callable[..., str]]:
    """Makes a Space of rahim's with this app, waits until it has started or failed, and returns its id."""
    made = []

    def make(app: str | None = APP, *, sdk: str = "gradio", files: dict[str, str | bytes] | None = None, **kw) -> str:
        space = api.create_repo(f"rahim/{uuid.uuid4().hex[:12]}", repo_type="space", space_sdk=sdk, **kw).repo_id
        made.append(space)
        push(api, space, {**({"app.py": app} if app else {}), **(files or {})})
        api.wait_for_space(space, timeout=PATIENCE, poll_interval=0.1)
        return space

    yield make
    for space in made:
        api.delete_repo(space, repo_type="space", missing_ok=True)


def push(api: HfApi, space: str, files: dict[str, str | bytes]) -> None:
    adds = [CommitOperationAdd(path, text.encode() if isinstance(text, str) else text) for path, text in files.items()]
    if adds:
        api.create_commit(space, adds, repo_type="space", commit_message="files")


def stage(api: HfApi, space: str) -> str:
    return api.get_space_runtime(space).stage


def until(api: HfApi, space: str, wanted: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while (seen := stage(api, space)) != wanted:
        assert time.monotonic() < deadline, f"{seen}, not {wanted}"
        time.sleep(0.1)


def log_of(api: HfApi, space: str, **which) -> str:
    return "".join(api.fetch_space_logs(space, **which))


@contextlib.contextmanager
def at(api: HfApi, space: str, **headers: str) -> Iterator[httpx.Client]:
    """Plain HTTP to where the Space is."""
    with httpx.Client(base_url=api.space_info(space).host, headers=headers, timeout=PATIENCE, trust_env=False) as http:
        yield http


# From a push to a running app


def test_a_pushed_app_runs_where_its_info_says(api, new_space):
    space = new_space(None)
    assert stage(api, space) == "NO_APP_FILE"
    push(api, space, {"app.py": APP, "data/words.txt": "এক"})
    assert stage(api, space) in ("BUILDING", "APP_STARTING", "RUNNING")
    assert api.wait_for_space(space, timeout=PATIENCE, poll_interval=0.1).stage == "RUNNING"
    info = api.space_info(space)
    assert (info.runtime.stage, info.runtime.hardware) == ("RUNNING", "cpu-basic")
    assert info.subdomain == space.replace("/", "-")
    with at(api, space) as http:
        seen = http.get("/some/path?x=1&y=%2F").json()
    assert seen["path"] == "/some/path?x=1&y=%2F"
    assert {"app.py", "data", "README.md"} <= {*seen["files"]}
    assert "the app begins" in next(iter(api.fetch_space_logs(space)))


def test_what_an_app_finds_around_it(spaces_hub, api, new_space):
    space = new_space(space_variables=[{"key": "MODEL", "value": "x/y"}])
    with at(api, space) as http:
        found = http.get("/").json()["environment"]
    name = space.split("/")[1]
    assert (found["SPACE_ID"], found["SPACE_AUTHOR_NAME"], found["SPACE_REPO_NAME"]) == (space, "rahim", name)
    assert found["SPACE_HOST"] == api.space_info(space).host.removeprefix("http://")
    assert (found["HF_ENDPOINT"], found["MODEL"]) == (spaces_hub.url, "x/y")
    assert found["GRADIO_ANALYTICS_ENABLED"] == "False"
    assert "A_SECRET_OF_THE_HUB" not in found
    assert str(spaces_hub.data) in found["HF_HOME"]


def test_a_new_push_replaces_the_app(api, new_space):
    space = new_space()
    push(api, space, {"app.py": APP.replace('"path": self.path', '"path": "second"')})
    assert stage(api, space) != "SLEEPING"
    assert api.wait_for_space(space, timeout=PATIENCE, poll_interval=0.1).stage == "RUNNING"
    with at(api, space) as http:
        assert http.get("/").json()["path"] == "second"


def test_large_files_lie_beside_the_app(api, new_space):
    app = APP.replace('"files": sorted', '"size": os.path.getsize("model.bin"), "files": sorted')
    space = new_space(app, files={"model.bin": b"\0\1" * 500_000})
    with at(api, space) as http:
        assert http.get("/").json()["size"] == 1_000_000


def test_an_app_cannot_change_the_hubs_large_files(api, new_space):
    app = "import os\nwith open('model.bin', 'r+b') as f: f.write(b'changed')\n" + APP
    space = new_space(app, files={"model.bin": b"\0" * 1000})
    assert stage(api, space) == "RUNNING"
    path = api.hf_hub_download(space, "model.bin", repo_type="space", force_download=True)
    assert Path(path).read_bytes() == b"\0" * 1000


def test_an_app_that_insists_on_its_own_port_is_found(api, new_space):
    app = APP.replace('int(os.environ["PORT"])', "0")
    space = new_space(app)
    with at(api, space) as http:
        assert http.get("/x").json()["path"] == "/x"


# What goes wrong


def test_a_broken_app_shows_its_log(api, new_space, spaces_hub):
    space = new_space("print('before')\nraise ValueError('this is why')")
    runtime = api.get_space_runtime(space)
    assert runtime.stage == "RUNTIME_ERROR"
    assert "exit 1" in runtime.raw["errorMessage"]
    log = log_of(api, space)
    assert "before\n" in log
    assert "ValueError: this is why" in log
    with at(api, space) as http:
        refused = http.get("/")
        assert (refused.status_code, "RUNTIME_ERROR" in refused.json()["error"]) == (503, True)
        assert "Hub এর পাতায় log দেখো" in http.get("/", headers=HTML).text
    with spaces_hub.http("rahim") as http:
        assert "ValueError: this is why" in http.get(f"/spaces/{space}", headers=HTML).text
    with spaces_hub.http("karim") as http:
        theirs = http.get(f"/spaces/{space}", headers=HTML)
        assert theirs.status_code == 200
        assert "this is why" not in theirs.text
    push(api, space, {"app.py": APP})
    assert api.wait_for_space(space, timeout=PATIENCE, poll_interval=0.1).stage == "RUNNING"


@pytest.mark.parametrize(
    ("files", "expected", "why"),
    [
        ({"README.md": "---\ntitle: Without sdk\n---\n"}, "CONFIG_ERROR", "sdk"),
        ({"README.md": "---\nsdk: gradio\napp_file: [1]\n---\n"}, "CONFIG_ERROR", "app_file"),
        ({"README.md": "---\nsdk: gradio\napp_file: main.py\n---\n"}, "NO_APP_FILE", "main.py"),
        ({"app.py": "import no_such_module"}, "RUNTIME_ERROR", "exit 1"),
        ({"app.py": "print('done')"}, "RUNTIME_ERROR", "exit 0"),
        ({"app.py": "import os; os.kill(os.getpid(), 11)"}, "RUNTIME_ERROR", "signal 11"),
    ],
)
def test_each_mistake_has_its_stage(api, new_space, files, expected, why):
    space = new_space(None, files=files)
    runtime = api.get_space_runtime(space)
    assert runtime.stage == expected
    assert why in runtime.raw["errorMessage"]


def test_what_is_not_installed_is_told(api, new_space):
    wanted = "# models\nnumpy\nno-such-package==1\nnumpy<1\nsome-other; python_version < '3'\n-r other.txt\n"
    space = new_space(files={"requirements.txt": wanted})
    log = log_of(api, space, build=True)
    assert "no-such-package==1 is not what the Hub has" in log
    assert "numpy<1 is not" in log
    assert log.count("requirements.txt:") == 2
    assert stage(api, space) == "RUNNING"


@pytest.mark.skipif(engines.docker_answers(), reason="a Docker engine answers here")
def test_docker_without_an_engine_says_so(api, new_space):
    space = new_space(None, sdk="docker", files={"Dockerfile": "FROM python:3.12\nCMD python -m http.server 7860\n"})
    runtime = api.get_space_runtime(space)
    assert runtime.stage == "BUILD_ERROR"
    assert "Docker engine" in runtime.raw["errorMessage"]
    assert "Docker engine" in log_of(api, space, build=True)


def push_by_git(hub, space: str, folder: Path, files: dict[str, str | bytes], *, executable: bool = False) -> None:
    """As `push`; git alone says which files are programs."""

    def git(*words: str) -> None:
        settings = ["-c", "user.name=Rahim", "-c", "user.email=rahim@example.com"]
        subprocess.run(["git", *settings, *words], cwd=folder, check=True, capture_output=True)

    folder.mkdir()
    git("clone", hub.url.replace("//", "//rahim:hf_rahim_writes@") + f"/spaces/{space}", ".")
    for name, content in files.items():
        (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)
        (folder / name).chmod(0o755 if executable else 0o644)
    git("add", ".")
    git("commit", "--message", "files")
    git("push")


def test_a_program_that_was_pushed_by_git_can_be_run(spaces_hub, api, new_space, tmp_path):
    app = "import subprocess\nprint(subprocess.run(['./hello'], capture_output=True, text=True), flush=True)\n" + APP
    space = new_space(app)
    push_by_git(spaces_hub, space, tmp_path / "clone", {"hello": "#!/bin/sh\necho I was run\n"}, executable=True)
    api.wait_for_space(space, timeout=PATIENCE, poll_interval=0.1)
    assert "I was run" in log_of(api, space)


DOCKERFILE = """
FROM scratch
COPY busybox /bin/busybox
COPY page.txt /www/page.txt
CMD ["/bin/busybox", "sh", "-c", "busybox id; busybox env; exec busybox httpd -f -p $PORT -h /www"]
"""


@pytest.mark.slow
@pytest.mark.skipif(not (engines.docker_answers() and shutil.which("busybox")), reason="no Docker engine, no busybox")
def test_docker_where_an_engine_answers(spaces_hub, api, new_space, tmp_path):
    """The image is made without a registry: of a statically linked busybox, as Debian's busybox-static."""
    space = new_space(None, sdk="docker", space_secrets=[{"key": "KEY", "value": "inside"}])
    push_by_git(spaces_hub, space, tmp_path / "clone", {"Dockerfile": DOCKERFILE, "page.txt": "ভেতর থেকে"})
    assert api.wait_for_space(space, timeout=PATIENCE).stage == "BUILD_ERROR", "the program is not there"
    program = Path(shutil.which("busybox")).read_bytes()
    push_by_git(spaces_hub, space, tmp_path / "again", {"busybox": program}, executable=True)
    api.wait_for_space(space, timeout=PATIENCE)
    assert stage(api, space) == "RUNNING", log_of(api, space, build=True) + log_of(api, space)
    with at(api, space) as http:
        assert http.get("/page.txt").text == "ভেতর থেকে"
    name = f"pathshala-{Path(api.space_info(space).id).name}"
    api.pause_space(space)
    log = log_of(api, space)
    assert "uid=1000" in log
    assert "KEY=inside" in log
    assert f"SPACE_ID={space}" in log
    assert name not in subprocess.run(["docker", "ps", "--all"], capture_output=True, text=True).stdout
    api.restart_space(space)
    api.wait_for_space(space, timeout=PATIENCE)
    with at(api, space) as http:
        assert http.get("/page.txt").status_code == 200
    push(api, space, {"Dockerfile": "FROM scratch\nCOPY absent /x\n"})
    assert api.wait_for_space(space, timeout=PATIENCE).stage == "BUILD_ERROR"
    assert "absent" in log_of(api, space, build=True)


# Pause, restart, sleep


def test_paused_until_its_owner_restarts_it(api, new_space, spaces_hub):
    space = new_space()
    assert api.pause_space(space).stage == "PAUSED"
    with at(api, space) as http:
        assert http.get("/").status_code == 503
        assert "থামিয়ে রেখেছে" in http.get("/", headers=HTML).text
    push(api, space, {"more.txt": "x"})
    time.sleep(1)
    assert stage(api, space) == "PAUSED", "neither a visit nor a push starts it"
    for act in (api.pause_space, api.restart_space):
        with pytest.raises(HfHubHTTPError) as refused:
            act(space, token="hf_karim_writes")
        assert refused.value.response.status_code == 403
    assert api.restart_space(space).stage in ("BUILDING", "APP_STARTING", "RUNNING")
    assert api.wait_for_space(space, timeout=PATIENCE, poll_interval=0.1).stage == "RUNNING"


def test_restarting_begins_a_new_process_and_a_new_disk(api, new_space):
    space = new_space("open('note', 'a').write('x')\n" + APP)
    with at(api, space) as http:
        first = http.get("/").json()["pid"]
        api.restart_space(space, factory_reboot=True)
        assert http.get("/").json()["pid"] != first, "who asks meanwhile waits"
    assert not psutil.pid_exists(first)


def test_asleep_until_somebody_comes(api, new_space):
    space = new_space()
    with pytest.warns(UserWarning, match="cpu-basic"):
        assert api.set_space_sleep_time(space, 1).sleep_time == 1
    with at(api, space) as http:
        pid = http.get("/").json()["pid"]
        until(api, space, "SLEEPING")
        assert not psutil.pid_exists(pid)
        assert stage(api, space) == "SLEEPING", "to look at it does not wake it"
        assert http.get("/").json()["pid"] != pid
        api.request_space_hardware(space, "cpu-basic", sleep_time=-1)
        time.sleep(2)
    assert stage(api, space) == "RUNNING"


def test_who_is_still_there_keeps_it_awake(api, new_space):
    space = new_space()
    api.request_space_hardware(space, "cpu-basic", sleep_time=1)
    with at(api, space) as http:
        assert http.get("/events").text.count("data:") == 5  # 1.5 s


def test_of_many_only_some_run_at_once(api, new_space):
    spaces = [new_space() for _ in range(4)]
    stages = [stage(api, space) for space in spaces]
    assert stages[-1] == "RUNNING"
    assert stages[0] == "SLEEPING", "the one that nobody visited for the longest time"
    with at(api, spaces[0]) as http:
        assert http.get("/x").json()["path"] == "/x"


def test_a_deleted_space_ends(api, new_space):
    space = new_space()
    with at(api, space) as http:
        pid = http.get("/").json()["pid"]
        api.delete_repo(space, repo_type="space")
        for _ in range(100):
            if not psutil.pid_exists(pid):
                break
            time.sleep(0.1)
        assert not psutil.pid_exists(pid)
        with pytest.raises(httpx.HTTPError):
            http.get("/").raise_for_status()


# Variables and secrets


def test_secrets_reach_the_app_and_nobody_else(api, new_space, spaces_hub):
    space = new_space()
    api.add_space_secret(space, "KEY", "not to be seen", description="a key")
    api.add_space_variable(space, "GREETING", "সালাম")
    api.wait_for_space(space, timeout=PATIENCE, poll_interval=0.1)
    with at(api, space) as http:
        found = http.get("/").json()["environment"]
    assert (found["KEY"], found["GREETING"]) == ("not to be seen", "সালাম")
    secret = api.get_space_secrets(space)["KEY"]
    assert (secret.key, secret.description) == ("KEY", "a key")
    assert secret.updated_at is not None
    assert api.get_space_variables(space)["GREETING"].value == "সালাম"
    with spaces_hub.http("rahim") as http:
        told = [http.get(f"/api/spaces/{space}{more}").text for more in ("", "/secrets", "/variables", "/runtime")]
        told.append(http.get(f"/spaces/{space}", headers=HTML).text)
    told += [log_of(api, space, build=True), spaces_hub.log.read_text()]
    assert not [text for text in told if "not to be seen" in text]
    for process in psutil.process_iter(["cmdline"]):
        assert "not to be seen" not in " ".join(process.info["cmdline"] or ())
    for who in (False, "hf_karim_writes"):
        with pytest.raises(HfHubHTTPError):
            api.get_space_secrets(space, token=who)
    api.delete_space_secret(space, "KEY")
    assert api.get_space_secrets(space) == {}
    assert api.delete_space_variable(space, "GREETING") == {}
    with pytest.raises(HfHubHTTPError):
        api.delete_space_secret(space, "KEY")
    api.wait_for_space(space, timeout=PATIENCE, poll_interval=0.1)
    with at(api, space) as http:
        assert "KEY" not in http.get("/").json()["environment"]


@pytest.mark.parametrize("key", ["", "1A", "A-B", "A B", "A=B", "ক"])
def test_a_variable_needs_a_name(api, new_space, key):
    space = new_space(None)
    for add in (api.add_space_variable, api.add_space_secret):
        with pytest.raises(BadRequestError):
            add(space, key, "x")


def test_a_copy_takes_the_variables_but_not_the_secrets(api, new_space):
    space = new_space(None, space_variables=[{"key": "A", "value": "1"}], space_secrets=[{"key": "B", "value": "2"}])
    copy = api.duplicate_repo(space, f"{space}-copy", repo_type="space", space_secrets=[{"key": "C", "value": "3"}])
    assert list(api.get_space_variables(copy.repo_id)) == ["A"]
    assert list(api.get_space_secrets(copy.repo_id)) == ["C"]
    api.delete_repo(copy.repo_id, repo_type="space")


# Visitors


def test_bodies_of_any_length_and_events_one_by_one(api, new_space):
    space = new_space()
    with at(api, space) as http:
        assert http.post("/", content=bytes(30 << 20)).json()["body"] == str(30 << 20)
        begin, came = time.monotonic(), []
        with http.stream("GET", "/events") as answer:
            for line in answer.iter_lines():
                if line:
                    came.append(time.monotonic() - begin)
        assert len(came) == 5
        assert came[-1] - came[0] > 0.9, "not all at once at the end"


def test_a_websocket(api, new_space):
    from websockets.sync.client import connect

    space = new_space(ECHO)
    address = api.space_info(space).host.replace("http://", "ws://")
    headers = {"Cookie": "pathshala=mine; own=1", "Authorization": "Bearer hf_rahim_writes"}
    with connect(address, additional_headers=headers) as socket:
        seen = socket.recv()
        assert "own=1" in seen
        assert "pathshala=" not in seen
        assert "hf_rahim" not in seen
        for message in ("abc", "দ" * 70_000, b"\0\1"):
            socket.send(message)
            assert socket.recv() == message[::-1]


def test_an_app_does_not_see_who_its_visitor_is_on_the_hub(api, new_space):
    space = new_space()
    cookies = "pathshala=login; pathshala-space-7=x; theirs=1"
    with at(api, space, Cookie=cookies, Authorization="Bearer hf_rahim_writes") as http:
        seen = http.get("/", headers={"X-HF-Authorization": "Bearer hf_karim_writes", "X-Forwarded-Host": "evil"})
    headers = {name.lower(): value for name, value in seen.json()["headers"].items()}
    assert headers["cookie"] == "theirs=1"
    assert not {"authorization", "x-hf-authorization", "x-forwarded-host", "x-pathshala-door"} & {*headers}
    with at(api, space, Authorization="Bearer the-apps-own") as http:
        assert http.get("/").json()["headers"]["authorization"] == "Bearer the-apps-own"


def test_a_private_space_is_no_space_to_strangers(spaces_hub, api, new_space):
    space = new_space(private=True)
    for who in (None, "karim", "selim"):
        with pytest.raises(RepositoryNotFoundError):
            spaces_hub.api(who).get_space_runtime(space)
    with at(api, space) as http:
        assert http.get("/").status_code == 404
        assert http.get("/", headers={"Authorization": "Bearer hf_karim_writes"}).status_code == 404
        assert http.get("/", headers={"Cookie": "pathshala-space-1=x"}).status_code == 404
        assert "এখানে কিছু নেই" in http.get("/", headers=HTML).text
        for header in ("Authorization", "X-HF-Authorization"):
            assert http.get("/x", headers={header: "Bearer hf_rahim_reads"}).json()["path"] == "/x"


def test_a_private_space_in_a_browser(spaces_hub, api, new_space):
    """The Hub's page has a link that opens it, for its visitor alone and for this Space alone."""
    space, other = new_space(private=True), new_space(private=True)
    with spaces_hub.http() as browser, at(api, space) as http, at(api, other) as elsewhere:
        browser.headers.update(HTML | {"Origin": spaces_hub.url})
        browser.post("/login", data={"token": "hf_rahim_writes"})
        shown = browser.get(f"/spaces/{space}")
        address = re.search(r'iframe src="([^"]+)"', shown.text)[1].replace("&amp;", "&")
        assert address.startswith(str(http.base_url))
        assert f"frame-src {str(http.base_url).rstrip('/')}" in shown.headers["Content-Security-Policy"]
        signed = address.partition("?")[2]
        assert elsewhere.get(f"/?{signed}", follow_redirects=True).status_code == 404, "another Space"
        assert http.get("/").status_code == 404
        led = http.get(f"/deep/er?a=1&{signed}")
        assert (led.status_code, led.headers["Location"]) == (303, "/deep/er?a=1")
        assert http.get("/deep/er?a=1").json()["path"] == "/deep/er?a=1", "the cookie opens it from now on"
        assert "pathshala" not in str(http.get("/").json()["headers"])
        http.cookies.clear()
        assert http.get(f"/?{signed}x", follow_redirects=True).status_code == 404


def test_no_app_answers_at_the_hubs_own_address(spaces_hub, api, new_space):
    """Its pages would there be the Hub's own, to a browser."""
    space = new_space(None, sdk="static", files={"index.html": "<script>alert(1)</script>"})
    number = int(api.space_info(space)._id, 16) if hasattr(api.space_info(space), "_id") else 1
    with spaces_hub.http("rahim") as http:
        for one in range(1, number + 5):
            assert http.get(f"/-/space/{one}/index.html").status_code == 404
        assert http.get("/-/space/1/", headers={"X-Pathshala-Door": "guess"}).status_code == 404


@pytest.mark.parametrize(
    "raw",
    [
        b"GARBAGE\r\n\r\n",
        b"GET http://elsewhere/ HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nno colon\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost : x\r\n\r\n",
        b"GET / HTTP/1.1\r\n X: folded\r\n\r\n",
        b"GET / HTTP/1.1\r\nX: " + b"x" * 100_000 + b"\r\n\r\n",
        b"GET / HTTP/2.0\r\n\r\n",
        b"\0\xff\r\n\r\n",
    ],
)
def test_what_is_no_request_is_refused(api, new_space, static_space, raw):
    import socket

    host, port = api.space_info(static_space).host.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), 10) as door:
        door.sendall(raw)
        assert door.recv(100).startswith(b"HTTP/1.1 400")


@pytest.fixture(scope="module")
def static_space(spaces_hub) -> str:
    api = spaces_hub.api("rahim")
    space = api.create_repo("rahim/static", repo_type="space", space_sdk="static").repo_id
    files = {
        "index.html": "<h1>প্রথম পাতা</h1><script src=app.js></script>",
        "app.js": "document.title = 'x'",
        "sub/index.html": "sub",
        "ছবির পাতা.txt": "বাংলা নাম",
        "style.css": "h1 { color: red }",
        "picture.png": b"\x89PNG\r\n" + bytes(1000),
    }
    push(api, space, files)
    return space


def test_a_static_space_needs_no_process(spaces_hub, api, static_space):
    assert stage(api, static_space) == "RUNNING"
    with at(api, static_space) as http:
        first = http.get("/")
        assert "প্রথম পাতা" in first.text
        assert first.headers["Content-Type"] == "text/html; charset=utf-8"
        kinds = {"app.js": "text/javascript", "style.css": "text/css", "picture.png": "image/png"}
        for name, kind in kinds.items():
            assert http.get(f"/{name}").headers["Content-Type"].startswith(kind), name
        assert (http.get("/sub/").text, http.get("/sub").text) == ("sub", "sub")
        assert http.get("/ছবির পাতা.txt").text == "বাংলা নাম"
        part = http.get("/picture.png", headers={"Range": "bytes=1-3"})
        assert (part.status_code, part.content) == (206, b"PNG")
        assert http.head("/").status_code == 200
        assert http.get("/absent").status_code == 404
        assert http.get("/../../README.md").status_code in (200, 404)
    for act in (api.pause_space, api.restart_space):
        with pytest.raises(BadRequestError, match="static"):
            act(static_space)
    assert list(api.fetch_space_logs(static_space)) == []


# Whatever an app does


def slowest(spaces_hub, seconds: float, done: Callable[[], bool]) -> float:
    """The longest that the Hub took to say that it is well, until something is done."""
    worst, deadline = 0.0, time.monotonic() + seconds
    with spaces_hub.http() as http:
        while time.monotonic() < deadline:
            begin = time.monotonic()
            http.get("/-/health").raise_for_status()
            worst = max(worst, time.monotonic() - begin)
            if done():
                return worst
            time.sleep(0.05)
    raise AssertionError("it was not stopped")


@pytest.mark.parametrize(("trick", "why"), [("hog", "memory"), ("fork", "processes"), ("loop", "processor")])
def test_an_app_that_takes_too_much_is_stopped(spaces_hub, api, new_space, trick, why):
    space = new_space()
    with at(api, space) as http:
        with contextlib.suppress(httpx.TimeoutException, httpx.RemoteProtocolError, httpx.ReadError):
            http.get(f"/{trick}", timeout=1)
        worst = slowest(spaces_hub, 120, lambda: stage(api, space) == "RUNTIME_ERROR")
        said = api.get_space_runtime(space).raw["errorMessage"]
        # Of a fork bomb the memory may be over its limit first.
        why = "memory" if trick == "fork" and "memory" in said else why
        assert why in said
    print(f"the slowest answer of /-/health: {worst * 1000:.0f} ms")
    assert worst < 5.0  # seconds: it was answered all the while
    assert not [p for p in psutil.process_iter(["environ"]) if (p.info["environ"] or {}).get("SPACE_ID") == space]
    assert why in log_of(api, space)


def test_a_flood_in_the_log_is_no_flood_on_the_disk(spaces_hub, api, new_space):
    space = new_space()
    with at(api, space) as http:
        http.get("/flood")
    time.sleep(1)
    api.pause_space(space)
    log = log_of(api, space)
    assert log.startswith("the app begins")
    assert "flood 199999" in log
    assert len(log) < 2 << 20


def test_a_log_is_followed_line_by_line(api, new_space):
    counts = """
import threading, time
def count():
    for n in range(30):
        print("line", n, flush=True)
        time.sleep(.2)
threading.Thread(target=count).start()
"""
    space = new_space(counts + APP)
    followed = []
    for line in api.fetch_space_logs(space, follow=True):
        followed.append(line.strip())
        if line.startswith("line 12"):
            break
    assert followed[-1] == "line 12"
    assert stage(api, space) == "RUNNING"


def test_a_killed_hub_leaves_no_app_behind(hub, people, tmp_path):
    people(tmp_path / "data")
    mortal = start_hub(type(hub), tmp_path / "data")
    api = mortal.api("rahim")
    space = api.create_repo("rahim/app", repo_type="space", space_sdk="gradio").repo_id
    daemon = "import subprocess\nsubprocess.Popen(['sleep', '1234'], start_new_session=True)\n"
    push(api, space, {"app.py": daemon + APP})
    api.wait_for_space(space, timeout=PATIENCE, poll_interval=0.1)
    with at(api, space) as http:
        address, pid = str(http.base_url), http.get("/").json()["pid"]
    below = psutil.Process(mortal.process.pid).children(recursive=True)
    assert pid in [process.pid for process in below]
    mortal.process.kill()
    mortal.process.wait()
    gone, left = psutil.wait_procs(below, 10)
    assert not left
    again = start_hub(type(hub), tmp_path / "data")
    api = again.api("rahim")
    assert stage(api, space) == "SLEEPING", "it waits for a visitor"
    with at(api, space) as http:
        assert str(http.base_url) == address, "found where it was"
        assert http.get("/").json()["pid"] != pid
    mortal.process.stdout.close()
    assert_no_trace(again)


# Where it is not free, and where others come in


def test_as_on_the_real_hub_running_may_cost(hub, people, tmp_path):
    people(tmp_path / "data")
    frugal = type(hub).start(tmp_path / "data", "--no-free-spaces")
    api = frugal.api("rahim")
    for sdk in ("gradio", "docker"):
        with pytest.raises(HfHubHTTPError, match="PRO") as refused:
            api.create_repo("rahim/app", repo_type="space", space_sdk=sdk)
        assert refused.value.response.status_code == 402
        assert not api.repo_exists("rahim/app", repo_type="space")
    static = api.create_repo("rahim/page", repo_type="space", space_sdk="static").repo_id
    assert api.duplicate_repo(static, "rahim/page-2", repo_type="space").repo_id == "rahim/page-2"
    push(api, static, {"README.md": "---\nsdk: gradio\n---\n"})
    with pytest.raises(HfHubHTTPError, match="PRO"):
        api.restart_space(static)
    with pytest.raises(HfHubHTTPError, match="PRO"):
        api.duplicate_repo(static, "rahim/page-3", repo_type="space")
    frugal.stop()


def test_hardware_is_this_computer(api, new_space):
    [only] = api.list_spaces_hardware()
    assert (only.name, only.unit_cost_usd) == ("cpu-basic", 0)
    space = new_space(None)
    with pytest.raises(HfHubHTTPError, match="costs money") as refused:
        api.request_space_hardware(space, "t4-small")
    assert refused.value.response.status_code == 402
    assert api.request_space_hardware(space, "cpu-basic").requested_hardware == "cpu-basic"


LOOKS_AROUND = """
import pathlib
seen = [path for path in {outside!r} if pathlib.Path(path).exists()]
import os, socket, urllib.request
for port in range({port} - 3, {port} + 4):
    if port != {port}:
        seen += [port] if socket.socket().connect_ex(("127.0.0.1", port)) == 0 else []
seen += [name for _, name in socket.if_nameindex() if name != "lo"]
assert urllib.request.urlopen(os.environ["HF_ENDPOINT"] + "/-/health").status == 200
pathlib.Path("own").write_text("x")
print("seen:", seen, flush=True)
"""


@pytest.mark.skipif(bool(sandbox.why_not()), reason=str(sandbox.why_not()))
def test_where_others_come_in_apps_are_held_in(hub, people, tmp_path):
    people(tmp_path / "data")
    public = start_hub(type(hub), tmp_path / "data", "0.0.0.0")
    api = public.api("rahim")
    space = api.create_repo("rahim/app", repo_type="space", space_sdk="gradio").repo_id
    outside = [
        str(tmp_path / "data" / "hub.db"),
        *(str(path) for path in Path.home().iterdir() if path.is_file()),
        *map(str, Path("/etc").glob("*shadow")),
    ]
    push(api, space, {"app.py": LOOKS_AROUND.format(outside=outside, port=int(public.url.rpartition(":")[2])) + APP})
    runtime = api.wait_for_space(space, timeout=PATIENCE, poll_interval=0.1)
    assert runtime.stage == "RUNNING", log_of(api, space)
    assert "seen: []" in log_of(api, space)
    with at(api, space) as http:
        assert http.get("/").json()["environment"]["HF_ENDPOINT"] == public.url
        with contextlib.suppress(httpx.HTTPError):
            http.get("/fork", timeout=1)
    until(api, space, "RUNTIME_ERROR")
    assert_no_trace(public)


def test_where_nothing_can_hold_them_they_do_not_run(hub, people, tmp_path):
    people(tmp_path / "data")
    public = start_hub(type(hub), tmp_path / "data", "0.0.0.0", PATH=str(tmp_path))
    api = public.api("rahim")
    space = api.create_repo("rahim/app", repo_type="space", space_sdk="gradio").repo_id
    push(api, space, {"app.py": APP})
    runtime = api.wait_for_space(space, timeout=PATIENCE, poll_interval=0.1)
    assert runtime.stage == "BUILD_ERROR"
    assert "bubblewrap" in runtime.raw["errorMessage"]
    assert_no_trace(public)


def test_the_command_knows_spaces_too(spaces_hub, api, new_space, tmp_path):
    """`hf spaces …`, as a student types it."""
    space = new_space()
    environment = spaces_hub.environment("rahim", tmp_path)

    def hf(*words: str) -> str:
        command = [str(Path(sys.executable).with_name("hf")), "spaces", *words]
        said = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=PATIENCE)
        assert said.returncode == 0, said.stderr
        return said.stdout

    assert "PAUSED" in hf("pause", space)
    hf("restart", space)
    assert "RUNNING" in hf("wait", space)
    assert "the app begins" in hf("logs", space)
    hf("secrets", "add", space, "-s", "KEY=x")
    assert "KEY" in hf("secrets", "ls", space)
    assert json.loads(hf("info", space, "--format", "json"))["runtime"]["stage"]
