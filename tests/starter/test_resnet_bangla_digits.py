"""The digit classifier: the same answers through timm, transformers and the local Hub, in float32, with no pickle."""

import io
import json

import pytest
import torch
from safetensors import safe_open

from tests.hub.conftest import TOKENS
from utils.starter.sources.bangla_digits import build as digits
from utils.starter.sources.common.cards import STARTER
from utils.starter.sources.resnet_bangla_digits import build

REPO = STARTER / build.REPO
ID = "pathshala/resnet-bangla-digits"


@pytest.fixture(scope="module")
def rows():
    return digits.shipped()["test"][:40]


@pytest.fixture(scope="module")
def by_timm(rows):
    return build.answers(build.loaded(REPO), [row["image"] for row in rows])


def test_repo_is_small_and_holds_no_pickle():
    assert {path.name for path in REPO.iterdir()} == {"README.md", "config.json", "model.safetensors"}
    assert (REPO / "model.safetensors").stat().st_size < 5e5
    config = json.loads((REPO / "config.json").read_text(encoding="utf-8"))
    assert config["label_names"] == list("০১২৩৪৫৬৭৮৯") and config["pretrained_cfg"]["input_size"] == [3, 32, 32]


def test_stored_in_half_and_loaded_whole():
    with safe_open(REPO / "model.safetensors", "pt") as weights:
        assert weights.get_tensor("fc.weight").dtype == torch.float16
    assert {weight.dtype for weight in build.loaded(REPO).parameters()} == {torch.float32}


def test_transformers_reads_the_same_digits(rows, by_timm):
    from transformers import pipeline

    read = pipeline("image-classification", model=str(REPO), device="cpu")
    assert read.model.dtype == torch.float32
    pictures = [row["image"].convert("RGB") for row in rows]
    answers = [found[0]["label"] for found in read(pictures)]
    assert answers == ["০১২৩৪৫৬৭৮৯"[digit] for digit in by_timm]


def test_it_tells_the_digits_apart(rows, by_timm):
    assert sum(digit == row["label"] for digit, row in zip(by_timm, rows, strict=True)) >= 38


@pytest.mark.slow
def test_through_a_real_hub(hub, tmp_path, rows, by_timm):
    """timm's own `hf-hub:`, and the Inference API with the bytes of a picture."""
    import subprocess
    import sys

    from huggingface_hub import InferenceClient

    code = f"""
import timm, torch
model = timm.create_model("hf-hub:{ID}", pretrained=True)
print(model.pretrained_cfg["label_names"][3], {{str(weight.dtype) for weight in model.parameters()}})
"""
    env = hub.environment("rahim", tmp_path / "home") | {"PYTHONIOENCODING": "utf-8"}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, encoding="utf-8")
    assert done.stdout == "৩ {'torch.float32'}\n", done.stderr
    client = InferenceClient(
        base_url=f"{hub.url}/models/{ID}", token=TOKENS["rahim"], headers={"X-Wait-For-Model": "true"}
    )
    for row, digit in list(zip(rows, by_timm, strict=True))[:5]:
        picture = io.BytesIO()
        row["image"].save(picture, "PNG")
        assert client.image_classification(picture.getvalue())[0].label == "০১২৩৪৫৬৭৮৯"[digit]
