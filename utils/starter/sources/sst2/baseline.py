"""The rival: logistic regression on a bag of words, which knows the words but not what they do to each other."""

from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline


def bag_of_words(examples: list[tuple[str, int]], texts: list[str], longest: int) -> list[int]:
    """Train on the same (sentence, label) pairs with runs of 1 to `longest` words; return the labels for `texts`.

    One-letter words and the t of "don't" count too, so that negation is at least in the bag.
    """
    counts = CountVectorizer(ngram_range=(1, longest), min_df=2, token_pattern=r"(?u)\b\w[\w']*")
    model = make_pipeline(counts, LogisticRegression(solver="liblinear"))
    model.fit([text for text, _ in examples], [label for _, label in examples])
    return model.predict(texts).tolist()
