"""Turns log lines into curves. Steps fall into buckets of equal width, so that the page of a long run stays small.

Rates are ratios of sums, never means of ratios: samples over seconds, loss over tokens.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from qvl.training.pages.report.history import Line, StageHistory

Floats = npt.NDArray[np.float64]
POINTS = 600
SMOOTHING_SHARE = 0.01
"""The time constant of the smoothed curves, as a share of the stage's steps."""
MOST_SOURCES = 12
COUNTS = ("samples", "faults", "groups", "unparsable", "standard_error")
"""Numbers that are logged with the scores but are not scores."""


def curves(stage: StageHistory) -> dict[str, Any]:
    """All curves of a stage by name. Each is a list over ``step``, with None where nothing was measured."""
    lines = stage.steps
    bucket = _buckets(len(lines))
    steps = _column(lines, lambda line: line["step"])
    seconds = _column(lines, lambda line: line["seconds"])

    def rate(name: str, over: Floats) -> list[float | None]:
        return _listed(_ratio(_sums(_column(lines, lambda line: line[name]), bucket), _sums(over, bucket)))

    def mean(name: str) -> list[float | None]:
        return _listed(_means(_column(lines, lambda line: line.get(name)), bucket))

    loss = _column(lines, lambda line: line["loss"])
    lowest, highest = _extremes(loss, bucket)
    return {
        "step": [int(step) for step in _last(steps, bucket)],
        "loss": _listed(_means(loss, bucket)),
        "loss_low": _listed(lowest),
        "loss_high": _listed(highest),
        "loss_smooth": _listed(_last(smooth(loss, np.isfinite(loss).astype(float)), bucket)),
        "by_source": _named(lines, "loss_by_source", bucket),
        "by_class": _named(lines, "loss_by_class", bucket),
        "lr": mean("lr"),
        "grad_norm": mean("grad_norm"),
        "samples_per_second": rate("samples", seconds),
        "tokens_per_second": rate("tokens", seconds),
        "useful": rate("tokens", _column(lines, lambda line: line["positions"])),
        "data_wait": rate("data_wait", seconds),
        "mfu": mean("mfu"),
        "memory_gb": mean("memory_gb"),
        "skipped": [int(line["step"]) for line in lines if line["skipped"]],
    }


def scores(stage: StageHistory) -> dict[str, dict[str, list[Any]]]:
    """Evaluation scores by ``task · metric``."""
    curves_by_name: dict[str, dict[str, list[Any]]] = {}
    for line in sorted(stage.scores, key=lambda line: line["step"]):
        for metric, value in line["scores"].items():
            if metric not in COUNTS and isinstance(value, int | float) and not isinstance(value, bool):
                series = curves_by_name.setdefault(f"{line['task']} · {metric}", {"step": [], "value": []})
                series["step"].append(line["step"])
                series["value"].append(value)
    return curves_by_name


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


def _named(lines: list[Line], name: str, bucket: npt.NDArray[np.int64]) -> dict[str, list[float | None]]:
    """The smoothed loss of each source or class, from sums and counts. Only the MOST_SOURCES with the most tokens."""
    labels = dict.fromkeys(label for line in lines for label in line[name])
    sums: dict[str, tuple[Floats, Floats]] = {}
    for label in labels:
        pairs = np.array([line[name].get(label, (0.0, 0.0)) for line in lines], dtype=np.float64).reshape(-1, 2)
        pairs[~np.isfinite(pairs).all(axis=1)] = 0
        sums[label] = pairs[:, 0], pairs[:, 1]
    most = sorted(labels, key=lambda label: -float(sums[label][1].sum()))[:MOST_SOURCES]
    return {
        label: _listed(_last(smooth(_ratio(*sums[label]), sums[label][1]), bucket))
        for label in labels
        if label in most and sums[label][1].any()
    }


def _column(lines: list[Line], value: Callable[[Line], Any]) -> Floats:
    values = (value(line) for line in lines)
    return np.array([np.nan if each is None else each for each in values], dtype=np.float64)


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


def _listed(values: Floats) -> list[float | None]:
    """The values with six significant digits, which is more than a curve shows; None where they are not finite."""
    return [float(f"{value:.6g}") if np.isfinite(value) else None for value in values.tolist()]
