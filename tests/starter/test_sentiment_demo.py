"""The demo Space: whoever calls it wakes it, and it answers through `gradio_client`."""

import subprocess
import sys

import pytest

CALL = """
from gradio_client import Client
client = Client("pathshala/sentiment-demo", verbose=False)
print(client.predict("খাবারটা দারুণ ছিল, আবার যাব", api_name="/classify")["label"])
answer = client.predict("ডেলিভারি অনেক দেরিতে এসেছে, খুব বাজে", api_name="/classify")
print(answer["label"], round(sum(one["confidence"] for one in answer["confidences"]), 3))
try:
    client.predict("   ", api_name="/classify")
except Exception as error:
    print(error)
"""


@pytest.mark.slow
def test_a_stranger_asks_it(hub, tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", CALL],
        env=hub.environment(None, tmp_path / "hf"),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.stdout.splitlines() == ["ভালো", "খারাপ 1.0", "আগে একটা মন্তব্য লেখো"], done.stderr
