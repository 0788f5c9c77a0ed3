"""The text encoder: a small CLIP that reads which digit a prompt asks for, and the tokenizer that cuts the prompt."""

import torch
from torch import nn
from torch.nn.functional import cross_entropy
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from utils.starter.sources.common import training

from .prompts import NAMES, Writer, every

LENGTH = 48  # tokens of a prompt
VOCABULARY = 512
WIDTH, LAYERS = 48, 2
STEPS, BATCH, RATE = 600, 64, 4e-3
SEED = 21


def make_tokenizer() -> CLIPTokenizer:
    """CLIP's own, trained on the prompts: CLIP cuts at vowel signs, and takes each sign as a piece of its own."""
    texts = [prompt.text for prompt in every("wordings")] + Writer(SEED).idle + 20 * NAMES
    tokenizer = CLIPTokenizer().train_new_from_iterator(texts, VOCABULARY, show_progress=False)
    tokenizer.model_max_length = LENGTH
    return tokenizer


def tokens(tokenizer: CLIPTokenizer, texts: list[str]) -> torch.Tensor:
    """As StableDiffusionPipeline asks for them: (prompts, LENGTH)."""
    return tokenizer(texts, padding="max_length", max_length=LENGTH, truncation=True, return_tensors="pt").input_ids


def train(tokenizer: CLIPTokenizer) -> CLIPTextModel:
    """Teaches an encoder to have the digit in every state from the prompt's end on: there the UNet finds it."""
    training.reproducible(SEED)
    model = CLIPTextModel(
        CLIPTextConfig(
            vocab_size=len(tokenizer),
            hidden_size=WIDTH,
            intermediate_size=2 * WIDTH,
            projection_dim=WIDTH,
            num_hidden_layers=LAYERS,
            num_attention_heads=4,
            max_position_embeddings=LENGTH,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
    )
    head = nn.Linear(WIDTH, len(NAMES))
    write = Writer(SEED)

    def loss_of(_step: int) -> torch.Tensor:
        prompts = [write() for _ in range(BATCH)]
        ids = tokens(tokenizer, [prompt.text for prompt in prompts])
        ended = (ids == tokenizer.eos_token_id).float()
        logits = head(model(ids).last_hidden_state)
        digits = torch.tensor([prompt.digit for prompt in prompts])[:, None].expand(-1, LENGTH)
        losses = cross_entropy(logits.transpose(1, 2), digits, reduction="none", label_smoothing=0.05)
        return (losses * ended).sum() / ended.sum()

    training.fit(nn.ModuleList([model, head]), range(STEPS), loss_of, steps=STEPS, rate=RATE)
    return model
