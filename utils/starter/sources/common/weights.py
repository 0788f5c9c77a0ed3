"""A model's files as the starter repos ship them: half the bytes on disk, whole numbers at work."""

import json
from pathlib import Path

from transformers import PreTrainedModel


def save(model: PreTrainedModel, folder: Path) -> None:
    """Writes the model with its weights in float16; whoever loads it gets float32, as its config says."""
    model.half().save_pretrained(folder)
    path = folder / "config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    config["dtype"] = "float32"
    path.write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    model.float()
