"""Models of a few thousand weights, untrained but whole, one for each task: what a student's repo would hold.

Run: python tests/hub/tiny_models.py FOLDER
"""

import sys
from pathlib import Path

import torch
from diffusers import AutoencoderKL, DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    BertConfig,
    BertForMaskedLM,
    BertForTokenClassification,
    BertModel,
    BertTokenizer,
    CLIPTextConfig,
    CLIPTextModel,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
    ResNetConfig,
    ResNetForImageClassification,
    ViTImageProcessor,
)

WORDS = ["the", "capital", "of", "bangladesh", "is", "dhaka", "khulna", "a", "red", "rose"]
CHAT = "{% for m in messages %}{{ m['role'] }}: {{ m['content'] }}\n{% endfor %}assistant:"
SMALL = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}


def card(folder: Path, task: str, **more: str) -> None:
    front = "".join(f"{key}: {value}\n" for key, value in {"pipeline_tag": task, **more}.items())
    (folder / "README.md").write_text(f"---\n{front}---\n")


def bert_tokenizer() -> BertTokenizer:
    vocab = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS, *"abcdefghijklmnopqrstuvwxyz."]
    return BertTokenizer(vocab={word: number for number, word in enumerate(dict.fromkeys(vocab))}, model_max_length=64)


def byte_tokenizer() -> PreTrainedTokenizerFast:
    """Every byte a token, so that a Bangla letter takes three."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    tokenizer.train_from_iterator([], trainers.BpeTrainer(initial_alphabet=alphabet, special_tokens=["</s>"]))
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="</s>", pad_token="</s>", chat_template=CHAT)


def make(root: Path) -> None:
    torch.manual_seed(0)
    bert = bert_tokenizer()
    for task, cls, more in (
        ("fill-mask", BertForMaskedLM, {}),
        ("token-classification", BertForTokenClassification, {"id2label": {0: "B-PER", 1: "I-PER"}}),
        ("feature-extraction", BertModel, {}),
    ):
        folder = root / task
        cls(BertConfig(vocab_size=len(bert), max_position_embeddings=64, **SMALL, **more)).save_pretrained(folder)
        bert.save_pretrained(folder)
        card(folder, task)
    (root / "sentence-similarity").mkdir()
    for file in (root / "feature-extraction").iterdir():
        (root / "sentence-similarity" / file.name).write_bytes(file.read_bytes())
    (root / "sentence-similarity" / "modules.json").write_text("[]")
    card(root / "sentence-similarity", "sentence-similarity", tags="[feature-extraction, sentence-similarity]")

    text = byte_tokenizer()
    folder = root / "text-generation"
    config = LlamaConfig(
        vocab_size=len(text), max_position_embeddings=256, eos_token_id=0, num_key_value_heads=2, **SMALL
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    text.save_pretrained(folder)
    card(folder, "text-generation", tags="[conversational]")

    folder = root / "image-classification"
    labels = {"id2label": {0: "০", 1: "১", 2: "২"}, "embedding_size": 8, "hidden_sizes": [8, 8], "depths": [1, 1]}
    ResNetForImageClassification(ResNetConfig(layer_type="basic", **labels)).save_pretrained(folder)
    ViTImageProcessor(size={"height": 32, "width": 32}).save_pretrained(folder)
    card(folder, "image-classification")

    folder = root / "text-to-image"
    pictures(text).save_pretrained(folder)
    card(folder, "text-to-image", library_name="diffusers")


def pictures(tokenizer: PreTrainedTokenizerFast) -> StableDiffusionPipeline:
    tokenizer.model_max_length = 32
    clip = CLIPTextConfig(vocab_size=len(tokenizer), max_position_embeddings=32, eos_token_id=0, **SMALL)
    blocks = {"block_out_channels": (8, 8), "norm_num_groups": 2, "layers_per_block": 1}
    unet = UNet2DConditionModel(
        sample_size=8,
        cross_attention_dim=16,
        attention_head_dim=2,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        **blocks,
    )
    coder = {"down_block_types": ("DownEncoderBlock2D",) * 2, "up_block_types": ("UpDecoderBlock2D",) * 2}
    return StableDiffusionPipeline(
        vae=AutoencoderKL(sample_size=16, latent_channels=4, **coder, **blocks),
        text_encoder=CLIPTextModel(clip),
        tokenizer=tokenizer,
        unet=unet,
        scheduler=DDIMScheduler(),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )


if __name__ == "__main__":
    make(Path(sys.argv[1]))
