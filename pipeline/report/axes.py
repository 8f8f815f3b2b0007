"""Axes of threshold charts: the edges of bins, with an edge at every threshold."""

import numpy as np
import pyarrow as pa

DECADE = (1.0, 1.25, 1.6, 2.0, 2.5, 3.2, 4.0, 5.0, 6.3, 8.0)  # preferred numbers, ISO 3 R10
SHARE_STEPS = 40
SPAN_STEPS = 50
SIGNED = {"clip": (-0.3, 1.0, 130), "aesthetic": (0.0, 10.0, 50)}  # first edge, last edge, number of steps


def edge_at(threshold: float, side: int, integer: bool, kind: pa.DataType) -> float:
    """The edge at a threshold as the filter compares it: in float32 where the column is, above an integer maximum."""
    if integer:
        return threshold + side
    return float(np.float32(threshold)) if kind == pa.float32() else threshold


def usual_axis(reason: str, column: str, integer: bool) -> np.ndarray:
    """Edges over the usual values of a column: logarithmic for counts and ratios, even steps for shares and scores."""
    if column in SIGNED:
        low, high, steps = SIGNED[column]
        return np.linspace(low, high, steps + 1).round(6)
    if not integer and reason != "aspect_ratio":
        return np.linspace(0.0, 1.0, SHARE_STEPS + 1).round(6)
    decades = np.concatenate([np.array(DECADE) * 10.0**power for power in range(12)])
    if integer:
        return np.unique(np.concatenate([[0.0], np.rint(decades)]))
    fine = np.unique(np.concatenate([np.arange(1.0, 4.0, 0.1), decades[decades <= 1000]]))
    return np.unique(fine.round(6))


def with_cuts(edges: np.ndarray, cuts: list[float]) -> np.ndarray:
    """Insert every cut as an edge. It replaces the nearest inner edge, unless that is a cut itself or the first or last."""
    for cut in cuts:
        if cut in edges:
            continue
        nearest = int(np.argmin(np.abs(edges - cut)))
        if 0 < nearest < len(edges) - 1 and edges[nearest] not in cuts:
            edges = np.delete(edges, nearest)
        edges = np.unique(np.append(edges, cut))
    return edges


def span_axis(low: float, high: float, integer: bool) -> np.ndarray:
    """Even edges from ``low`` to ``high``, or past it by less than two steps where they are integers."""
    if integer:
        step = max(1, int((high - low) // SPAN_STEPS))
        return np.arange(low, high + 2 * step, step, dtype=np.float64)
    return np.linspace(low, high if high > low else low + 1.0, SPAN_STEPS + 1)
