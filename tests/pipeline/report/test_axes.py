"""Edges of threshold charts: increasing, over the whole range, and with an edge at every threshold."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qvl.pipeline.report.axes import SIGNED, edge_at, span_axis, usual_axis, with_cuts


@pytest.mark.parametrize(
    ("reason", "column", "integer", "first", "last"),
    [
        ("clip", "clip", False, -0.3, 1.0),
        ("other", "other", False, 0.0, 1.0),
        ("characters", "characters", True, 0.0, 8e11),
        ("aspect_ratio", "height", False, 1.0, 1000.0),
    ],
)
def test_usual_axis_of_a_column_spans_its_usual_values(
    reason: str, column: str, integer: bool, first: float, last: float
) -> None:
    edges = usual_axis(reason, column, integer)
    assert (edges[0], edges[-1]) == (first, last) and (np.diff(edges) > 0).all()
    assert not integer or (edges == np.rint(edges)).all()
    assert column not in SIGNED or len(edges) == SIGNED[column][2] + 1


@given(st.floats(-1e6, 1e6), st.floats(0, 1e6))
def test_span_axis_holds_the_smallest_and_the_largest_number(low: float, width: float) -> None:
    edges = span_axis(low, low + width, False)
    assert edges[0] == low and edges[-1] >= low + width and (np.diff(edges) > 0).all()


@given(st.integers(-(10**6), 10**6), st.integers(0, 10**6))
def test_span_axis_of_integers_has_integer_edges_past_the_largest(low: int, width: int) -> None:
    edges = span_axis(low, low + width, True)
    assert edges[0] == low and edges[-1] > low + width and (edges == np.rint(edges)).all()


@given(st.lists(st.floats(0, 1, exclude_min=True, exclude_max=True), min_size=1, max_size=5, unique=True))
def test_with_cuts_every_threshold_is_an_edge_and_the_ends_stay(cuts: list[float]) -> None:
    edges = with_cuts(np.linspace(0, 1, 41), sorted(cuts))
    assert set(cuts) <= set(edges.tolist()) and (edges[0], edges[-1]) == (0, 1) and (np.diff(edges) > 0).all()


def test_edge_at_a_threshold_is_where_the_filter_changes_its_mind() -> None:
    assert edge_at(200, 0, True, pa.int32()) == 200  # a minimum keeps 200
    assert edge_at(200, 1, True, pa.int32()) == 201  # a maximum keeps 200 too
    assert edge_at(0.1, 0, False, pa.float32()) == float(np.float32(0.1)) != 0.1
    assert edge_at(0.1, 1, False, pa.float64()) == 0.1
