"""Gradio, Streamlit and static Spaces as people and programs use them: `gradio_client`, and a browser."""

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.hub.browser import CHROMIUM, Browser

pytestmark = pytest.mark.slow
in_browser = pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium: apt install chromium")
PATIENCE = 120  # seconds for an app to start
GRADIO = """
import os, time
import gradio as gr

def greet(name): return f"সালাম, {name}!"
def count(n):
    for i in range(int(n)):
        time.sleep(0.2)
        yield i
def size(file): return os.path.getsize(file)

with gr.Blocks(title="সালাম") as demo:
    gr.Markdown("# সালাম জানাও")
    name, answer = gr.Textbox(label="তোমার নাম"), gr.Textbox(label="উত্তর")
    gr.Button("বলো").click(greet, name, answer, api_name="greet")
    number, counted = gr.Number(3), gr.Number()
    gr.Button("গোনো").click(count, number, counted, api_name="count")
    file, bytes_ = gr.File(), gr.Number()
    gr.Button("মাপো").click(size, file, bytes_, api_name="size")
demo.launch()
"""
STREAMLIT = """
import streamlit as st
st.title("শব্দ গোনা")
text = st.text_input("একটা বাক্য লেখো")
if text:
    st.write(f"{len(text.split())}টা শব্দ")
"""
STATIC = """
<meta charset="utf-8"><h1>স্থির পাতা</h1><p id=told></p>
<script>document.getElementById("told").innerText = "script চলে"</script>
"""


@pytest.fixture(scope="module")
def apps(hub, people, tmp_path_factory) -> Iterator:
    """A Hub with one running Space of each kind; names as keys, addresses as values in `apps.hosts`."""
    data = tmp_path_factory.mktemp("apps") / "data"
    people(data)
    started = type(hub).start(data)
    api = started.api("rahim")
    started.hosts = {}
    for name, sdk, file, app, private in (
        ("greet", "gradio", "app.py", GRADIO, False),
        ("secret", "gradio", "app.py", GRADIO, True),
        ("words", "streamlit", "app.py", STREAMLIT, False),
        ("page", "static", "index.html", STATIC, False),
    ):
        space = api.create_repo(f"rahim/{name}", repo_type="space", space_sdk=sdk, private=private).repo_id
        api.upload_file(repo_id=space, repo_type="space", path_in_repo=file, path_or_fileobj=app.encode())
        runtime = api.wait_for_space(space, timeout=PATIENCE, poll_interval=0.2)
        assert runtime.stage == "RUNNING", "".join(api.fetch_space_logs(space))
        started.hosts[name] = api.space_info(space).host
    yield started
    started.stop()
    assert "Traceback" not in started.log.read_text(), started.log.read_text()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with Browser.open() as opened:
        yield opened


@pytest.fixture(scope="module")
def pictures(tmp_path_factory) -> Path:
    """Where screenshots go: to be looked at with PATHSHALA_PICTURES=FOLDER."""
    folder = os.environ.get("PATHSHALA_PICTURES")
    return Path(folder) if folder else tmp_path_factory.mktemp("pictures")


def client(apps, who: str | None, tmp_path: Path, code: str) -> subprocess.CompletedProcess:
    """Runs code after `from gradio_client import Client` in a process of this person's."""
    return subprocess.run(
        [sys.executable, "-c", f"from gradio_client import Client, handle_file\n{code}"],
        env=apps.environment(who, tmp_path / "hf"),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )


def test_gradio_client_calls_it_by_its_id(apps, tmp_path):
    (tmp_path / "file.bin").write_bytes(bytes(3_000_000))
    done = client(
        apps,
        None,
        tmp_path,
        """
client = Client("rahim/greet", verbose=False)
print(client.predict("রহিম", api_name="/greet"))
job = client.submit(4, api_name="/count")
print(job.result(), job.outputs())
print(client.predict(handle_file("file.bin"), api_name="/size"))
""",
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["সালাম, রহিম!", "3 [0, 1, 2, 3]", "3000000"]


def test_gradio_client_calls_a_private_one_with_a_token_only(apps, tmp_path):
    call = 'print(Client("rahim/secret", verbose=False).predict("রহিম", api_name="/greet"))'
    assert client(apps, "rahim", tmp_path, call).stdout == "সালাম, রহিম!\n"
    for who in (None, "karim"):
        refused = client(apps, who, tmp_path, call)
        assert refused.returncode
        assert "RepositoryNotFoundError" in refused.stderr
    at_its_host = f"Client({apps.hosts['secret']!r}, verbose=False)"
    assert client(apps, "karim", tmp_path, at_its_host).returncode


@pytest.mark.filterwarnings("ignore:If your Space runs on the default")
def test_gradio_client_wakes_it(apps, tmp_path):
    """It waits five seconds for an answer, and the app takes longer to start."""
    api = apps.api("rahim")
    slow = GRADIO.replace("import os, time", "import os, time; time.sleep(7)").encode()
    api.upload_file(repo_id="rahim/secret", repo_type="space", path_in_repo="app.py", path_or_fileobj=slow)
    assert api.wait_for_space("rahim/secret", timeout=PATIENCE, poll_interval=0.2).stage == "RUNNING"
    api.set_space_sleep_time("rahim/secret", 0)
    deadline = time.monotonic() + 30
    while api.get_space_runtime("rahim/secret").stage != "SLEEPING":
        assert time.monotonic() < deadline
        time.sleep(0.2)
    api.set_space_sleep_time("rahim/secret", 600)
    call = 'print(Client("rahim/secret", verbose=False).predict("রহিম", api_name="/greet"))'
    done = client(apps, "rahim", tmp_path, call)
    assert done.stdout == "সালাম, রহিম!\n", done.stderr


@in_browser
def test_a_gradio_space_in_a_browser(apps, browser, pictures):
    with browser.visit(apps.hosts["greet"]) as page:
        page.shows("সালাম জানাও")
        page.type("textarea", "রহিম")
        page.click("বলো")
        page.until("[...document.querySelectorAll('textarea')].some(t => t.value == 'সালাম, রহিম!')")
        page.picture(pictures / "gradio.png")


@in_browser
def test_a_streamlit_space_in_a_browser(apps, browser, pictures):
    with browser.visit(apps.hosts["words"]) as page:
        page.shows("শব্দ গোনা")
        page.type("input", "আমি ভাত খাই")
        page.press("Enter", 13)
        page.shows("3টা শব্দ")
        page.picture(pictures / "streamlit.png")


@in_browser
def test_a_static_space_in_a_browser(apps, browser, pictures):
    with browser.visit(apps.hosts["page"]) as page:
        page.shows("script চলে")
        page.picture(pictures / "static.png")


@in_browser
def test_the_hubs_page_shows_each_in_a_frame(apps, browser, pictures):
    """A private one too, to its owner, whose browser the page tells the way."""
    with browser.visit(f"{apps.url}/login") as page:
        page.type("input[name=token]", "hf_rahim_writes")
        page.run("document.querySelector('main form').submit()")
        page.shows("logout")
    for name, text in (("greet", "সালাম জানাও"), ("words", "শব্দ গোনা"), ("page", "script চলে"), ("secret", "সালাম জানাও")):
        with browser.visit(f"{apps.url}/spaces/rahim/{name}") as page:
            assert ("Docker দিয়ে" in page.run("document.body.innerText")) == (name == "words")
            deadline = time.monotonic() + PATIENCE
            while text not in "".join(page.frames()):
                assert time.monotonic() < deadline, page.frames()
                time.sleep(0.3)
            page.picture(pictures / f"frame-{name}.png")


@in_browser
def test_a_broken_and_a_paused_one_on_the_hubs_page(apps, browser, pictures):
    api = apps.api("rahim")
    api.create_repo("rahim/broken", repo_type="space", space_sdk="gradio")
    app = b"import gradio\nraise ValueError('this is why')\n"
    api.upload_file(repo_id="rahim/broken", repo_type="space", path_in_repo="app.py", path_or_fileobj=app)
    api.wait_for_space("rahim/broken", timeout=PATIENCE)
    api.pause_space("rahim/greet")
    with browser.visit(f"{apps.url}/spaces/rahim/broken") as page:
        page.shows("ValueError: this is why")
        page.picture(pictures / "broken.png")
    with browser.visit(f"{apps.url}/spaces/rahim/greet") as page:
        page.shows("Space টা থামানো আছে।")
        page.picture(pictures / "paused.png")
        page.click("আবার চালাও")
        page.until("!!document.querySelector('iframe')")
    with browser.visit(api.space_info("rahim/broken").host) as page:
        page.shows("এখন চলছে না")
        page.picture(pictures / "broken-at-its-own-address.png")


@in_browser
def test_a_page_of_a_space_cannot_act_on_the_hub(apps, browser):
    """Its visitor is logged in at the Hub, on another port of the same host."""
    evil = f"""<meta charset="utf-8"><script>
    const told = [document.cookie]
    fetch("{apps.url}/settings/tokens", {{credentials: "include"}}).then(a => a.text()).catch(e => "refused")
      .then(t => told.push(t))
      .then(() => fetch("{apps.url}/settings/tokens", {{credentials: "include", method: "POST", mode: "no-cors",
        body: new URLSearchParams({{name: "stolen", role: "write"}})}})).catch(e => e)
      .then(() => {{ document.body.innerText = "done " + told.join("|") }})
    </script><body></body>"""
    api = apps.api("karim")
    space = api.create_repo("karim/evil", repo_type="space", space_sdk="static").repo_id
    api.upload_file(repo_id=space, repo_type="space", path_in_repo="index.html", path_or_fileobj=evil.encode())
    with browser.visit(f"{apps.url}/settings/tokens") as page:
        page.shows("laptop")
    with browser.visit(api.space_info(space).host) as page:
        page.shows("done")
        assert re.fullmatch(r"done \|refused", page.run("document.body.innerText"))
    with apps.http("rahim") as http:
        assert "stolen" not in http.get("/settings/tokens").text
