"""Trains the Stable Diffusion of Bangla digits part by part on one thread of a CPU, measures it and writes its repo."""

import time
from pathlib import Path

import numpy as np
import torch
from diffusers import StableDiffusionPipeline

from utils.starter.sources.bangla_digits import build as digits
from utils.starter.sources.common import cards
from utils.starter.sources.common.shipping import load_as_float32, ship_files
from utils.starter.sources.resnet_bangla_digits import build as classifier

from . import drawing, pictures, prompts, text

REPO = "models/pathshala/sd-bangla-digits"
CARD = Path(__file__).with_name("card.md")
DRAWN, AT_ONCE, DRAWN_SEED = 200, 50, 2  # pictures that are drawn to measure; the settings were chosen on seed 1
SHORT, LONG = {"num_inference_steps": 25, "guidance_scale": 5.0}, {}  # the other is what the library does unasked


def train() -> StableDiffusionPipeline:
    pixels, shown = pictures.draw()
    vae = pictures.train(pixels)
    tokenizer = text.make_tokenizer()
    encoder = text.train(tokenizer)
    unet = drawing.train(pixels, shown, vae, encoder, tokenizer)
    return StableDiffusionPipeline(
        vae=vae,
        text_encoder=encoder,
        tokenizer=tokenizer,
        unet=unet,
        scheduler=drawing.scheduler(),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )


def save(pipe: StableDiffusionPipeline, folder: Path) -> None:
    """Weights in float16; diffusers loads its own as float32 unasked, transformers where the config says so."""
    for part in (pipe.vae, pipe.text_encoder, pipe.unet):
        part.half()
    pipe.save_pretrained(folder)
    load_as_float32(folder / "text_encoder" / "config.json")


def loaded(folder: Path) -> StableDiffusionPipeline:
    pipe = StableDiffusionPipeline.from_pretrained(folder)
    pipe.set_progress_bar_config(disable=True)
    return pipe


def asked() -> list[prompts.Prompt]:
    """The prompts to measure with: wordings that training never showed, each digit as often as any other."""
    everything = prompts.every("held_out")
    turn = np.random.default_rng(0).permutation(len(everything))
    of_digit = [[everything[i] for i in turn if everything[i].digit == digit] for digit in range(len(prompts.DIGITS))]
    return [own[number] for number in range(DRAWN // len(of_digit)) for own in of_digit]


def draw(pipe: StableDiffusionPipeline, wanted: list[str], seed: int, **options) -> list:
    """A picture for each prompt."""
    chance = torch.Generator().manual_seed(seed)
    parts = [wanted[i : i + AT_ONCE] for i in range(0, len(wanted), AT_ONCE)]
    return [picture for part in parts for picture in pipe(part, generator=chance, **options).images]


def measure(folder: Path = cards.STARTER / REPO) -> dict[str, float]:
    """Of pictures drawn from unseen wordings: how many the classifier reads as what was asked for, and how varied.

    `right` and `variety` are for 25 steps with guidance 5, `right_unasked` and `variety_unasked` for what the library
    does by itself. Variety: how far apart two pictures of one digit lie, as a share of the same in the dataset.
    """
    pipe, read = loaded(folder), classifier.loaded(cards.STARTER / classifier.REPO)
    wanted = asked()
    labels = np.array([prompt.digit for prompt in wanted])
    own = digits.measure()["spread_within_digit"]
    figures = {}
    for name, options in (("", SHORT), ("_unasked", LONG)):
        drawn = draw(pipe, [prompt.text for prompt in wanted], DRAWN_SEED, **options)
        figures[f"right{name}"] = float(np.mean(np.array(classifier.answers(read, drawn)) == labels))
        grey = np.stack([np.asarray(picture.convert("L")) for picture in drawn]) / 255
        figures[f"variety{name}"] = digits.spread(grey, labels) / own
    return figures


def build() -> None:
    """Trains, measures, writes the repo with its card."""
    started = time.process_time()
    pipe = train()
    minutes = (time.process_time() - started) / 60
    parts = {"vae": pipe.vae, "encoder": pipe.text_encoder, "unet": pipe.unet}
    counts = {f"parameters_{name}": sum(weight.numel() for weight in part.parameters()) for name, part in parts.items()}
    told = {
        "parameters": sum(counts.values()),
        "drawn": pictures.DRAWN,
        "pictures": DRAWN,
        "wordings": len(prompts.wordings("wordings")),
        "held_out": len(prompts.wordings("held_out")),
        "scale": f"{pipe.vae.config.scaling_factor:.2f}",
    }
    ship_files(
        REPO,
        lambda folder: save(pipe, folder),
        CARD,
        minutes=minutes,
        measure=measure,
        describe=lambda _: counts | told,
    )
