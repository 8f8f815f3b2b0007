"""Axes of histograms: round edges, integers for integer columns, logarithmic over wide ranges."""

import math
from dataclasses import dataclass

from qvl.pipeline.report.axes import DECADE

BINS = 48
WIDE = 400.0
STEPS = (1.0, 2.0, 2.5, 5.0, 10.0)


@dataclass(frozen=True)
class Axis:
    """Bin i holds edges[i] <= value < edges[i + 1]; the last bin includes its upper edge."""

    edges: list[float]
    log: bool

    @property
    def uppers(self) -> list[float]:
        """The largest number of each bin, as DuckDB's ``histogram`` expects it."""
        return [*(math.nextafter(edge, -math.inf) for edge in self.edges[1:-1]), self.edges[-1]]


def axis_of(least: float, most: float, integer: bool) -> Axis:
    """An axis for values from ``least`` to ``most``."""
    if least >= 0 and most > WIDE * max(least, 1.0):
        return Axis(_logarithmic(least, most, integer), True)
    step = _step((most - least) / BINS)
    if integer:
        step = max(1.0, math.ceil(step))
    first = math.floor(least / step) * step
    number = math.floor((most - first) / step) + 1
    edges = [round(first + i * step, 10) for i in range(number + 1)]
    return Axis([_whole(edge) for edge in edges] if integer else edges, False)


def _step(raw: float) -> float:
    """The next round step; 1 if all values are equal."""
    if raw <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(raw))
    return next(round(factor * power, 12) for factor in STEPS if factor * power >= raw * 0.999)


def _logarithmic(least: float, most: float, integer: bool) -> list[float]:
    low = max(least, 1.0)
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(most)) + 1)
    steps = [round(factor * 10.0**power, 12) for power in powers for factor in DECADE]
    edges = sorted({round(step) if integer else step for step in steps})
    inner = [edge for edge in edges if low < edge <= most]
    above = next(edge for edge in edges if edge > most)
    below = max([edge for edge in edges if edge <= low], default=low)
    first = [0.0, below] if least < below else [below]
    return [_whole(edge) if integer else edge for edge in (*first, *inner, above)]


def _whole(edge: float) -> float:
    return int(edge)
