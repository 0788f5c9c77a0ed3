"""`pathshala lab` in a terminal: the course and its Hub are there, and one Ctrl-C ends it."""

import json
import os
import re
import socket
import sys
import time
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import pexpect
import pytest


def get(url: str) -> str:
    """The page; Jupyter prints its address a moment before it listens."""
    for _ in range(100):
        try:
            with urlopen(url) as answer:
                return answer.read().decode()
        except URLError as error:
            if not isinstance(error.reason, ConnectionRefusedError):
                raise
            time.sleep(0.2)
    raise TimeoutError(url)


@pytest.mark.slow
def test_lab_opens_the_course_beside_a_hub_and_one_ctrl_c_ends_it(tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    lab = pexpect.spawn(
        str(Path(sys.executable).with_name("pathshala")),
        ["lab", "--no-browser", "--allow-root", f"--port={port}"],
        env={**os.environ, "PATHSHALA_HOME": str(tmp_path / "home")},
        cwd=str(tmp_path),
        encoding="utf-8",
        timeout=120,
    )
    try:
        lab.expect(rf"http://127\.0\.0\.1:{port}/lab/tree/chapters\?token=(\w+)")
        token = lab.match[1]
        assert "JupyterLab" in get(f"http://localhost:{port}/lab/tree/chapters?token={token}")
        listing = json.loads(get(f"http://localhost:{port}/api/contents/chapters?token={token}"))
        names = [entry["name"] for entry in listing["content"]]
        assert any(re.match(r"01_.*\.ipynb", name) for name in names)
        hub = json.loads((tmp_path / "home/hub.json").read_text())
        assert json.loads(get(f"{hub['url']}/-/health"))["pid"] == hub["pid"]
        lab.sendintr()
        lab.expect(pexpect.EOF)
    finally:
        lab.close()
    assert lab.exitstatus == 0
    assert "Traceback" not in lab.before
