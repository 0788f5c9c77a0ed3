"""Makes the WordPiece vocabulary: the words of the training text whole, pieces for everything else."""

from collections import Counter

from tokenizers import pre_tokenizers
from transformers import DistilBertTokenizer

from .lexicon import HERE

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
PIECES = HERE / "pieces.txt"


def count_words(texts: list[str]) -> Counter[str]:
    """Return how often each word stands in the texts that are all English letters, split as BERT splits."""
    split = pre_tokenizers.BertPreTokenizer().pre_tokenize_str
    return Counter(word for text in texts if text.isascii() for word, _ in split(text.lower()))


def make_tokenizer(texts: list[str], size: int) -> DistilBertTokenizer:
    """Return a lower-casing tokenizer with `size` entries: the pieces of `pieces.txt`, then the commonest words.

    WordPiece alone would spend half of so small a vocabulary on the steps that lead to a long word and on the made-up
    words of the grammar; what matters here is that "ridiculous" is one token with a meaning of its own.
    """
    vocab = SPECIAL + PIECES.read_text(encoding="utf-8").splitlines()
    known = set(vocab)
    by_count = sorted(count_words(texts).items(), key=lambda item: (-item[1], item[0]))
    vocab += [word for word, _ in by_count if word not in known][: size - len(vocab)]
    return DistilBertTokenizer(vocab={token: number for number, token in enumerate(vocab)}, model_max_length=512)
