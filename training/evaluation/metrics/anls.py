"""ANLS: average normalised Levenshtein similarity of document questions (Biten et al. 2019), threshold 0.5."""

from collections.abc import Sequence

from rapidfuzz.distance import Levenshtein

THRESHOLD = 0.5


def anls(prediction: str, answers: Sequence[str]) -> float:
    """Similarity to the nearest answer, 0 to 1; below 0.5 it counts as 0. Case and runs of blanks are ignored.

    The distance is divided by the longer text as it is written, as the official script does.
    """
    nearest = max(_similarity(prediction, answer) for answer in answers)
    return nearest if nearest >= THRESHOLD else 0.0


def _similarity(prediction: str, answer: str) -> float:
    longest = max(len(answer), len(prediction))
    plain = [" ".join(text.lower().split()) for text in (prediction, answer)]
    return 1.0 - Levenshtein.distance(*plain) / longest if longest else 1.0
