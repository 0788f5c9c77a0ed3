"""How the course's small Llama models are made, taught and measured."""

import json
import math
import random
from collections.abc import Callable, Iterable, Iterator, Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, dropout
from tqdm import tqdm
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from .tokenizer import byte_letters


def new_model(
    tokenizer: PreTrainedTokenizerFast, *, width: int, layers: int, mlp: int, length: int
) -> LlamaForCausalLM:
    """An untrained Llama: four heads over two pairs of keys and values, embeddings tied to the output."""
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=width,
        intermediate_size=mlp,
        num_hidden_layers=layers,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=length,
        tie_word_embeddings=True,
        initializer_range=0.03,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    return LlamaForCausalLM(config)


def forgetful(model: LlamaForCausalLM, share: float) -> list[torch.utils.hooks.RemovableHandle]:
    """Dropout on the embeddings and on what each half layer adds, which Llama lacks; remove the handles to end it.

    A model of a million weights reads a megabyte of text twenty times: without dropout it learns the text by heart.
    """

    def hook(module: nn.Module, _, output):
        if isinstance(output, tuple):
            return dropout(output[0], share, module.training), *output[1:]
        return dropout(output, share, module.training)

    halves = [half for layer in model.model.layers for half in (layer.self_attn, layer.mlp)]
    return [module.register_forward_hook(hook) for module in (model.model.embed_tokens, *halves)]


class Muon(torch.optim.Optimizer):
    """SGD with Nesterov momentum whose step for a matrix is made orthogonal by five Newton–Schulz iterations.

    Keller Jordan and others, "Muon: An optimizer for hidden layers in neural networks" (2024), which also gives the
    three coefficients. torch's own reckons in bfloat16, slow on a CPU.
    """

    def __init__(self, matrices: Iterable[Tensor], lr: float, weight_decay: float):
        super().__init__(matrices, {"lr": lr, "weight_decay": weight_decay})

    @staticmethod
    def orthogonal(matrix: Tensor) -> Tensor:
        """The matrix with singular values near 1."""
        x = matrix.T if matrix.size(0) > matrix.size(1) else matrix
        x = x / (x.norm() + 1e-7)
        for _ in range(5):
            square = x @ x.T
            x = 3.4445 * x + (2.0315 * square @ square - 4.7750 * square) @ x
        return x.T if matrix.size(0) > matrix.size(1) else x

    @torch.no_grad()
    def step(self) -> None:
        for group in self.param_groups:
            for matrix in group["params"]:
                momentum = self.state[matrix].setdefault("momentum", torch.zeros_like(matrix))
                momentum.lerp_(matrix.grad, 0.05)
                step = self.orthogonal(matrix.grad.lerp(momentum, 0.95))
                scale = group["lr"] * max(1, matrix.size(0) / matrix.size(1)) ** 0.5
                matrix.mul_(1 - group["lr"] * group["weight_decay"]).sub_(step, alpha=scale)


def teach(
    model: LlamaForCausalLM,
    batches: Iterable,
    loss_of: Callable[..., Tensor],
    *,
    steps: int,
    rate: float,
    embedding_rate: float,
    now_and_then: Callable[[int], None] = lambda step: None,
) -> None:
    """Trains in place: Muon on the layers' matrices, AdamW on the rest; the rates rise for 5 % of the steps, then fall.

    Args:
        rate, embedding_rate: the highest rates of Muon and of AdamW.
        now_and_then: called after each step with its number, from 1.
    """
    matrices = [weight for layer in model.model.layers for weight in layer.parameters() if weight.ndim == 2]
    known = {id(weight) for weight in matrices}
    rest = [weight for weight in model.parameters() if id(weight) not in known]
    optimizers = [
        (Muon(matrices, rate, weight_decay=0.1), rate),
        (torch.optim.AdamW(rest, embedding_rate, betas=(0.9, 0.95), weight_decay=0.0, fused=True), embedding_rate),
    ]
    model.train()
    smooth = None
    progress = tqdm(batches, total=steps, desc="training", unit="batch", mininterval=1)
    for step, batch in enumerate(progress, start=1):
        height = min(1, step / (0.05 * steps), (steps - step + 1) / (0.6 * steps))
        model.zero_grad()
        loss = loss_of(batch)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optimizer, highest in optimizers:
            for group in optimizer.param_groups:
                group["lr"] = height * highest
            optimizer.step()
        smooth = loss.item() if smooth is None else 0.98 * smooth + 0.02 * loss.item()
        progress.set_postfix(loss=f"{smooth:.3f}", refresh=False)
        now_and_then(step)
    model.eval()


class Loosener:
    """Takes tokens apart into the two they were merged from, now and then: the same word in other pieces.

    BPE-dropout (Provilkov and others, 2020), but never into less than a character.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerFast, share: float, seed: int):
        self.share, self.random = share, random.Random(seed)
        state = json.loads(tokenizer.backend_tokenizer.to_str())["model"]
        number = state["vocab"]
        bytes_of = {letter: byte for byte, letter in byte_letters().items()}

        def whole(token: str) -> bool:
            try:
                bytes(bytes_of[letter] for letter in token).decode()
            except UnicodeDecodeError:
                return False
            return True

        merges = [(left, right) for left, right in state["merges"] if whole(left) and whole(right)]
        self.parts = {number[left + right]: (number[left], number[right]) for left, right in merges}

    def __call__(self, ids: Sequence[int]) -> list[int]:
        found = []
        for token in ids:
            if token in self.parts and self.random.random() < self.share:
                found += self(self.parts[token])
            else:
                found.append(token)
        return found


def windows(
    documents: list[list[int]], loosen: Loosener, *, length: int, size: int, epochs: int, seed: int
) -> Iterator[Tensor]:
    """Batches (`size`, `length` + 1) of the documents in a row, in another order and cut at other places each epoch."""
    chance = random.Random(seed)
    for _ in range(epochs):
        chance.shuffle(documents)
        stream = [token for document in documents for token in loosen(document)]
        cut = chance.randrange(len(stream))
        stream = stream[cut:] + stream[:cut]
        epoch = [stream[i : i + length + 1] for i in range(0, len(stream) - length, length)]
        chance.shuffle(epoch)
        for i in range(0, len(epoch) - size + 1, size):
            yield torch.tensor(epoch[i : i + size])


def next_token_loss(model: LlamaForCausalLM, batch: Tensor) -> Tensor:
    """The mean cross-entropy, in nats, of each token of the windows (B, T + 1) but the first."""
    logits = model(batch[:, :-1]).logits
    return cross_entropy(logits.flatten(0, 1), batch[:, 1:].flatten())


@torch.no_grad()
def bits(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, text: str) -> float:
    """-log2 of the probability that the model gives the whole text and its end.

    A text longer than the model's window is read in windows that overlap by half: every token but those of the first
    window has at least half a window before it, and each is counted once.
    """
    length = model.config.max_position_embeddings
    ids = torch.tensor(tokenizer(text, truncation=False, verbose=False)["input_ids"] + [tokenizer.eos_token_id])
    total, counted = 0.0, 1
    for begin in range(0, len(ids), length // 2):
        window = ids[begin : begin + length + 1]
        fresh = begin + len(window) - counted
        losses = cross_entropy(model(window[None, :-1]).logits[0], window[1:], reduction="none")
        total += losses[len(losses) - fresh :].sum().item()
        counted += fresh
        if counted == len(ids):
            break
    return total / math.log(2)


def bits_per_byte(bits_of: Callable[[str], float], texts: list[str]) -> float:
    """The bits of all texts over their bytes in UTF-8."""
    return sum(map(bits_of, texts)) / sum(len(text.encode()) for text in texts)
