"""A 5-character language model with interpolated Kneser–Ney smoothing: what counting alone can do.

After Chen and Goodman, "An Empirical Study of Smoothing Techniques for Language Modeling" (1998), section 3: absolute
discounting, one discount an order (Ney, Essen and Kneser's estimate n1 / (n1 + 2 n2)), and below the highest order the
counts of different characters that a sequence follows, not of how often it stands. The last to be asked is a uniform
distribution over all characters, so that an unseen one has a probability too.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Iterable

END = "\0"  # a text's end; before its beginning stand as many of it as a context has
CHARACTERS = 0x110000 - 2048  # code points that text can hold: all but the surrogates


class KneserNey:
    """P(character | the characters before it) from the counts of the texts it was made of.

    Args:
        texts: what to count; no text holds "\\0", which ends each of them.
        order: characters of the longest sequence counted, the last of them the one foretold.
    """

    def __init__(self, texts: Iterable[str], order: int = 5):
        self.order = order
        counts = Counter()
        for text in texts:
            padded = self._padded(text)
            counts.update(padded[i : i + order] for i in range(len(padded) - order + 1))
        self.levels = []
        for _ in range(order):
            self.levels.append(self._level(counts))
            counts = Counter(sequence[1:] for sequence in counts)  # of how many different characters it follows
        self.levels.reverse()  # levels[n] has sequences of n + 1 characters

    def _padded(self, text: str) -> str:
        return END * (self.order - 1) + text + END

    @staticmethod
    def _level(counts: Counter) -> tuple[Counter, dict[str, tuple[int, int]], float]:
        """(counts, context → (sum of its counts, how many different characters follow it), discount)."""
        once, twice = (sum(count == wanted for count in counts.values()) for wanted in (1, 2))
        totals: dict[str, tuple[int, int]] = defaultdict(lambda: (0, 0))
        for sequence, count in counts.items():
            total, different = totals[sequence[:-1]]
            totals[sequence[:-1]] = total + count, different + 1
        discount = once / (once + 2 * twice) if once else 0.5
        return counts, dict(totals), discount

    def probability(self, character: str, context: str) -> float:
        """P(character | the last `order` - 1 characters of the context); 0 < P ≤ 1, and they sum to 1."""
        found = 1 / CHARACTERS
        for length, (counts, totals, discount) in enumerate(self.levels):
            before = context[len(context) - length :]
            if before not in totals:
                break
            total, different = totals[before]
            found = (max(counts[before + character] - discount, 0) + discount * different * found) / total
        return found

    def bits(self, text: str) -> float:
        """-log2 of the probability of the whole text and of its end."""
        padded, before = self._padded(text), self.order - 1
        return -sum(math.log2(self.probability(padded[i], padded[i - before : i])) for i in range(before, len(padded)))
