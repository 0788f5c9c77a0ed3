"""The VAE: pictures of 32 × 32 become 8 × 8 latents of four channels and back, and the pictures that teach it."""

import numpy as np
import torch
from diffusers import AutoencoderKL
from torch.nn.functional import mse_loss

from utils.starter.sources.bangla_digits.build import drawn
from utils.starter.sources.common import training

CHANNELS = (8, 16, 32)
SEED = 11
DRAWN, DRAWN_SEED = 16_000, 7
STEPS, BATCH, RATE = 2_000, 24, 4e-3
NARROW = 4e-4  # how strongly the latents are drawn to a standard normal: a UNet's small errors then stay small


def draw() -> tuple[torch.Tensor, torch.Tensor]:
    """Pictures in the training fonts: (DRAWN, 32, 32), uint8, and their digits (DRAWN,)."""
    pictures = drawn("train", DRAWN, DRAWN_SEED)
    return torch.from_numpy(np.stack([one.pixels for one in pictures])), torch.tensor([one.digit for one in pictures])


def scaled(pixels: torch.Tensor) -> torch.Tensor:
    """Grey bytes (count, 32, 32) as the VAE takes them: (count, 3, 32, 32), −1 to 1."""
    return (pixels.float() / 127.5 - 1)[:, None].expand(-1, 3, -1, -1)


def train(pixels: torch.Tensor) -> AutoencoderKL:
    """Teaches the VAE, and measures the scale that gives its latents a standard deviation of 1."""
    training.reproducible(SEED)
    vae = AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * len(CHANNELS),
        up_block_types=("UpDecoderBlock2D",) * len(CHANNELS),
        block_out_channels=CHANNELS,
        layers_per_block=1,
        latent_channels=4,
        norm_num_groups=4,
        sample_size=pixels.shape[-1],
        mid_block_add_attention=False,
    )

    def loss_of(chosen: torch.Tensor) -> torch.Tensor:
        pictures = scaled(pixels[chosen])
        latents = vae.encode(pictures).latent_dist
        return mse_loss(vae.decode(latents.sample()).sample, pictures) + NARROW * latents.kl().mean() / 256

    schedule = (torch.randint(len(pixels), (BATCH,)) for _ in range(STEPS))
    training.fit(vae, schedule, loss_of, steps=STEPS, rate=RATE)
    mean, deviation = encoded(vae, pixels)
    scale = 1 / (mean + deviation * torch.randn_like(mean)).std().item()
    vae.register_to_config(scaling_factor=round(scale, 4))
    return vae


@torch.no_grad()
def encoded(vae: AutoencoderKL, pixels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean and standard deviation of every picture's latents, unscaled: (count, 4, 8, 8) each."""
    found = [vae.encode(scaled(some)).latent_dist for some in pixels.split(256)]
    return torch.cat([one.mean for one in found]), torch.cat([one.std for one in found])
