"""Which rows of a run of equal keys are beyond the allowed number."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qvl.pipeline.finished.rerun_duplicates import beyond_allowed


@pytest.mark.parametrize(("allowed", "lost"), [(1, [0, 1, 1, 0, 1]), (2, [0, 0, 1, 0, 0]), (3, [0, 0, 0, 0, 0])])
def test_beyond_allowed_keeps_the_first_rows_of_each_run(allowed: int, lost: list[int]) -> None:
    assert beyond_allowed(np.array([4, 4, 4, 7, 7]), allowed).tolist() == [bool(one) for one in lost]


@given(st.lists(st.integers(0, 3), max_size=30), st.integers(1, 4))
def test_beyond_allowed_of_any_runs_keeps_at_most_the_allowed_number_of_each(values: list[int], allowed: int) -> None:
    runs = np.sort(np.array(values, np.int64))
    kept = runs[~beyond_allowed(runs, allowed)].tolist()
    assert kept == [value for value in sorted(set(values)) for _ in range(min(allowed, values.count(value)))]
