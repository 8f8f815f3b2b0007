"""Turns log lines into curves. Steps fall into buckets of equal width, so that the page of a long run stays small.

Rates are ratios of sums, never means of ratios: samples over seconds, loss over tokens.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from qvl.training.loop.records import StepLine
from qvl.training.pages.report.history import StageHistory

Floats = npt.NDArray[np.float64]
POINTS = 600
SMOOTHING_SHARE = 0.01
"""The time constant of the smoothed curves, as a share of the stage's steps."""
MOST_SOURCES = 12
COUNTS = ("samples", "faults", "groups", "unparsable", "standard_error")
"""Numbers that are logged with the scores but are not scores."""

Series = list[float | None]


@dataclass(frozen=True, slots=True)
class StageCurves:
    """All curves of a stage: lists over ``step``, None where nothing was measured; ``skipped``: numbers of skipped steps."""

    step: list[int]
    loss: Series
    loss_low: Series
    loss_high: Series
    loss_smooth: Series
    by_source: dict[str, Series]
    by_class: dict[str, Series]
    lr: Series
    grad_norm: Series
    samples_per_second: Series
    tokens_per_second: Series
    useful: Series
    data_wait: Series
    mfu: Series
    memory_gb: Series
    skipped: list[int]


def curves(stage: StageHistory) -> StageCurves:
    """All curves of a stage."""
    lines = stage.steps
    bucket = _buckets(len(lines))
    steps = _column(lines, lambda line: line.step)
    seconds = _sums(_column(lines, lambda line: line.seconds), bucket)
    tokens = _sums(_column(lines, lambda line: line.tokens), bucket)

    def rate(value: Callable[[StepLine], float]) -> Series:
        return _listed(_ratio(_sums(_column(lines, value), bucket), seconds))

    def mean(value: Callable[[StepLine], float | None]) -> Series:
        return _listed(_means(_column(lines, value), bucket))

    loss = _column(lines, lambda line: line.loss)
    lowest, highest = _extremes(loss, bucket)
    return StageCurves(
        step=[int(step) for step in _last(steps, bucket)],
        loss=_listed(_means(loss, bucket)),
        loss_low=_listed(lowest),
        loss_high=_listed(highest),
        loss_smooth=_listed(_last(smooth(loss, np.isfinite(loss).astype(float)), bucket)),
        by_source=_named([line.loss_by_source for line in lines], bucket),
        by_class=_named([line.loss_by_class for line in lines], bucket),
        lr=mean(lambda line: line.lr),
        grad_norm=mean(lambda line: line.grad_norm),
        samples_per_second=rate(lambda line: line.samples),
        tokens_per_second=_listed(_ratio(tokens, seconds)),
        useful=_listed(_ratio(tokens, _sums(_column(lines, lambda line: line.positions), bucket))),
        data_wait=rate(lambda line: line.data_wait),
        mfu=mean(lambda line: line.mfu),
        memory_gb=mean(lambda line: line.memory_gb),
        skipped=[line.step for line in lines if line.skipped],
    )


@dataclass(frozen=True, slots=True)
class ScoreSeries:
    """A score over steps: the steps at which it was measured, and the values."""

    step: list[int] = field(default_factory=list)
    value: list[float | None] = field(default_factory=list)


def scores(stage: StageHistory) -> dict[str, ScoreSeries]:
    """Evaluation scores by ``task · metric``."""
    found: dict[str, ScoreSeries] = {}
    for line in sorted(stage.scores, key=lambda line: line.step):
        for metric, value in line.scores.items():
            if metric not in COUNTS:
                series = found.setdefault(f"{line.task} · {metric}", ScoreSeries())
                series.step.append(line.step)
                series.value.append(value)
    return found


def smooth(values: Floats, weights: Floats) -> Floats:
    """The weighted mean around each step; weights decay exponentially to both sides. NaN where no weight is near."""
    decay = float(np.exp(-1 / max(1.0, SMOOTHING_SHARE * len(values))))
    parts = np.nan_to_num(values) * weights
    total, weight = (
        _decayed_sum(each, decay) + _decayed_sum(each[::-1], decay)[::-1] - each for each in (parts, weights)
    )
    return np.divide(total, weight, out=np.full(len(values), np.nan), where=weight > 1e-9)


def _decayed_sum(values: Floats, decay: float) -> Floats:
    """The sum of all values up to each step, in which a value counts ``decay`` times less with every step since."""
    sums, total = np.empty_like(values), 0.0
    for step, value in enumerate(values.tolist()):
        total = decay * total + value
        sums[step] = total
    return sums


Losses = dict[str, tuple[float | None, float]]


def _named(lines: list[Losses], bucket: npt.NDArray[np.int64]) -> dict[str, Series]:
    """Smoothed loss per source or class from sums and counts; those with most tokens."""
    labels = dict.fromkeys(label for losses in lines for label in losses)
    sums: dict[str, tuple[Floats, Floats]] = {}
    for label in labels:
        pairs = np.array([losses.get(label, (0.0, 0.0)) for losses in lines], dtype=np.float64).reshape(-1, 2)
        pairs[~np.isfinite(pairs).all(axis=1)] = 0
        sums[label] = pairs[:, 0], pairs[:, 1]
    most = sorted(labels, key=lambda label: -float(sums[label][1].sum()))[:MOST_SOURCES]
    return {
        label: _listed(_last(smooth(_ratio(*sums[label]), sums[label][1]), bucket))
        for label in labels
        if label in most and sums[label][1].any()
    }


def _column(lines: list[StepLine], value: Callable[[StepLine], float | None]) -> Floats:
    found = (value(line) for line in lines)
    return np.array([np.nan if each is None else each for each in found], dtype=np.float64)


def _buckets(count: int) -> npt.NDArray[np.int64]:
    """The first line of each bucket."""
    width = max(1, -(-count // POINTS))
    return np.arange(0, count, width)


def _sums(values: Floats, bucket: npt.NDArray[np.int64]) -> Floats:
    return np.add.reduceat(np.nan_to_num(values), bucket)


def _means(values: Floats, bucket: npt.NDArray[np.int64]) -> Floats:
    return _ratio(_sums(values, bucket), np.add.reduceat(np.isfinite(values).astype(float), bucket))


def _extremes(values: Floats, bucket: npt.NDArray[np.int64]) -> tuple[Floats, Floats]:
    return np.fmin.reduceat(values, bucket), np.fmax.reduceat(values, bucket)


def _last(values: Floats, bucket: npt.NDArray[np.int64]) -> Floats:
    return values[np.append(bucket[1:], len(values)) - 1]


def _ratio(part: Floats, whole: Floats) -> Floats:
    return np.divide(part, whole, out=np.full(len(part), np.nan), where=whole > 0)


def _listed(values: Floats) -> Series:
    """Six figures are more than a curve shows."""
    return [float(f"{value:.6g}") if np.isfinite(value) else None for value in values.tolist()]
