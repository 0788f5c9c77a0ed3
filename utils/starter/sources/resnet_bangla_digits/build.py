"""Trains the classifier of Bangla digits on one thread of a CPU, measures it and writes its repo."""

import json
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import timm
import torch
from PIL import Image
from timm.data import create_transform, resolve_model_data_config
from timm.models import save_for_hf
from torch import nn
from torch.nn.functional import affine_grid, cross_entropy, grid_sample, interpolate, max_pool2d

from utils.starter.sources.bangla_digits import build as digits
from utils.starter.sources.bangla_digits.drawing import DIGITS, SIDE
from utils.starter.sources.common import cards, training
from utils.starter.sources.common.shipping import ship_files

REPO = "models/pathshala/resnet-bangla-digits"
CARD = Path(__file__).with_name("card.md")
ARCHITECTURE = "resnet10t"
CHANNELS, STEM = (16, 24, 40, 64), 16
SEED = 3
DRAWN, EPOCHS, BATCH, RATE = 12_000, 12, 64, 8e-3
BENT = 0.09  # standard deviation of a bend, where 2 is the picture's side


def new_model(mean: float, deviation: float) -> nn.Module:
    return timm.create_model(
        ARCHITECTURE,
        channels=CHANNELS,
        stem_width=STEM,
        num_classes=len(DIGITS),
        pretrained_cfg_overlay={
            "input_size": (3, SIDE, SIDE),
            "pool_size": (1, 1),
            "crop_pct": 1.0,
            "interpolation": "bilinear",
            "mean": (mean,) * 3,
            "std": (deviation,) * 3,
            "license": "mit",
            # What the architecture brings from a training on ImageNet is not so here.
            **dict.fromkeys(("tag", "test_input_size", "test_crop_pct", "origin_url")),
        },
    )


def train() -> nn.Module:
    """Teaches a model on fresh pictures in the training fonts."""
    training.reproducible(SEED)
    drawn = digits.drawn("train", DRAWN, SEED)
    pixels = torch.from_numpy(np.stack([one.pixels for one in drawn])).float()[:, None] / 255
    labels = torch.tensor([one.digit for one in drawn])
    mean, deviation = round(pixels.mean().item(), 3), round(pixels.std().item(), 3)
    model = new_model(mean, deviation)
    schedule = [chosen for _ in range(EPOCHS) for chosen in torch.randperm(DRAWN).split(BATCH)]

    def loss_of(chosen: torch.Tensor) -> torch.Tensor:
        pictures = ((reshaped(pixels[chosen]) - mean) / deviation).expand(-1, 3, -1, -1)
        return cross_entropy(model(pictures), labels[chosen], label_smoothing=0.05)

    training.fit(model, schedule, loss_of, steps=len(schedule), rate=RATE)
    return model


def reshaped(pictures: torch.Tensor) -> torch.Tensor:
    """Each picture bent, and its light or dark parts grown, a little: another font differs in more than size and slant.

    Args:
        pictures: (count, 1, side, side).
    """
    count = len(pictures)
    straight = affine_grid(torch.eye(2, 3).expand(count, -1, -1), pictures.shape, align_corners=False)
    bends = interpolate(BENT * torch.randn(count, 2, 4, 4), size=pictures.shape[-2:], mode="bicubic")
    pictures = grid_sample(pictures, straight + bends.permute(0, 2, 3, 1), padding_mode="border", align_corners=False)
    growth = torch.empty(count, 1, 1, 1).uniform_(-0.6, 0.6)
    lighter, darker = max_pool2d(pictures, 3, 1, 1), -max_pool2d(-pictures, 3, 1, 1)
    return torch.lerp(pictures, torch.where(growth > 0, lighter, darker), growth.abs())


def save(model: nn.Module, folder: Path) -> None:
    """safetensors alone, no pickle; in float16, which timm and transformers load as float32."""
    own = {"label_names": list(DIGITS), "dtype": "float32"}
    save_for_hf(model.half(), str(folder), model_config=own, safe_serialization=True)
    model.float()
    path = folder / "config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    for name in ("num_classes", "in_chans", "global_pool"):  # timm knows them anyway, and transformers gives them twice
        config["model_args"].pop(name)
    path.write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")


def loaded(folder: Path) -> nn.Module:
    return timm.create_model(f"local-dir:{folder}", pretrained=True).eval()


@torch.no_grad()
def answers(model: nn.Module, pictures: Sequence[Image.Image]) -> list[int]:
    """The digits that the model reads in the pictures, by its own preprocessing."""
    prepare = create_transform(**resolve_model_data_config(model), is_training=False)
    batches = torch.stack([prepare(picture.convert("RGB")) for picture in pictures]).split(128)
    return torch.cat([model(batch).argmax(1) for batch in batches]).tolist()


def measure(folder: Path = cards.STARTER / REPO) -> dict[str, float]:
    """Accuracy on the test split, all of it and by font; training saw none of these fonts."""
    rows = digits.shipped()["test"]
    guesses = answers(loaded(folder), [row["image"] for row in rows])
    right = np.array([guess == row["label"] for guess, row in zip(guesses, rows, strict=True)])
    fonts = np.array([row["font"] for row in rows])
    figures = {"accuracy": float(right.mean())}
    return figures | {f"accuracy_{key(font)}": float(right[fonts == font].mean()) for font in sorted(set(fonts))}


def key(font: str) -> str:
    return font.lower().replace(" ", "_")


def build() -> None:
    """Trains, measures, writes the repo with its card."""
    started = time.process_time()
    model = train()
    minutes = (time.process_time() - started) / 60
    counts = {
        "parameters": sum(weight.numel() for weight in model.parameters()),
        "drawn": DRAWN,
        "test": digits.SIZES["test"],
    }
    ship_files(
        REPO,
        lambda folder: save(model, folder),
        CARD,
        minutes=minutes,
        measure=measure,
        describe=lambda _figures: counts,
    )
