"""A teacher for the small BERT: it weighs words and pieces of words one by one, and so takes new sentences calmly.

The BERT learns half of each label from it, and all of what it says of fragments (Hinton et al., "Distilling the
Knowledge in a Neural Network", 2015).
"""

import random
import warnings
from collections.abc import Callable

import numpy
from sklearn.exceptions import ConvergenceWarning
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from threadpoolctl import threadpool_limits

from utils.starter.sources.common.text import words


def teacher(examples: list[tuple[str, int]]) -> Callable[[list[str]], numpy.ndarray]:
    """Trains on (text, label) pairs; returns texts → probabilities, (texts, labels).

    The mean of two logistic regressions: on pairs of words, and on runs of 2 to 5 letters within a word.
    """
    pairs = CountVectorizer(
        tokenizer=words, token_pattern=None, lowercase=False, ngram_range=(1, 2), min_df=2, binary=True
    )
    letters = TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 5), min_df=3, sublinear_tf=True)
    models = [
        make_pipeline(features, LogisticRegression(max_iter=60, C=strength))
        for features, strength in ((pairs, 0.5), (letters, 3.0))
    ]
    with threadpool_limits(1), warnings.catch_warnings():  # more threads would add in another order
        warnings.simplefilter("ignore", ConvergenceWarning)  # 60 steps are near enough for a teacher
        for model in models:
            model.fit([text for text, _ in examples], [label for _, label in examples])
    return lambda texts: sum(model.predict_proba(texts) for model in models) / len(models)


def cut_up(texts: list[str], size: int, chance: random.Random) -> list[str]:
    """`size` fragments: 2 to 7 words in a row of one text, or of two, one after the other."""

    def piece() -> list[str]:
        said = chance.choice(texts).split()
        length = min(len(said), chance.randint(2, 7))
        start = chance.randint(0, len(said) - length)
        return said[start : start + length]

    return [" ".join(word for _ in range(chance.choice((1, 2, 2))) for word in piece()) for _ in range(size)]
