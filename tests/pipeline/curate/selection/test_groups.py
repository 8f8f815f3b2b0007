"""Groups of units: positions mean the same in every run."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qvl.pipeline.base.errors import ContractError
from qvl.pipeline.curate.measuring.manifests import ScanManifest
from qvl.pipeline.curate.selection.groups import make_groups, read_groups, write_groups
from tests.pipeline.curate.scanned import scan_manifest


def scanned(rows: list[int]) -> list[ScanManifest]:
    return [scan_manifest(f"u{i}", f"s{i % 3}", n) for i, n in enumerate(rows)]


@given(st.lists(st.integers(0, 30), max_size=20), st.integers(1, 60))
def test_make_groups_covers_the_units_in_order_within_the_limit(rows: list[int], limit: int) -> None:
    groups = make_groups(scanned(rows), limit)
    assert [unit for group in groups for unit in group.units] == [f"u{i}" for i in range(len(rows))]
    assert [n for group in groups for n in group.rows] == rows
    assert [group.number for group in groups] == list(range(len(groups)))
    assert all(sum(group.rows) >= limit for group in groups[:-1])
    assert all(sum(group.rows[:-1]) < limit for group in groups)
    for group in groups:
        assert group.starts.tolist() == [sum(group.rows[:i]) for i in range(len(group.rows) + 1)]


def test_read_groups_returns_what_was_written(tmp_path: Path) -> None:
    groups = make_groups(scanned([3, 4, 5]), 5)
    write_groups(tmp_path, groups)
    assert list(read_groups(tmp_path, "one")) == groups
    write_groups(tmp_path, make_groups(scanned([1]), 5))
    assert len(read_groups(tmp_path, "two")) == 1


def test_read_groups_when_there_are_none_raises(tmp_path: Path) -> None:
    with pytest.raises(ContractError, match="no groups"):
        read_groups(tmp_path, "x")
