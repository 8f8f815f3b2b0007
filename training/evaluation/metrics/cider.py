"""CIDEr as the COCO caption evaluation computes it (CIDEr-D: clipped counts, a penalty on length, n-grams of 1 to 4).

Vedantam et al. 2015. Document frequencies come from the references of the evaluated set, so scores of a part of a set are
not comparable with those of the whole. Published figures are 100 times the mean of ``cider``.
"""

from collections import Counter
from collections.abc import Sequence
from math import exp, log, sqrt

from qvl.training.evaluation.metrics.words import words

ORDERS = (1, 2, 3, 4)
SIGMA = 6.0  # standard deviation of the Gaussian over the difference in length
SCALE = 10.0

Grams = Counter[tuple[str, ...]]


def cider(candidates: Sequence[str], references: Sequence[Sequence[str]]) -> list[float]:
    """The CIDEr of each candidate against its own references, 0 to 10. Raises ValueError if a candidate has none."""
    if len(candidates) != len(references) or not all(references):
        raise ValueError("every caption needs at least one reference")
    counted = [[_grams(words(text)) for text in texts] for texts in references]
    frequency: Counter[tuple[str, ...]] = Counter()
    for grams in counted:
        frequency.update({gram for reference in grams for gram in reference})
    documents = log(len(references))
    scores = []
    for text, grams in zip(candidates, counted, strict=True):
        candidate = _Vector(_grams(words(text)), frequency, documents)
        own = [candidate.similarity(_Vector(reference, frequency, documents)) for reference in grams]
        scores.append(SCALE * sum(own) / len(own))
    return scores


def _grams(tokens: list[str]) -> Grams:
    """How often each n-gram occurs."""
    return Counter(tuple(tokens[at : at + n]) for n in ORDERS for at in range(len(tokens) - n + 1))


class _Vector:
    """TF-IDF weights of a text by order, their norms, and the length: the number of bigrams, as the original has it."""

    def __init__(self, grams: Grams, frequency: Counter[tuple[str, ...]], documents: float) -> None:
        self.weights: list[dict[tuple[str, ...], float]] = [{} for _ in ORDERS]
        self.length = 0
        for gram, count in grams.items():
            self.weights[len(gram) - 1][gram] = count * (documents - log(max(1, frequency[gram])))
            self.length += count if len(gram) == 2 else 0
        self.norms = [sqrt(sum(weight * weight for weight in part.values())) for part in self.weights]

    def similarity(self, reference: "_Vector") -> float:
        """Mean over the orders of the clipped cosine, lowered where the lengths differ."""
        total = 0.0
        for mine, theirs, norm, other in zip(self.weights, reference.weights, self.norms, reference.norms, strict=True):
            if norm and other:
                shared = sum(min(mine[gram], theirs[gram]) * theirs[gram] for gram in mine.keys() & theirs.keys())
                total += shared / (norm * other)
        return total / len(ORDERS) * exp(-((self.length - reference.length) ** 2) / (2 * SIGMA**2))
