"""Makes the WordPiece vocabulary: the words of the training text whole, pieces for everything else."""

from collections import Counter

from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers
from transformers import DistilBertTokenizer

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]


def train_tokenizer(texts: list[str], size: int, pieces: int) -> DistilBertTokenizer:
    """Return a lower-casing tokenizer with `size` entries, of which about `pieces` are parts of words.

    WordPiece alone would spend half of so small a vocabulary on the steps that lead to a long word and on the made-up
    words of the grammar; what matters here is that "ridiculous" is one token with a meaning of its own.
    """
    wordpiece = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    wordpiece.normalizer = normalizers.BertNormalizer(lowercase=True)
    wordpiece.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    counts: Counter[str] = Counter()
    for text in texts:
        if text.isascii():
            counts.update(word for word, _ in wordpiece.pre_tokenizer.pre_tokenize_str(text.lower()))
    trainer = trainers.WordPieceTrainer(vocab_size=pieces, special_tokens=SPECIAL, show_progress=False)
    wordpiece.train_from_iterator((word for word, _ in sorted(counts.items())), trainer)
    vocab = [token for token, _ in sorted(wordpiece.get_vocab().items(), key=lambda item: item[1])]
    known = set(vocab)
    by_count = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    vocab += [word for word, _ in by_count if word not in known][: size - len(vocab)]
    return DistilBertTokenizer(vocab={token: number for number, token in enumerate(vocab)}, model_max_length=512)
