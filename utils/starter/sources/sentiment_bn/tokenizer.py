"""Makes the WordPiece tokenizer for Bangla and Banglish: common words whole, pieces for everything else."""

import string
import unicodedata
from collections import Counter

from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
BEGINNINGS, REST = 900, 1_000  # pieces that begin a word, and that go on in one
LONGEST_PIECE = 5  # characters
BANGLA = {chr(code) for code in range(0x0980, 0x0A00) if unicodedata.name(chr(code), "")}
ALPHABET = BANGLA | {*string.ascii_lowercase, *string.digits, *string.punctuation}
# A vowel sign is never doubled and no letter tripled: ভালোোো is ভালো and sooooo is soo.
STRETCHED = (r"([\u09be-\u09cc])(?=\1)", r"(.)(?=\1\1)")
# `\p{M}` keeps vowel signs and hasanta in their word; BERT's own rule would do so too, but not part an emoji from it.
ALONE = r"[^\p{L}\p{M}\p{N}\u200d]"


def normalizer() -> normalizers.Normalizer:
    """NFC, lower case, stretched letters at their usual length. No accents are stripped: Bangla's vowels are some."""
    shorter = [normalizers.Replace(Regex(pattern), "") for pattern in STRETCHED]
    return normalizers.Sequence([normalizers.NFC(), normalizers.Lowercase(), *shorter])


def pre_tokenizer() -> pre_tokenizers.PreTokenizer:
    alone = pre_tokenizers.Split(Regex(ALONE), "isolated")
    return pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), alone])


def pieces(texts: list[str]) -> tuple[dict[str, None], Counter[str]]:
    """The tokens that are no whole words, and how often each word stands in the texts.

    Pieces are counted by the words that hold them, not by how often they stand, so that they are made for words yet
    unseen. Ties go by the alphabet: the same texts always give the same vocabulary.
    """
    normal, split = normalizer(), pre_tokenizer()
    counts = Counter(word for text in texts for word, _ in split.pre_tokenize_str(normal.normalize_str(text)))
    begins, goes_on = Counter(), Counter()
    for word, count in counts.items():
        if count < 3 or not 2 < len(word) < 20:
            continue
        begins.update(word[:end] for end in range(2, min(LONGEST_PIECE, len(word) - 1) + 1))
        spans = {(i, j) for i in range(1, len(word)) for j in range(i + 2, min(i + LONGEST_PIECE, len(word)) + 1)}
        goes_on.update({f"##{word[i:j]}" for i, j in spans})
    characters = sorted(ALPHABET | {letter for word, count in counts.items() if count > 1 for letter in word})
    tokens = dict.fromkeys(SPECIAL + characters + [f"##{letter}" for letter in characters])
    for found, number in ((begins, BEGINNINGS), (goes_on, REST)):
        tokens |= dict.fromkeys(piece for piece, _ in ranked(found)[:number])
    return tokens, counts


def ranked(counts: Counter[str]) -> list[tuple[str, int]]:
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))


def make_tokenizers(texts: list[str], size: int) -> tuple[PreTrainedTokenizerFast, PreTrainedTokenizerFast]:
    """A tokenizer of `size` entries, in the form that AutoTokenizer loads; and the same without its whole words.

    The vocabulary in order: special tokens, single characters, the pieces most words share, the commonest words. By the
    second tokenizer any word looks as an unknown one does by the first: made of pieces.
    """
    tokens, counts = pieces(texts)
    broken = list(tokens)
    for word, _ in ranked(counts):
        if len(tokens) == size:
            break
        tokens.setdefault(word)
    ids = {token: number for number, token in enumerate(tokens)}
    return tokenizer_of(ids), tokenizer_of({token: ids[token] for token in broken})


def tokenizer_of(ids: dict[str, int]) -> PreTrainedTokenizerFast:
    tokenizer = Tokenizer(models.WordPiece(ids, unk_token="[UNK]", max_input_chars_per_word=100))
    tokenizer.normalizer = normalizer()
    tokenizer.pre_tokenizer = pre_tokenizer()
    tokenizer.decoder = decoders.WordPiece()
    ends = [(token, ids[token]) for token in ("[SEP]", "[CLS]")]
    tokenizer.post_processor = processors.BertProcessing(*ends)
    names = ("pad", "unk", "cls", "sep", "mask")
    named = {f"{name}_token": token for name, token in zip(names, SPECIAL, strict=True)}
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, model_max_length=512, **named)
