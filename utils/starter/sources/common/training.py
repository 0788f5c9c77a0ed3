"""Training a small model on one thread of a CPU, the same way on every run."""

import random
from collections.abc import Callable, Iterable, Sequence

import torch
from torch import Tensor, nn
from tqdm import tqdm


def reproducible(seed: int) -> None:
    """Seeds Python and torch and asks for the same sums in the same order."""
    random.seed(seed)
    torch.manual_seed(seed)
    torch.use_deterministic_algorithms(True)
    torch.set_num_threads(1)  # as fast as two for layers this narrow, and the same everywhere


def batches(lengths: Sequence[int], size: int, shuffle: random.Random) -> list[list[int]]:
    """The indices of one epoch in batches of like length: padding costs time and teaches nothing."""
    order = list(range(len(lengths)))
    shuffle.shuffle(order)
    pool = 50 * size
    pools = [sorted(order[i : i + pool], key=lengths.__getitem__) for i in range(0, len(order), pool)]
    epoch = [pool[i : i + size] for pool in pools for i in range(0, len(pool), size)]
    shuffle.shuffle(epoch)
    return epoch


def fit(
    model: nn.Module,
    schedule: Iterable,
    loss_of: Callable[..., Tensor],
    *,
    steps: int,
    rate: float,
    embedding_rate: float | None = None,
    embeddings: Sequence[Tensor] | None = None,
    weight_decay: float = 0.01,
    warmup: float = 0.1,
    after: Callable[[], object] | None = None,
) -> None:
    """Trains `model` in place with AdamW and one cycle of the learning rate, a step for each item of `schedule`.

    Args:
        schedule: yields `steps` batches, whatever `loss_of` takes.
        loss_of: a batch → the loss, a scalar.
        rate: the highest learning rate.
        embedding_rate: the same for embeddings: a word's vector is touched only by the batches that hold the word.
        embeddings: which weights these are; without it, those of every embedding layer.
        warmup: share of the steps in which the rate rises.
        after: called after each step, to average the weights, say.
    """
    if embeddings is None:
        embeddings = [m.weight for m in model.modules() if isinstance(m, nn.Embedding) and m.weight.requires_grad]
    known = {id(weight) for weight in embeddings}
    shared = [weight for weight in model.parameters() if weight.requires_grad and id(weight) not in known]
    rates = [embedding_rate or rate, rate]
    groups = [{"params": list(embeddings), "lr": rates[0]}, {"params": shared, "lr": rates[1]}]
    optimizer = torch.optim.AdamW(groups, fused=True, weight_decay=weight_decay)
    cycle = torch.optim.lr_scheduler.OneCycleLR(optimizer, rates, total_steps=steps, pct_start=warmup)
    model.train()
    smooth = None
    progress = tqdm(schedule, total=steps, desc="training", unit="batch", mininterval=1)
    for batch in progress:
        loss = loss_of(batch)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        cycle.step()
        if after:
            after()
        smooth = loss.item() if smooth is None else 0.98 * smooth + 0.02 * loss.item()
        progress.set_postfix(loss=f"{smooth:.3f}", refresh=False)
    model.eval()
