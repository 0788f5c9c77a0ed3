"""Learns the parts of words from the training text, once, into `pieces.txt`.

They are kept in a file because WordPieceTrainer breaks ties in another order on every run, and with other pieces the
same seed gives other weights. Run (only to learn new ones): python -m utils.starter.sources.sst2.pieces
"""

from tokenizers import Tokenizer, models, pre_tokenizers, trainers

from . import build, data
from .tokenizer import PIECES, SPECIAL, count_words

COUNT = 1_200


def main() -> None:
    """Write the pieces, a line each, in the order of the vocabulary."""
    texts = [text for text, _ in data.training_set(build.SENTENCES, build.SEED)]
    wordpiece = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    wordpiece.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    trainer = trainers.WordPieceTrainer(vocab_size=COUNT, special_tokens=SPECIAL, show_progress=False)
    wordpiece.train_from_iterator(sorted(count_words(texts)), trainer)
    pieces = sorted(wordpiece.get_vocab().items(), key=lambda item: item[1])[len(SPECIAL) :]
    PIECES.write_text("".join(f"{piece}\n" for piece, _ in pieces), encoding="utf-8")


if __name__ == "__main__":
    main()
