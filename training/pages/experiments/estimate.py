"""Means over questions and seeds, with an error that covers both: the spread over seeds and that over the questions.

With S seeds, Q questions and values y[s, q], the mean of the seeds' means varies by the spread of the seeds over S, and the
mean of the questions' means by the spread over the pictures that they ask about. Both terms contain the variance of the
residual, so their sum is slightly too large rather than too small.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt

import numpy as np
import numpy.typing as npt

from qvl.training.pages.experiments.measure import AnswerValues
from qvl.training.pages.experiments.recipe import Measure

Floats = npt.NDArray[np.float64]
DIGITS = 5


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean. ``error``: one standard error, of seeds and questions together. ``seeds``: the value of each seed, in order.

    ``seeds_error`` is None with one seed; then ``error`` is that of the questions alone.
    """

    mean: float
    error: float
    seeds_error: float | None
    questions_error: float
    questions: int
    seeds: tuple[float, ...]


def estimate(runs: Sequence[AnswerValues], measure: Measure, indexes: Sequence[int]) -> Estimate | None:
    """The mean of a measure over these questions (a loss is per token), or None if it applies to none of them."""
    pairs = [_pair(run, measure, indexes) for run in runs]
    if not runs:
        return None
    return _estimate([pair[0] for pair in pairs], [pair[1] for pair in pairs], _pictures(runs[0], indexes))


def difference(
    runs: Sequence[AnswerValues], others: Sequence[AnswerValues], measure: Measure, indexes: Sequence[int]
) -> Estimate | None:
    """How much higher the measure is in ``runs`` than in ``others``, seed by seed and question by question."""
    pairs = list(zip(runs, others, strict=False))
    if not pairs:
        return None
    both = [(_pair(mine, measure, indexes), _pair(other, measure, indexes)) for mine, other in pairs]
    pictures = _pictures(pairs[0][0], indexes)
    return _estimate([mine[0] - other[0] for mine, other in both], [mine[1] for mine, _ in both], pictures)


def _pictures(run: AnswerValues, indexes: Sequence[int]) -> Floats:
    return np.array([run.picture[index] for index in indexes], dtype=np.float64)


def _pair(run: AnswerValues, measure: Measure, indexes: Sequence[int]) -> tuple[Floats, Floats]:
    """Values and weights [Q]; NaN if the measure does not apply to a question."""
    chosen = [run.of(measure)[index] for index in indexes]
    value = np.array([np.nan if each is None else each for each in chosen], dtype=np.float64)
    if measure != "loss":
        return value, np.ones_like(value)
    tokens = [run.tokens[index] for index in indexes]
    return value, np.array([np.nan if each is None else each for each in tokens], dtype=np.float64)


def _estimate(values: list[Floats], weights: list[Floats], pictures: Floats) -> Estimate | None:
    value_SQ, weight_SQ = np.stack(values), np.stack(weights)
    measured = np.isfinite(value_SQ).all(axis=0) & np.isfinite(weight_SQ).all(axis=0)
    value_SQ, weight_SQ = value_SQ[:, measured], weight_SQ[:, measured]
    seeds, questions = value_SQ.shape
    if not questions:
        return None
    by_seed = value_SQ.sum(axis=1) / weight_SQ.sum(axis=1)
    mean = float(by_seed.mean())
    residual_Q = (value_SQ - mean * weight_SQ).mean(axis=0) / weight_SQ.mean()
    by_picture = np.bincount(np.unique(pictures[measured], return_inverse=True)[1], weights=residual_Q)
    count = len(by_picture)
    questions_error = sqrt(float((by_picture**2).sum()) * count / max(1, count - 1)) / questions
    seeds_error = float(by_seed.std(ddof=1) / sqrt(seeds)) if seeds > 1 else None
    return Estimate(
        round(mean, DIGITS), round(sqrt(questions_error**2 + (seeds_error or 0.0) ** 2), DIGITS),
        None if seeds_error is None else round(seeds_error, DIGITS), round(questions_error, DIGITS), questions,
        tuple(round(float(each), DIGITS) for each in by_seed),
    )  # fmt: skip
