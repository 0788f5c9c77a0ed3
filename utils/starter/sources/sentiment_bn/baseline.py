"""The rival: logistic regression on a bag of words, which knows the words but not what they do to each other."""

from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from utils.starter.sources.common.text import words


def bag_of_words(examples: list[tuple[str, int]], texts: list[str], longest: int) -> list[int]:
    """Trains on (text, label) pairs with runs of 1 to `longest` words; returns the labels for `texts`.

    scikit-learn's own pattern for a word would cut Bangla at its vowel signs.
    """
    counts = CountVectorizer(tokenizer=words, token_pattern=None, lowercase=False, ngram_range=(1, longest), min_df=2)
    model = make_pipeline(counts, LogisticRegression(max_iter=60, C=1.0))
    model.fit([text for text, _ in examples], [label for _, label in examples])
    return model.predict(texts).tolist()
