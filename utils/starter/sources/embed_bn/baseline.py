"""The rival: TF-IDF of runs of letters, which sees how alike two sentences are written, not what they mean."""

import torch
from sklearn.feature_extraction.text import TfidfVectorizer

from utils.starter.sources.common.text import words


def letters(sentences: list[str], paraphrases: list[str]) -> tuple[torch.Tensor, torch.Tensor]:
    """Vectors of length 1 for both lists, weighed by how rare each run of 2 to 4 letters is among them."""
    tfidf = TfidfVectorizer(preprocessor=lambda text: " ".join(words(text)), analyzer="char_wb", ngram_range=(2, 4))
    found = torch.from_numpy(tfidf.fit_transform([*sentences, *paraphrases]).toarray())
    return found[: len(sentences)], found[len(sentences) :]
