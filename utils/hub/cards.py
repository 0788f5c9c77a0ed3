"""What search knows of a repo, read from its files: the card's YAML, config.json, the names of its files."""

import math
from typing import Any

import yaml

# In C where PyYAML was built so, which is thirty times as fast.
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
LARGEST = 500_000  # characters of metadata that are read
DEEPEST = 50  # levels of lists and mappings
# The task that an architecture's head is for, as `pipeline_tag` names it.
HEADS = {
    "ForSequenceClassification": "text-classification",
    "ForTokenClassification": "token-classification",
    "ForQuestionAnswering": "question-answering",
    "ForMaskedLM": "fill-mask",
    "ForCausalLM": "text-generation",
    "LMHeadModel": "text-generation",
    "ForConditionalGeneration": "text2text-generation",
    "ForImageClassification": "image-classification",
}
LIBRARY_FILES = {
    "model_index.json": "diffusers",
    "adapter_config.json": "peft",
    "config_sentence_transformers.json": "sentence-transformers",
}
# Card fields that become tags, and the prefix they get there.
TAG_FIELDS = {
    "datasets": "dataset:",
    "license": "license:",
    "base_model": "base_model:",
    "task_categories": "task_categories:",
    "size_categories": "size_categories:",
    "annotations_creators": "annotations_creators:",
    "multilinguality": "multilinguality:",
    "source_datasets": "source_datasets:",
    "task_ids": "task_ids:",
}


def front_matter(readme: str) -> str | None:
    """The YAML between the first two `---` lines, or None."""
    text = readme.lstrip("\ufeff")
    if not text.startswith("---"):
        return None
    lines = text.splitlines()
    for number, line in enumerate(lines[1:], start=1):
        if line.rstrip() == "---":
            return "\n".join(lines[1:number])
    return None


def read(block: str) -> Any:
    """What the YAML says. Raises ValueError for what cannot be read, or not in reasonable time and memory."""
    if len(block) > LARGEST:
        raise ValueError(f"larger than {LARGEST} characters")
    try:
        depth = 0
        for event in yaml.parse(block, LOADER):
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if depth > DEEPEST or isinstance(event, yaml.AliasEvent):
                # Few aliases of aliases make gigabytes of a few lines; deep nesting ends the process in C.
                raise ValueError(f"aliases, and more than {DEEPEST} levels, are not read")
        return jsonable(yaml.load(block, LOADER))
    except Exception as error:  # PyYAML meets odd dates, numbers and tags with errors of any kind
        raise ValueError(str(error)) from error


def card_data(readme: str) -> dict[str, Any]:
    """The card's metadata; an unreadable card has none."""
    try:
        data = read(front_matter(readme) or "")
    except ValueError:
        return {}
    return data if isinstance(data, dict) else {}


def jsonable(value: Any, levels: int = DEEPEST) -> Any:
    """`value` as every JSON reader and the database take it; what they cannot becomes null or text.

    YAML knows dates and keys of any type, Python's JSON knows NaN, half characters and endless numbers.
    """
    match value:
        case dict() | list() if levels == 0:
            return None
        case dict():
            return {jsonable(str(key)): jsonable(inner, levels - 1) for key, inner in value.items()}
        case list():
            return [jsonable(inner, levels - 1) for inner in value]
        case bool() | None:
            return value
        case int():
            return value if abs(value) < 1 << 63 else None
        case float():
            return value if math.isfinite(value) else None
        case _:
            return str(value).encode(errors="replace").decode()


def validate(content: str, kind: str) -> tuple[list[str], list[str]]:
    """Errors and warnings about a card's metadata, as `/api/validate-yaml` gives them."""
    block = front_matter(content)
    if block is None:
        return [], ["empty or missing yaml metadata in repo card"]
    try:
        data = read(block)
    except ValueError as error:
        return [f"Invalid YAML: {error}"], []
    if data is None:
        return [], ["empty or missing yaml metadata in repo card"]
    if not isinstance(data, dict):
        return ["Metadata must be a mapping of names to values"], []
    errors = []
    for field in ("license", "library_name", "pipeline_tag", "sdk"):
        value = data.get(field)
        if not isinstance(value, str | None) and not (field == "license" and listing(value)):
            errors.append(f'"{field}" must be a string')
    for field in ("tags", "datasets", "metrics"):
        if data.get(field) is not None and listing(data[field]) is None:
            errors.append(f'"{field}" must be a list of strings')
    if (index := data.get("model-index")) is not None:
        if not isinstance(index, list) or not all(isinstance(m, dict) and m.get("name") for m in index):
            errors.append('"model-index" must be a list of models, each with a "name"')
        elif not all(isinstance(m.get("results"), list) for m in index):
            errors.append('"model-index[0].results" must be a list')
    if kind == "space" and data.get("sdk") not in (None, "gradio", "streamlit", "docker", "static"):
        errors.append('"sdk" must be one of gradio, streamlit, docker, static')
    return errors, []


def listing(value: Any) -> list[str] | None:
    """A string or a list of plain values, as a list of strings; None for anything else."""
    if isinstance(value, str):
        return [value]
    if isinstance(value, list) and all(isinstance(v, str | int | float | bool) for v in value):
        return [str(v) for v in value]
    return None


def config_summary(config: dict[str, Any], tokenizer: dict[str, Any]) -> dict[str, Any]:
    """The parts of config.json and tokenizer_config.json that a repo's info shows."""
    kept = {key: config[key] for key in ("architectures", "model_type", "quantization_config") if key in config}
    wanted = ("bos_token", "chat_template", "eos_token", "mask_token", "pad_token", "sep_token", "unk_token")
    if special := {key: tokenizer[key] for key in wanted if key in tokenizer}:
        kept["tokenizer_config"] = special
    return kept


def pipeline_tag(card: dict[str, Any], config: dict[str, Any]) -> str | None:
    if isinstance(card.get("pipeline_tag"), str):
        return card["pipeline_tag"]
    for architecture in listing(config.get("architectures")) or []:
        for head, task in HEADS.items():
            if architecture.endswith(head):
                return task
    return None


def library(card: dict[str, Any], config: dict[str, Any], files: list[str]) -> str | None:
    if isinstance(card.get("library_name"), str):
        return card["library_name"]
    for file, name in LIBRARY_FILES.items():
        if file in files:
            return name
    return "transformers" if "model_type" in config else None


def tags(kind: str, card: dict[str, Any], config: dict[str, Any], files: list[str]) -> list[str]:
    """All tags of a repo, in a stable order and without repeats."""
    found: list[str] = []
    if kind == "model":
        found += filter(None, (library(card, config, files),))
        if any(file.endswith(".safetensors") for file in files):
            found.append("safetensors")
        if any(file.endswith(".gguf") for file in files):
            found.append("gguf")
        if isinstance(config.get("model_type"), str):
            found.append(config["model_type"])
        found += filter(None, (pipeline_tag(card, config),))
    if kind == "space" and isinstance(card.get("sdk"), str):
        found.append(card["sdk"])
    found += listing(card.get("tags")) or []
    for language in listing(card.get("language")) or []:
        found.append(language if kind == "model" else f"language:{language}")
    for field, prefix in TAG_FIELDS.items():
        found += [prefix + value for value in listing(card.get(field)) or []]
    return list(dict.fromkeys(found))
