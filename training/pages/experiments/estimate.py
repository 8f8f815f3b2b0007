"""Means over questions and seeds, with an error that counts both: that of the seeds, and that of the questions drawn.

With S seeds and Q questions, value y[s, q]: the mean of the seeds' means varies by their spread over S, the mean of the
questions' means by theirs over the pictures that they ask about. Both hold the rest's own share, so their sum is a little
too large rather than too small.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from math import sqrt
from typing import Any

import numpy as np
import numpy.typing as npt

from qvl.training.pages.experiments.measure import Values

Floats = npt.NDArray[np.float64]
DIGITS = 5


@dataclass(frozen=True)
class Estimate:
    """``error``: of both kinds together, one standard error. ``seeds``: the value of each seed, in their order.

    ``seeds_error`` is None for one seed: then ``error`` is that of the questions alone.
    """

    mean: float
    error: float
    seeds_error: float | None
    questions_error: float
    questions: int
    seeds: tuple[float, ...]

    def record(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def estimate(runs: Sequence[Values], measure: str, places: Sequence[int]) -> Estimate | None:
    """The mean of a measure over these questions; a loss is per token. None where no question has it."""
    pairs = [_pair(run, measure, places) for run in runs]
    if not runs:
        return None
    return _estimate([pair[0] for pair in pairs], [pair[1] for pair in pairs], _pictures(runs[0], places))


def difference(
    runs: Sequence[Values], others: Sequence[Values], measure: str, places: Sequence[int]
) -> Estimate | None:
    """How much higher the measure is in ``runs`` than in ``others``, seed by seed and question by question."""
    pairs = list(zip(runs, others, strict=False))
    if not pairs:
        return None
    both = [(_pair(mine, measure, places), _pair(other, measure, places)) for mine, other in pairs]
    pictures = _pictures(pairs[0][0], places)
    return _estimate([mine[0] - other[0] for mine, other in both], [mine[1] for mine, _ in both], pictures)


def _pictures(run: Values, places: Sequence[int]) -> Floats:
    return np.array([run["picture"][place] for place in places], dtype=np.float64)


def _pair(run: Values, measure: str, places: Sequence[int]) -> tuple[Floats, Floats]:
    """Values and weights [Q]; NaN where the measure does not apply."""
    chosen = [run[measure][place] for place in places]
    value = np.array([np.nan if each is None else each for each in chosen], dtype=np.float64)
    if measure != "loss":
        return value, np.ones_like(value)
    tokens = [run["tokens"][place] for place in places]
    return value, np.array([np.nan if each is None else each for each in tokens], dtype=np.float64)


def _estimate(values: list[Floats], weights: list[Floats], pictures: Floats) -> Estimate | None:
    value_SQ, weight_SQ = np.stack(values), np.stack(weights)
    there = np.isfinite(value_SQ).all(axis=0) & np.isfinite(weight_SQ).all(axis=0)
    value_SQ, weight_SQ = value_SQ[:, there], weight_SQ[:, there]
    seeds, questions = value_SQ.shape
    if not questions:
        return None
    by_seed = value_SQ.sum(axis=1) / weight_SQ.sum(axis=1)
    mean = float(by_seed.mean())
    rest_Q = (value_SQ - mean * weight_SQ).mean(axis=0) / weight_SQ.mean()
    by_picture = np.bincount(np.unique(pictures[there], return_inverse=True)[1], weights=rest_Q)
    drawn = len(by_picture)
    of_questions = sqrt(float((by_picture**2).sum()) * drawn / max(1, drawn - 1)) / questions
    of_seeds = float(by_seed.std(ddof=1) / sqrt(seeds)) if seeds > 1 else None
    return Estimate(
        round(mean, DIGITS), round(sqrt(of_questions**2 + (of_seeds or 0.0) ** 2), DIGITS),
        None if of_seeds is None else round(of_seeds, DIGITS), round(of_questions, DIGITS), questions,
        tuple(round(float(each), DIGITS) for each in by_seed),
    )  # fmt: skip
