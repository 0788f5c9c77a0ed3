"""Text, token by token: for `text-generation` and for chat. Runs in the worker."""

import random
from collections.abc import Callable
from typing import Any

from utils.hub.inference.wrong import Wrong

DEFAULT_TOKENS, MOST_TOKENS = 100, 1024
MOST_CHARACTERS = 50_000  # of a prompt or a conversation
ROLES = ("system", "user", "assistant")
# What is served of the two APIs' parameters, with what transformers calls it.
SAMPLING = {
    "temperature": "temperature",
    "top_p": "top_p",
    "top_k": "top_k",
    "typical_p": "typical_p",
    "repetition_penalty": "repetition_penalty",
}
LENGTH, REST = ("max_new_tokens", "max_tokens"), ("do_sample", "seed", "stop")
Emit = Callable[[dict], None]


def load(_task: str, folder: str):
    """The language model in `folder`: (a prompt or {"messages": …}, parameters, emit) → how it ended.

    `emit` gets each piece of text as it is ready: {"id", "text", "logprob", "special"}.
    """
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from utils.hub.inference.tasks import device

    tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
    model = AutoModelForCausalLM.from_pretrained(folder, use_safetensors=True, trust_remote_code=False).to(device())
    model.eval()

    def answer(inputs: Any, parameters: dict, emit: Emit) -> dict:
        import torch

        options = _options(parameters)
        seed = parameters.get("seed")
        seed = random.getrandbits(32) if seed is None else _number("seed", seed, 0, 2**63 - 1)
        torch.manual_seed(int(seed))
        prompt = _prompt(tokenizer, inputs).to(model.device)
        asked = prompt["input_ids"].shape[1]
        room = getattr(model.config, "max_position_embeddings", asked + MOST_TOKENS) - asked
        if room < 1:
            raise Wrong(f"The input is too long for this model: {asked} tokens")
        wanted = options.pop("max_new_tokens")
        watch = _watcher(tokenizer, asked, _stops(parameters.get("stop")), emit)
        with torch.inference_mode():
            model.generate(
                **prompt,
                **options,
                max_new_tokens=min(wanted, room),
                stopping_criteria=[watch],
                pad_token_id=tokenizer.pad_token_id if tokenizer.pad_token_id is not None else tokenizer.eos_token_id,
                output_scores=True,
                return_dict_in_generate=True,
            )
        watch.flush()
        ends = model.generation_config.eos_token_id
        ends = set(ends if isinstance(ends, list) else [ends])
        reason = "stop_sequence" if watch.stopped else "eos_token" if watch.last in ends else "length"
        return {"finish_reason": reason, "prompt_tokens": asked, "tokens": watch.count, "seed": seed}

    return answer


def _watcher(tokenizer, asked: int, stops: list[str], emit: Emit):
    """A stopping criterion that sees every token the moment it is chosen, and passes its text on."""
    import torch
    from transformers import StoppingCriteria

    class Watch(StoppingCriteria):
        stopped, last, count = False, None, 0

        def __init__(self):
            self.sent = ""  # of the text so far: a Bangla letter may take three tokens to become one
            self.held: dict | None = None

        def __call__(self, input_ids, scores, **_more):
            new = input_ids[0, asked:]
            self.last, self.count = int(new[-1]), len(new)
            text = tokenizer.decode(new, skip_special_tokens=True)
            logprob = float(torch.log_softmax(scores[-1][0].float(), -1)[self.last])
            token = {"id": self.last, "logprob": max(logprob, -1e9), "special": self.last in tokenizer.all_special_ids}
            at = min((text.find(stop) for stop in stops if stop in text), default=-1)
            if at >= 0:
                self.stopped, text = True, text[:at]
            if self.held:
                emit(self.held | {"text": ""})
            self.held = token | {"text": text[len(self.sent) :]}
            if self.stopped or not text.endswith("\ufffd"):
                self.flush()
                self.sent = text
            return torch.full((input_ids.shape[0],), self.stopped, device=input_ids.device, dtype=torch.bool)

        def flush(self) -> None:
            if self.held:
                emit(self.held)
                self.held = None

    return Watch()


def _prompt(tokenizer, inputs: Any):
    if isinstance(inputs, str):
        if not inputs or len(inputs) > MOST_CHARACTERS:
            raise Wrong(f"The input must have 1 to {MOST_CHARACTERS} characters")
        return tokenizer(inputs, return_tensors="pt", return_token_type_ids=False)
    messages = inputs.get("messages") if isinstance(inputs, dict) else None
    if not isinstance(messages, list) or not messages:
        raise Wrong('"inputs" must be a string; for a chat, "messages" must be a list')
    if not getattr(tokenizer, "chat_template", None):
        raise Wrong("This model has no chat template: ask it by text generation")
    shown = [_message(message) for message in messages]
    if sum(len(message["content"]) for message in shown) > MOST_CHARACTERS:
        raise Wrong(f"At most {MOST_CHARACTERS} characters of messages are served")
    return tokenizer.apply_chat_template(shown, add_generation_prompt=True, return_tensors="pt", return_dict=True)


def _message(message: Any) -> dict[str, str]:
    role, content = (message.get("role"), message.get("content")) if isinstance(message, dict) else (None, None)
    if isinstance(content, list):  # of parts, as for models that also see
        if not all(isinstance(part, dict) and part.get("type") == "text" for part in content):
            raise Wrong("Only text is served in a chat, no pictures")
        content = "".join(str(part.get("text")) for part in content)
    if role not in ROLES or not isinstance(content, str):
        raise Wrong(f"A message has a role ({', '.join(ROLES)}) and a content")
    return {"role": role, "content": content}


def _options(parameters: dict) -> dict:
    """The arguments of `generate`. Raises Wrong: 400 for a parameter that is not served, 422 for a bad value."""
    given = {name: value for name, value in parameters.items() if value is not None}
    if unused := sorted(set(given) - set(SAMPLING) - set(LENGTH) - set(REST)):
        # The client reads this very sentence, and asks again without them.
        raise Wrong(f"The following `model_kwargs` are not used by the model: {unused}", 400)
    length = given.get("max_new_tokens", given.get("max_tokens", DEFAULT_TOKENS))
    options: dict[str, Any] = {"max_new_tokens": int(_number("max_new_tokens", length, 1, MOST_TOKENS))}
    chosen = {SAMPLING[name]: _number(name, value, 0, 1000) for name, value in given.items() if name in SAMPLING}
    if "top_k" in chosen:
        chosen["top_k"] = int(chosen["top_k"])
    sampling = bool(given.get("do_sample", bool(chosen.keys() - {"repetition_penalty"})))
    if chosen.get("temperature") == 0 or not sampling:
        sampling, chosen = False, {name: value for name, value in chosen.items() if name == "repetition_penalty"}
    if chosen.get("top_p", 1) > 1 or chosen.get("repetition_penalty", 1) <= 0:
        raise Wrong("top_p lies between 0 and 1, repetition_penalty above 0")
    return options | chosen | {"do_sample": sampling}


def _number(name: str, value: Any, least: float, most: float) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
        raise Wrong(f"{name} must be a number from {least} to {most}")
    return value


def _stops(stop: Any) -> list[str]:
    found = [stop] if isinstance(stop, str) else list(stop or ())
    if len(found) > 8 or not all(isinstance(one, str) and 0 < len(one) <= 100 for one in found):
        raise Wrong("At most 8 stop sequences of 1 to 100 characters are served")
    return found
