"""When unreadable input stops a run."""

import pytest

from qvl.pipeline.base.errors import DataError
from qvl.pipeline.curate.measuring.tolerance import check_tolerance, check_units, is_broken
from qvl.pipeline.recipe.recipe import Recipe
from tests.pipeline.curate.scanned import scan_manifest


def recipe(rows: float, units: float = 1.0) -> Recipe:
    source = {"name": "web", "read": {"kind": "webdataset", "paths": ["x.tar"]}}
    tolerance = {"unreadable_rows": rows, "unreadable_units": units}
    return Recipe.model_validate({"name": "r", "sources": [source], "tolerance": tolerance})


UNITS = [
    scan_manifest("u0", "web", 60, {"unreadable:truncated": 5, "download:failed_to_download": 30}),
    scan_manifest("u1", "web", 40, {"unreadable:not_an_image": 3, "unreadable:truncated_tar": 2}),
]


def test_check_tolerance_when_unreadable_rows_are_at_the_limit_passes() -> None:
    check_tolerance(recipe(0.1), UNITS)


def test_check_tolerance_when_too_many_rows_are_unreadable_names_the_most_frequent_faults() -> None:
    with pytest.raises(DataError, match=r"10 of 100 rows are unreadable \(unreadable:truncated 5, unreadable:not_an"):
        check_tolerance(recipe(0.09), UNITS)


def test_check_tolerance_when_too_many_files_break_off_names_them() -> None:
    with pytest.raises(DataError, match=r"1 of 2 input files cannot be read to their end: u1\.tar"):
        check_tolerance(recipe(0.5, units=0.4), UNITS)


def test_check_units_when_half_may_break_passes() -> None:
    check_units(recipe(0, units=0.5), UNITS[1:], 2)


@pytest.mark.parametrize(
    ("fault", "broken"),
    [("unreadable:truncated_tar", True), ("unreadable:damaged_table", True), ("unreadable:truncated", False)],
)
def test_a_unit_is_broken_only_if_it_could_not_be_read_to_its_end(fault: str, broken: bool) -> None:
    assert is_broken(scan_manifest("u", "web", 1, {fault: 1})) is broken
