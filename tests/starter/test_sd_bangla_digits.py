"""The Stable Diffusion of Bangla digits: whole, loaded by every class, and drawing what is asked, each time anew."""

import io
import json
import subprocess
import sys

import numpy as np
import pytest
import torch
from safetensors import safe_open

from tests.hub.conftest import TOKENS
from tests.starter.conftest import heard
from utils.starter.sources.bangla_digits.drawing import DIGITS
from utils.starter.sources.common.cards import STARTER
from utils.starter.sources.common.text import check_bangla, near_duplicates
from utils.starter.sources.resnet_bangla_digits import build as classifier
from utils.starter.sources.sd_bangla_digits import build, prompts

REPO = STARTER / build.REPO
ID = "pathshala/sd-bangla-digits"
PARTS = {"text_encoder", "tokenizer", "unet", "vae", "scheduler"}


@pytest.fixture(scope="module")
def loading():
    """The pipeline, and whatever was said while it loaded."""
    with heard() as said:
        pipe = build.loaded(REPO)
    return pipe, said


@pytest.fixture(scope="module")
def pipe(loading):
    return loading[0]


@pytest.fixture(scope="module")
def read():
    model = classifier.loaded(STARTER / classifier.REPO)
    return lambda pictures: classifier.answers(model, pictures)


def test_repo_is_whole_small_and_holds_no_pickle():
    index = json.loads((REPO / "model_index.json").read_text(encoding="utf-8"))
    assert index["_class_name"] == "StableDiffusionPipeline" and index["requires_safety_checker"] is False
    assert {name for name, value in index.items() if isinstance(value, list) and value[0]} == PARTS
    files = [path for path in REPO.rglob("*") if path.is_file()]
    assert {path.suffix for path in files} <= {".json", ".safetensors", ".md"}
    assert sum(path.stat().st_size for path in files) < 1.9e6


def test_loads_without_a_word_in_float32_from_weights_stored_in_half(loading):
    pipe, said = loading
    assert said == []
    for part in (pipe.vae, pipe.unet, pipe.text_encoder):
        assert {weight.dtype for weight in part.parameters()} == {torch.float32}
    for file in REPO.rglob("*.safetensors"):
        with safe_open(file, "pt") as weights:
            assert {weights.get_tensor(name).dtype for name in weights.keys()} == {torch.float16}  # noqa: SIM118


def test_the_default_picture_is_32_pixels_in_colour_mode(pipe):
    picture = pipe("৫", num_inference_steps=2).images[0]
    assert picture.size == (32, 32) and picture.mode == "RGB"


def test_the_scale_gives_the_latents_a_deviation_of_one(pipe):
    from utils.starter.sources.bangla_digits import build as digits
    from utils.starter.sources.sd_bangla_digits import pictures

    rows = digits.shipped()["validation"]
    pixels = torch.from_numpy(np.stack([np.asarray(row["image"]) for row in rows]))
    mean, _ = pictures.encoded(pipe.vae, pixels)
    assert mean.std().item() * pipe.vae.config.scaling_factor == pytest.approx(1, abs=0.15)
    with torch.no_grad():
        back = pipe.vae.decode(mean).sample
    assert torch.mean((back - pictures.scaled(pixels)) ** 2).item() / 4 < 0.01, "of pixels from 0 to 1"


@pytest.mark.parametrize("wanted", ["বাংলা সংখ্যা {}", "{} আঁকো"])
def test_every_form_of_every_digit(pipe, read, wanted):
    asked = [wanted.format(form[digit]) for form in prompts.FORMS for digit in range(10)]
    found = read(build.draw(pipe, asked, 5, **build.SHORT))
    assert sum(digit == number % 10 for number, digit in enumerate(found)) >= 28


def test_the_same_seed_draws_the_same_and_another_draws_another(pipe):
    one, same, other = (
        np.asarray(build.draw(pipe, ["৩ আঁকো"], seed, **build.SHORT)[0], dtype=float) for seed in (1, 1, 2)
    )
    assert (one == same).all() and np.abs(one - other).mean() > 5


def test_what_is_asked_reaches_the_picture_only_through_the_prompt(pipe, read):
    """From the same noise, another prompt gives another digit."""
    drawn = [build.draw(pipe, [f"{digit} লেখো"], 9, **build.SHORT)[0] for digit in DIGITS]
    assert sum(found == digit for digit, found in enumerate(read(drawn))) >= 8


def test_another_scheduler_draws_too(pipe, read):
    from diffusers import DPMSolverMultistepScheduler, StableDiffusionPipeline

    scheduler = DPMSolverMultistepScheduler.from_config(pipe.scheduler.config)
    swapped = StableDiffusionPipeline(**pipe.components | {"scheduler": scheduler}, requires_safety_checker=False)
    swapped.set_progress_bar_config(disable=True)
    drawn = build.draw(swapped, [f"{digit} আঁকো" for digit in DIGITS], 3, num_inference_steps=15, guidance_scale=3.0)
    assert sum(found == digit for digit, found in enumerate(read(drawn))) >= 8


def test_held_out_wordings_are_clean_and_far_from_those_of_training():
    training, held_out = prompts.wordings("wordings"), prompts.wordings("held_out")
    assert len(held_out) >= 15 and len(training) >= 40
    assert all(wording.count("{}") == 1 for wording in training + held_out)
    assert [wording for wording in training + held_out if check_bangla(wording)] == []
    assert set(training) & set(held_out) == set()
    assert near_duplicates(held_out, training) == []


def test_words_that_name_a_digit_are_never_thrown_in():
    idle = set(prompts.idle_words())
    assert len(idle) > 5_000
    assert idle.isdisjoint(prompts.NAMES) and not any(letter.isdigit() for word in idle for letter in word)


@pytest.mark.slow
def test_through_a_real_hub(hub, tmp_path, read):
    """The three classes that a student may load it by, and the Inference API."""
    from huggingface_hub import InferenceClient

    code = f"""
import torch
from diffusers import AutoPipelineForText2Image, DiffusionPipeline, StableDiffusionPipeline
for kind in (StableDiffusionPipeline, AutoPipelineForText2Image, DiffusionPipeline):
    pipe = kind.from_pretrained("{ID}")
    pipe.set_progress_bar_config(disable=True)
    picture = pipe("৫", num_inference_steps=1).images[0]
    print(type(pipe).__name__, picture.size, pipe.unet.dtype, pipe.text_encoder.dtype)
"""
    env = hub.environment("rahim", tmp_path / "home") | {"PYTHONIOENCODING": "utf-8"}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, encoding="utf-8")
    said = "StableDiffusionPipeline (32, 32) torch.float32 torch.float32\n"
    assert done.stdout == 3 * said, done.stderr
    client = InferenceClient(
        base_url=f"{hub.url}/models/{ID}", token=TOKENS["rahim"], headers={"X-Wait-For-Model": "true"}
    )
    picture = client.text_to_image("বাংলা সংখ্যা চার", seed=1)
    out = io.BytesIO()
    picture.save(out, "PNG")
    assert picture.size == (32, 32) and read([picture]) == [4]
