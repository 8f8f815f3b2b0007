"""Filters over one column of any name and type: bounds, sets, patterns, and what a missing value means."""

import datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from pydantic import ValidationError

from qvl.pipeline.base.errors import RecipeError
from qvl.pipeline.filters import OTHER_VERDICTS, Filters
from qvl.pipeline.filters.column import ColumnFilter

NAN = float("nan")


def judge(values: pa.Array, **settings: Any) -> list[bool | None]:
    chosen = Filters.model_validate({"columns": {"x": settings}}).columns["x"]
    assert chosen is not None
    assert chosen.judged_columns == ("x",)
    found: list[bool | None] = chosen.keep(pa.table({"x": values})).to_pylist()
    batch = pa.RecordBatch.from_arrays([values], ["x"])
    assert chosen.keep(batch).to_pylist() == found
    return found


@pytest.mark.parametrize(
    ("values", "settings", "expected"),
    [
        (pa.array([4.9, 5.0, None, NAN]), {"minimum": 5.0}, [False, True, None, None]),
        (pa.array([4.9, 5.0, None, NAN]), {"minimum": 5, "missing": "keep"}, [False, True, True, True]),
        (pa.array([0.3, 0.2], pa.float32()), {"minimum": 0.3, "maximum": 0.3}, [True, False]),
        (pa.array([1.5, 2.5], pa.float16()), {"maximum": 2}, [True, False]),
        (pa.array([2, 3, 4]), {"minimum": 2.5, "maximum": 3.5}, [False, True, False]),
        (pa.array([2, 3], pa.int8()), {"minimum": -(10**18), "maximum": 10**18}, [True, True]),
        (pa.array([2**64 - 1, 0], pa.uint64()), {"minimum": 1}, [True, False]),
        (pa.array([Decimal("1.5"), Decimal("2.5")]), {"maximum": 2}, [True, False]),
        (pa.array(["cc0", "all rights", None]), {"allowed": ["cc0", "cc-by"]}, [True, False, None]),
        (pa.array(["cc0", "x"]).dictionary_encode(), {"allowed": ["cc0"]}, [True, False]),
        (pa.array(["a", "b", None], pa.large_string()), {"forbidden": ["a"], "missing": "keep"}, [False, True, True]),
        (pa.array([1, 2, None]), {"forbidden": [2]}, [True, False, None]),
        (pa.array([1.0, 2.5]), {"allowed": [1, 2.5]}, [True, True]),
        (pa.array([True, False]), {"allowed": [True]}, [True, False]),
        (pa.array([datetime.date(2026, 1, 2), None]), {"allowed": ["2026-01-02"]}, [True, None]),
        (pa.array(["http://stock.x", "http://y", None]), {"forbidden_pattern": "stock"}, [False, True, None]),
        (pa.array(["a1", "b"]), {"pattern": r"^[a-z]\d$"}, [True, False]),
        (pa.array(["a1", "a2", "b1"]), {"pattern": "a", "forbidden": ["a2"]}, [True, False, False]),
        (pa.array([[1], None]), {}, [True, None]),
        (pa.nulls(2), {"missing": "keep"}, [True, True]),
        (pa.array([], pa.string()), {"pattern": "a"}, []),
    ],
)
def test_keep_when_conditions_are_set_passes_rows_that_meet_all_of_them(
    values: pa.Array, settings: dict[str, Any], expected: list[bool | None]
) -> None:
    assert judge(values, **settings) == expected


@pytest.mark.parametrize(
    ("values", "settings", "message"),
    [
        (
            pa.array(["a"]),
            {"minimum": 5},
            "columns.x: minimum and maximum need numbers, but the column has type string",
        ),
        (pa.array([1]), {"allowed": ["a"]}, "columns.x: it is compared with 'a', but the column has type int64"),
        (pa.array([1]), {"allowed": [True]}, "compared with True"),
        (pa.array(["a"]), {"forbidden": [1]}, "compared with 1"),
        (pa.array([1], pa.int8()), {"allowed": [1000]}, "compared with 1000"),
        (pa.array([1]), {"pattern": "a"}, "a pattern needs text"),
        (pa.array([["a"]]), {"allowed": ["a"]}, "type list"),
        (pa.array([datetime.date(2026, 1, 2)]), {"allowed": ["soon"]}, "compared with soon"),
    ],
)
def test_keep_when_a_condition_does_not_fit_the_type_is_an_error_that_names_both(
    values: pa.Array, settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(RecipeError, match=message):
        judge(values, **settings)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"clip": {"minimum": 0.3}}, "clip is a filter of its own"),
        *(({name: {}}, "is a verdict already") for name in sorted(OTHER_VERDICTS)),
        ({"x": {"pattern": "("}}, "not a regular expression"),
        ({"x": {"minimum": 1, "most": 2}}, "Extra inputs"),
        ({"x": {"allowed": []}}, "at least 1"),
        ({"a.b": {}}, "pattern"),
    ],
)
def test_recipe_when_a_filter_over_a_column_makes_no_sense_is_refused(columns: Any, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Filters.model_validate({"columns": columns})


@pytest.mark.parametrize(
    "settings", [{"minimum": 3, "maximum": 2}, {"allowed": ["a"], "forbidden": ["a", "b"]}], ids=["bounds", "sets"]
)
def test_contradiction_when_no_value_can_pass_says_so(settings: dict[str, Any]) -> None:
    assert ColumnFilter(**settings).contradiction()
    assert ColumnFilter(minimum=2, maximum=2, allowed=("a", "b"), forbidden=("a",)).contradiction() is None


def test_source_when_it_sets_one_condition_keeps_the_default_ones_and_null_switches_off() -> None:
    defaults = Filters.model_validate({"columns": {"x": {"minimum": 1, "missing": "keep"}, "y": {}}})
    own = Filters.model_validate({"columns": {"x": {"maximum": 5}, "y": None, "z": {}}}).over(defaults).columns
    assert own["x"] == ColumnFilter(column="x", minimum=1, maximum=5, missing="keep")
    assert (own["y"], own["z"]) == (None, ColumnFilter(column="z"))


def test_passing_when_values_are_given_as_text_agrees_with_keep() -> None:
    values = ["a1", "a2", "b1", "b2"]
    chosen = ColumnFilter(column="x", pattern="1", forbidden=("b1",))
    assert chosen.passing(values) == chosen.keep(pa.table({"x": values})).to_pylist() == [True, False, False, False]
    assert ColumnFilter(allowed=(True,)).passing(["yes", "no"]) == [True, False]
