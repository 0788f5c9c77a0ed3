"""Makes the byte-level BPE tokenizer: every text comes back whole, and no token ends within a Bangla character.

BPE that learns from bytes would spend hundreds of merges on halves of characters: each Bangla one is three bytes. So it
learns from characters, and its merges are then told in bytes, after those that put each character together.
"""

import json

from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from tokenizers.pre_tokenizers import ByteLevel
from transformers import PreTrainedTokenizerFast

PAD, BEGIN, END = "<pad>", "<s>", "</s>"
# `\p{M}` keeps vowel signs and hasanta in their word: the rule of GPT-2 breaks words at each of them.
WORD = r" ?[\p{L}\p{M}\u200d]+| ?\p{N}| ?[^\s\p{L}\p{M}\p{N}]+|\s+"


def byte_letters() -> dict[int, str]:
    """{byte: the letter that stands for it in a byte-level vocabulary}, as GPT-2 has it."""
    plain = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    rest = [byte for byte in range(256) if byte not in plain]
    return {byte: chr(byte) for byte in plain} | {byte: chr(256 + number) for number, byte in enumerate(rest)}


def _character_merges(texts: list[str], number: int) -> list[tuple[str, str]]:
    """The first merges, `number` at most, of BPE over the characters of the texts."""
    learner = Tokenizer(models.BPE())
    learner.pre_tokenizer = pre_tokenizers.Split(Regex(WORD), "isolated")
    learner.train_from_iterator(texts, trainers.BpeTrainer(vocab_size=number, show_progress=False, min_frequency=3))
    return [tuple(pair) for pair in json.loads(learner.to_str())["model"]["merges"]]


def vocabulary(texts: list[str], size: int, special: list[str]) -> tuple[dict[str, int], list[tuple[str, str]]]:
    """(token → number, merges in order) of a byte-level BPE with `size` entries, special tokens and bytes first."""
    letters = byte_letters()

    def spelt(text: str) -> str:
        return "".join(letters[byte] for byte in text.encode())

    merges: dict[tuple[str, str], None] = {}
    for character in sorted(set("".join(texts))):
        whole = spelt(character)
        for end in range(1, len(whole)):
            merges.setdefault((whole[:end], whole[end]))
    for left, right in _character_merges(texts, size):
        merges.setdefault((spelt(left), spelt(right)))
    tokens = dict.fromkeys(special + sorted(letters.values()))
    kept = []
    for left, right in merges:
        if len(tokens) == size:
            break
        tokens.setdefault(left + right)
        kept.append((left, right))
    return {token: number for number, token in enumerate(tokens)}, kept


def make_tokenizer(
    texts: list[str], size: int, length: int, special: tuple[str, ...] = (PAD, BEGIN, END)
) -> PreTrainedTokenizerFast:
    """A tokenizer of at most `size` entries learned from NFC texts; it puts the token that begins a text before each.

    Args:
        length: the longest text of the model, in tokens.
        special: the tokens that pad, begin and end a text, numbers 0 to 2, then others that no text holds.
    """
    pad, begin, end, *others = special
    vocab, merges = vocabulary(texts, size, list(special))
    tokenizer = Tokenizer(models.BPE(vocab, merges))
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split(Regex(WORD), "isolated"), ByteLevel(add_prefix_space=False, use_regex=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{begin} $A", pair=f"{begin} $A {begin} $B", special_tokens=[(begin, vocab[begin])]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=begin,
        eos_token=end,
        pad_token=pad,
        additional_special_tokens=others,
        padding_side="left",
        model_max_length=length,
        clean_up_tokenization_spaces=False,
    )
