"""Positions for a small BERT that is trained from nothing in minutes: given to it, not left to be found."""

from collections.abc import Sequence

import torch
from torch import nn
from transformers import BertModel


def mark_positions(bert: BertModel) -> None:
    """Fixes the model's positions as waves."""
    positions = bert.embeddings.position_embeddings.weight
    positions.requires_grad = False
    positions.data = waves(*positions.shape)


def speeds(width: int) -> torch.Tensor:
    """Of the waves that mark positions, in radians a piece, the fastest first: width / 2 of them."""
    return 10_000 ** (-torch.arange(0, width, 2) / width)


def waves(length: int, width: int) -> torch.Tensor:
    """Fixed positions, length × width: learnt ones would have to see "the word before" anew at every position."""
    angle = torch.arange(length)[:, None] * speeds(width)
    return 0.5 * torch.cat([angle.sin(), angle.cos()], dim=1)


@torch.no_grad()
def look_beside(attention: nn.Module, pieces: Sequence[int]) -> None:
    """Starts the first heads off looking so many pieces ahead, or back; from chance they find that very late.

    A query turned by some pieces meets the key of the piece that many away. Training moves the weights on from there.
    """
    size, width = attention.attention_head_size, attention.query.in_features
    for head, away in enumerate(pieces):
        rows = slice(head * size, (head + 1) * size)
        for weight, turn in ((attention.query.weight[rows], away), (attention.key.weight[rows], 0)):
            weight.zero_()
            for wave, angle in enumerate((turn * speeds(width))[: size // 2]):
                sine, cosine = 1.5 * angle.sin(), 1.5 * angle.cos()
                weight[2 * wave, [wave, width // 2 + wave]] = torch.stack([cosine, sine])
                weight[2 * wave + 1, [wave, width // 2 + wave]] = torch.stack([-sine, cosine])
