"""What a loaded model does for each task: inputs and parameters as the Inference API's, answers as its JSON.

Runs in the worker. Every parameter is named here: what a client sends beyond them is told to it, never ignored.
"""

import base64
import binascii
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

from utils.hub.inference import generation
from utils.hub.inference.generation import Emit
from utils.hub.inference.wrong import Wrong

MOST_TEXT, MOST_TEXTS = 20_000, 64  # characters of one input, inputs of one request
MOST_PIXELS = 16_000_000
MOST_STEPS, WIDEST = 100, 1024
Answer = Callable[[Any, dict, Emit], Any]  # inputs, parameters, what takes each token → JSON or bytes of a PNG


def load(task: str, folder: Path) -> Answer:
    """The model in `folder`, ready for `task`. Raises whatever transformers or diffusers does for a broken one."""
    return LOADERS[task](task, str(folder))


def device() -> str:
    """Where models run: the GPU if there is one."""
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def named(parameters: dict, *allowed: str) -> dict:
    """The parameters, if each is one of `allowed`. Raises Wrong (422) for another."""
    if unknown := sorted(set(parameters) - set(allowed)):
        raise Wrong(f"These parameters are not served for this task: {', '.join(unknown)}")
    return {name: value for name, value in parameters.items() if value is not None}


def texts(inputs: Any) -> list[str]:
    """The input as a list. Raises Wrong (422) if it is no text, or more than is served."""
    found = inputs if isinstance(inputs, list) else [inputs]
    if not found or not all(isinstance(text, str) for text in found):
        raise Wrong('"inputs" must be a string, or a list of them')
    if len(found) > MOST_TEXTS or max(map(len, found)) > MOST_TEXT:
        raise Wrong(f"At most {MOST_TEXTS} inputs of {MOST_TEXT} characters are served")
    return found


def _pipeline(task: str, folder: str):
    from transformers import pipeline

    safe = {"use_safetensors": True}
    return pipeline(task, model=folder, device=device(), trust_remote_code=False, model_kwargs=safe)


def _scores(task: str, folder: str) -> Answer:
    """text-classification and image-classification: `[{label, score}, …]`, the likeliest first."""
    pipe = _pipeline(task, folder)

    def answer(inputs: Any, parameters: dict, _emit: Emit) -> list:
        options = {"top_k": 5} | named(parameters, "top_k", "function_to_apply")
        if task == "image-classification":
            return pipe(image(inputs), **options)
        found = pipe(texts(inputs), truncation=True, **options)
        return [one if isinstance(one, list) else [one] for one in found]

    return answer


def _masks(task: str, folder: str) -> Answer:
    pipe = _pipeline(task, folder)

    def answer(inputs: Any, parameters: dict, _emit: Emit) -> list:
        mask = pipe.tokenizer.mask_token
        options = named(parameters, "top_k", "targets")
        for text in texts(inputs):
            if mask not in text:
                raise Wrong(f"No {mask} in the input: it stands for the word to be guessed")
        return pipe(inputs, **options)

    return answer


def _entities(task: str, folder: str) -> Answer:
    pipe = _pipeline(task, folder)

    def answer(inputs: Any, parameters: dict, _emit: Emit) -> list:
        options = {"aggregation_strategy": "simple"} | named(
            parameters, "aggregation_strategy", "ignore_labels", "stride"
        )
        texts(inputs)
        return pipe(inputs, **options)

    return answer


def _features(task: str, folder: str) -> Answer:
    """feature-extraction and sentence-similarity.

    A model of sentence embeddings gives one vector a text, the mean of its tokens' (`1_Pooling` or the card say that
    it is one); any other gives a vector for each token.
    """
    import torch

    pipe = _pipeline("feature-extraction", folder)
    pooled = task == "sentence-similarity" or Path(folder, "modules.json").exists()

    def vectors(inputs: list[str], normalize: bool) -> torch.Tensor:
        encoded = pipe.tokenizer(inputs, padding=True, truncation=True, return_tensors="pt").to(pipe.device)
        with torch.inference_mode():
            states = pipe.model(**encoded).last_hidden_state
        mask = encoded["attention_mask"].unsqueeze(-1)
        mean = (states * mask).sum(1) / mask.sum(1)
        return torch.nn.functional.normalize(mean, dim=-1) if normalize else mean

    def answer(inputs: Any, parameters: dict, _emit: Emit) -> list:
        options = named(parameters, "normalize", "truncate")
        if task == "sentence-similarity" and isinstance(inputs, dict):
            source, others = inputs.get("source_sentence"), inputs.get("sentences")
            found = vectors(texts([source, *texts(others)]), True)
            return (found[1:] @ found[0]).tolist()
        if pooled:
            found = vectors(texts(inputs), bool(options.get("normalize")))
            return found.tolist() if isinstance(inputs, list) else found[0].tolist()
        found = [one[0] for one in pipe(texts(inputs), tokenize_kwargs={"truncation": True})]
        return found if isinstance(inputs, list) else found[0]

    return answer


def _pictures(task: str, folder: str) -> Answer:
    import torch
    from diffusers import DiffusionPipeline

    pipe = DiffusionPipeline.from_pretrained(folder, use_safetensors=True, trust_remote_code=False).to(device())
    pipe.set_progress_bar_config(disable=True)

    def answer(inputs: Any, parameters: dict, _emit: Emit) -> bytes:
        options = named(
            parameters, "negative_prompt", "height", "width", "num_inference_steps", "guidance_scale", "seed"
        )
        (prompt,) = texts(inputs)[:1]
        seed = options.pop("seed", None)
        sides = options.get("height", 1), options.get("width", 1)
        if options.get("num_inference_steps", 1) > MOST_STEPS or max(sides) > WIDEST:
            raise Wrong(f"At most {MOST_STEPS} steps and {WIDEST} pixels a side are served")
        generator = torch.Generator().manual_seed(seed) if seed is not None else None
        made = pipe(prompt, generator=generator, **options).images[0]
        out = io.BytesIO()
        made.save(out, format="PNG")
        return out.getvalue()

    return answer


def image(inputs: Any):
    """The picture of a request, whose bytes came as they are or as base64. Raises Wrong (422) if it is none."""
    from PIL import Image

    try:
        picture = Image.open(io.BytesIO(base64.b64decode(inputs, validate=True)))
        if picture.width * picture.height > MOST_PIXELS:
            raise Wrong(f"At most {MOST_PIXELS} pixels are served")
        return picture.convert("RGB")
    except (binascii.Error, TypeError, ValueError, OSError) as error:
        raise Wrong("The input is no picture that can be opened") from error


LOADERS: dict[str, Callable[[str, str], Answer]] = {
    "text-classification": _scores,
    "image-classification": _scores,
    "fill-mask": _masks,
    "token-classification": _entities,
    "feature-extraction": _features,
    "sentence-similarity": _features,
    "text-generation": generation.load,
    "text-to-image": _pictures,
}
