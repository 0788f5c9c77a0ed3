"""Chromium without a screen, driven over its own protocol: what a page shows, and what clicking in it does."""

import base64
import contextlib
import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import httpx

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
PATIENCE = 60  # seconds that a page may take to show something
TEXT = "document.body.innerText"


class Page:
    """One page. Frames of the same site, which is the host whatever the port, live in it too."""

    def __init__(self, socket):
        self._socket, self._count = socket, 0

    def send(self, method: str, **parameters) -> dict:
        self._count += 1
        self._socket.send(json.dumps({"id": self._count, "method": method, "params": parameters}))
        while (answer := json.loads(self._socket.recv(timeout=PATIENCE))).get("id") != self._count:
            pass
        assert "error" not in answer, answer
        return answer["result"]

    def run(self, script: str):
        """The value of an expression, or of what it promises."""
        done = self.send("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in done, done
        return done["result"].get("value")

    def until(self, script: str):
        """Waits until an expression is true, and returns its value."""
        deadline = time.monotonic() + PATIENCE
        while True:
            with contextlib.suppress(AssertionError):  # between two pages
                if value := self.run(script):
                    return value
            assert time.monotonic() < deadline, f"{script}: {self.run(TEXT)}"
            time.sleep(0.2)

    def frames(self) -> list[str]:
        """The text of every frame in the page."""
        tree = self.send("Page.getFrameTree")["frameTree"]
        texts = []
        for child in tree.get("childFrames", ()):
            world = self.send("Page.createIsolatedWorld", frameId=child["frame"]["id"])["executionContextId"]
            found = self.send("Runtime.evaluate", expression=TEXT, contextId=world, returnByValue=True)
            texts.append(str(found["result"].get("value", "")))
        return texts

    def shows(self, text: str) -> None:
        self.until(f"{TEXT}.includes({json.dumps(text)})")

    def type(self, selector: str, text: str) -> None:
        found = f"document.querySelector({json.dumps(selector)})"
        self.until(f"{found} && ({found}.focus(), true)")
        self.send("Input.insertText", text=text)

    def click(self, label: str) -> None:
        """Clicks the button that says so."""
        found = f"[...document.querySelectorAll('button')].find(b => b.innerText.trim() == {json.dumps(label)})"
        self.until(f"{found} && ({found}.click(), true)")

    def press(self, key: str, code: int) -> None:
        for kind in ("rawKeyDown", "keyUp"):
            self.send("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=code)

    def picture(self, path: Path) -> None:
        path.write_bytes(base64.b64decode(self.send("Page.captureScreenshot")["data"]))


class Browser:
    """A running Chromium with cookies of its own."""

    def __init__(self, address: str):
        self._address = address

    @classmethod
    @contextlib.contextmanager
    def open(cls) -> Iterator["Browser"]:
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as home:
            options = ["--headless", "--no-sandbox", "--disable-gpu", "--window-size=1000,900", "--no-first-run"]
            options += ["--remote-debugging-port=0", f"--user-data-dir={home}", "--force-color-profile=srgb"]
            process = subprocess.Popen(
                [CHROMIUM, *options, "about:blank"],
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env=os.environ | {"HOME": home},
            )
            try:
                told, deadline = Path(home) / "DevToolsActivePort", time.monotonic() + PATIENCE
                while not (told.exists() and told.read_text()):
                    assert process.poll() is None and time.monotonic() < deadline, "Chromium did not start"
                    time.sleep(0.1)
                yield cls(f"http://127.0.0.1:{told.read_text().split()[0]}")
            finally:
                process.terminate()
                process.wait(20)

    @contextlib.contextmanager
    def visit(self, url: str) -> Iterator[Page]:
        target = httpx.put(f"{self._address}/json/new", params={"about:blank": ""}, trust_env=False).json()
        with self._attach(target) as page:
            page.send("Page.enable")
            page.send("Page.navigate", url=url)
            page.until("document.readyState == 'complete'")
            yield page
            httpx.get(f"{self._address}/json/close/{target['id']}", trust_env=False)

    @contextlib.contextmanager
    def _attach(self, target: dict) -> Iterator[Page]:
        from websockets.sync.client import connect

        with connect(target["webSocketDebuggerUrl"], max_size=None) as socket:
            yield Page(socket)
