"""The UNet: from noise, step by step, to the latents of the digit that the prompt asks for."""

import torch
from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
from torch.nn.functional import mse_loss
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from transformers import CLIPTextModel, CLIPTokenizer

from utils.starter.sources.common import training

from . import pictures, text
from .prompts import DIGITS, Writer

CHANNELS = (32, 40)
SEED = 31
STEPS, BATCH, RATE = 2_400, 64, 2.5e-3
UNASKED = 0.1  # of the pictures, in training, with an empty prompt: guidance compares with what is drawn without one
AVERAGED = 0.995  # how much of the averaged weights stays at each step
PROMPTS = 3_000


def scheduler() -> DDIMScheduler:
    """So much noise at the end that nothing of the picture is left: drawing begins with noise alone."""
    return DDIMScheduler(
        beta_start=1e-4,
        beta_end=2e-2,
        beta_schedule="linear",
        prediction_type="v_prediction",
        timestep_spacing="trailing",
        clip_sample=False,
        set_alpha_to_one=False,
        steps_offset=1,
    )


def new_unet() -> UNet2DConditionModel:
    return UNet2DConditionModel(
        sample_size=8,
        down_block_types=("DownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "UpBlock2D"),
        block_out_channels=CHANNELS,
        layers_per_block=1,
        cross_attention_dim=text.WIDTH,
        attention_head_dim=4,
        norm_num_groups=8,
    )


def train(
    pixels: torch.Tensor,
    digits: torch.Tensor,
    vae: AutoencoderKL,
    encoder: CLIPTextModel,
    tokenizer: CLIPTokenizer,
) -> UNet2DConditionModel:
    """Teaches a UNet on the latents; returns it with its weights averaged over the last steps."""
    training.reproducible(SEED)
    mean, deviation = pictures.encoded(vae, pixels)
    asked, states, nothing = read(encoder, tokenizer)
    noising, unet = scheduler(), new_unet()
    average = AveragedModel(unet, multi_avg_fn=get_ema_multi_avg_fn(AVERAGED))

    def loss_of(chosen: torch.Tensor) -> torch.Tensor:
        latents = mean[chosen] + deviation[chosen] * torch.randn_like(mean[chosen])
        latents = latents * vae.config.scaling_factor
        prompts = torch.stack([asked[digit][torch.randint(len(asked[digit]), ())] for digit in digits[chosen].tolist()])
        guide = torch.where((torch.rand(len(chosen)) < UNASKED)[:, None, None], nothing, states[prompts])
        noise, times = torch.randn_like(latents), torch.randint(noising.config.num_train_timesteps, (len(chosen),))
        noisy = noising.add_noise(latents, noise, times)
        return mse_loss(unet(noisy, times, guide).sample, noising.get_velocity(latents, noise, times))

    schedule = (torch.randint(len(pixels), (BATCH,)) for _ in range(STEPS))
    training.fit(unet, schedule, loss_of, steps=STEPS, rate=RATE, after=lambda: average.update_parameters(unet))
    return average.module


@torch.no_grad()
def read(encoder: CLIPTextModel, tokenizer: CLIPTokenizer) -> tuple[list[torch.Tensor], torch.Tensor, torch.Tensor]:
    """Training prompts, encoded once: which ones ask for each digit, all their states, and those of no prompt."""
    write = Writer(SEED)
    prompts = [write() for _ in range(PROMPTS)]
    ids = text.tokens(tokenizer, ["", *(prompt.text for prompt in prompts)])
    states = torch.cat([encoder(some).last_hidden_state for some in ids.split(256)])
    digits = torch.tensor([prompt.digit for prompt in prompts])
    return [(digits == digit).nonzero().flatten() for digit in range(len(DIGITS))], states[1:], states[0]
