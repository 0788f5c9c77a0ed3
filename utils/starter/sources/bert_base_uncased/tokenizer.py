"""Makes the WordPiece vocabulary: the words of the training text whole, pieces for everything else.

Run (only to learn new pieces): python -m utils.starter.sources.bert_base_uncased.tokenizer
"""

from collections import Counter

from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from transformers import BertTokenizer

from .text import HERE, training_set

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
FILE = HERE / "pieces.txt"
# Kept in a file because WordPieceTrainer breaks ties in another order on every run.
PIECES = FILE.read_text(encoding="utf-8").split() if FILE.exists() else []
COUNT = 500


def count_words(texts: list[str]) -> Counter[str]:
    """How often each word stands in the texts, split as BERT splits."""
    split = pre_tokenizers.BertPreTokenizer().pre_tokenize_str
    return Counter(word for text in texts for word, _ in split(text.lower()))


def make_tokenizer(texts: list[str], size: int) -> BertTokenizer:
    """A lower-casing tokenizer with `size` entries at most: the pieces, then the commonest words, so that each can be
    an answer."""
    vocab = SPECIAL + PIECES
    known = set(vocab)
    by_count = sorted(count_words(texts).items(), key=lambda item: (-item[1], item[0]))
    vocab += [word for word, _ in by_count if word not in known][: size - len(vocab)]
    return BertTokenizer(vocab={token: number for number, token in enumerate(vocab)}, model_max_length=128)


def main() -> None:
    """Write the pieces, a line each, in the order of the vocabulary."""
    wordpiece = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    wordpiece.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    trainer = trainers.WordPieceTrainer(vocab_size=COUNT, special_tokens=SPECIAL, show_progress=False)
    words = sorted(count_words(training_set(100_000, seed=1)))
    wordpiece.train_from_iterator([*words, *"abcdefghijklmnopqrstuvwxyz0123456789.,;:!?'\"()-+*/=&%$#@"], trainer)
    pieces = sorted(wordpiece.get_vocab().items(), key=lambda item: item[1])[len(SPECIAL) :]
    FILE.write_text("".join(f"{piece}\n" for piece, _ in pieces), encoding="utf-8")


if __name__ == "__main__":
    main()
