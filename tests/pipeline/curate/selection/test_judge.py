"""Filters over columns: bit masks, and the first filter that a row fails."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qvl.pipeline.curate.selection.groups import Group
from qvl.pipeline.curate.selection.judge import FAULT_BIT, RUN_UNITS, first_failed, judge_rows, runs
from qvl.pipeline.filters import FILTER_NAMES, Filters
from tests.pipeline.filters.judging import rows as make_batch


@given(st.lists(st.integers(0, 2**32 - 1), max_size=50))
def test_first_failed_of_any_mask_is_one_plus_its_lowest_bit(masks: list[int]) -> None:
    expected = [(mask & -mask).bit_length() for mask in masks]
    assert first_failed(np.array(masks, np.uint32)).tolist() == expected


def test_first_failed_when_filters_2_and_4_fail_is_3() -> None:
    assert first_failed(np.array([0b10100], np.uint32)).tolist() == [3]


def test_judge_rows_when_a_row_has_a_fault_sets_no_other_bit() -> None:
    batch = pa.Table.from_batches([make_batch(fault=["unreadable:x", None], emoji=[5, 5])])
    found = judge_rows(batch, Filters.model_validate({"emoji": {}}))
    assert found.tolist() == [int(FAULT_BIT), 1 << FILTER_NAMES.index("emoji")]


def test_judge_rows_without_filters_passes_all_readable_rows() -> None:
    batch = pa.Table.from_batches([make_batch(fault=["unreadable:x", None])])
    assert judge_rows(batch, Filters()).tolist() == [int(FAULT_BIT), 0]


@pytest.mark.parametrize(("emoji", "expected"), [(0, int(FAULT_BIT)), (5, 1 << FILTER_NAMES.index("emoji"))])
def test_judge_rows_when_pixels_are_undecodable_a_failed_filter_on_columns_comes_first(
    emoji: int, expected: int
) -> None:
    batch = pa.Table.from_batches([make_batch(fault=[None], emoji=[emoji])])
    table = batch.append_column("score_state", pa.array(["unreadable:bad_pixels"]))
    assert judge_rows(table, Filters.model_validate({"emoji": {}})).tolist() == [expected]


def test_runs_join_consecutive_units_of_a_source_up_to_the_limit() -> None:
    sources = ("a",) * (RUN_UNITS + 1) + ("b", "a")
    group = Group(0, tuple(f"u{i}" for i in range(len(sources))), sources, (1,) * len(sources))
    found = runs(group)
    assert [(source, len(units)) for source, units in found] == [("a", RUN_UNITS), ("a", 1), ("b", 1), ("a", 1)]
    assert [unit for _, units in found for unit in units] == list(group.units)
