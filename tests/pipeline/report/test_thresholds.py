"""Every filter can be shown, and every threshold is the edge of a bin."""

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from qvl.pipeline.filters import FILTER_NAMES, RULES
from qvl.pipeline.recipe.recipe import Recipe
from qvl.pipeline.report.thresholds import (
    JudgedColumns,
    NumberThreshold,
    SetThreshold,
    chosen_filters,
    purpose,
    thresholds,
)

SOURCE = {"read": {"kind": "webdataset", "paths": ["x.tar"]}}


def recipe_with(filters: dict[str, Any], other: dict[str, Any] | None = None) -> Recipe:
    sources = [{"name": "one", **SOURCE}, {"name": "two", **SOURCE, "filters": other or {}}]
    return Recipe.model_validate({"name": "made", "sources": sources, "filters": filters})


def default(word: str) -> dict[str, Any]:
    return {"minimum": 0.25} if word == "clip" else {}


@pytest.mark.parametrize("word", RULES)
def test_a_rule_has_no_threshold_but_a_line_of_explanation(word: str) -> None:
    recipe = recipe_with({})
    assert thresholds(recipe) == []
    assert len(purpose(chosen_filters(recipe)[word]["one"])) > 15


@pytest.mark.parametrize("word", [name for name in FILTER_NAMES if name not in RULES])
def test_every_filter_has_a_threshold_and_a_line_of_explanation(word: str) -> None:
    recipe = recipe_with({word: default(word)})
    made = thresholds(recipe)
    assert {threshold.reason for threshold in made} == {word}
    assert all(threshold.judged == {"one", "two"} for threshold in made)
    assert len(purpose(chosen_filters(recipe)[word]["one"])) > 15


@pytest.mark.parametrize("word", FILTER_NAMES)
def test_thresholds_are_edges_and_edges_rise(word: str) -> None:
    for threshold in thresholds(recipe_with({word: default(word)})):
        if isinstance(threshold, NumberThreshold):
            assert (np.diff(threshold.edges) > 0).all()
            low, high = threshold.limits("one")
            if low is not None:
                assert low in threshold.edges
            if high is not None:
                assert high + (1 if threshold.integer else 0) in threshold.edges


def test_thresholds_of_all_sources_are_edges() -> None:
    recipe = recipe_with({"clip": {"minimum": 0.2837}}, {"clip": {"minimum": 0.2853}})
    (threshold,) = thresholds(recipe)
    assert isinstance(threshold, NumberThreshold)
    single = [float(np.float32(limit)) for limit in (0.2837, 0.2853)]
    assert [threshold.limits(source)[0] for source in ("one", "two")] == single
    assert set(single) <= set(threshold.edges.tolist())


def test_a_source_without_the_filter_is_not_judged() -> None:
    (threshold,) = thresholds(recipe_with({"emoji": {}}, {"emoji": None}))
    assert threshold.judged == {"one"}


def test_a_set_with_a_bound_that_binds_is_shown_as_both() -> None:
    kinds = [type(threshold) for threshold in thresholds(recipe_with({"language": {"minimum_probability": 0.5}}))]
    assert kinds == [SetThreshold, NumberThreshold]
    assert [type(threshold) for threshold in thresholds(recipe_with({"language": {}}))] == [SetThreshold]


def test_axis_of_a_column_of_ones_own_spans_its_numbers_and_holds_every_bound() -> None:
    recipe = recipe_with({"columns": {"x": {"minimum": 250.5}, "n": {"maximum": -3}}})
    schema = pa.schema([("x", pa.float64()), ("n", pa.int32())])
    whole, number = thresholds(recipe, JudgedColumns(schema, {"x": (100.0, 900.0), "n": (-10.0, 40.0)}))
    assert isinstance(whole, NumberThreshold)
    assert isinstance(number, NumberThreshold)
    assert (whole.reason, whole.integer, whole.edges[0], whole.edges[-1]) == ("n", True, -10, 41)
    assert -2 in whole.edges
    assert (number.reason, number.edges[0], number.edges[-1], 250.5 in number.edges) == ("x", 100, 900, True)


def test_values_of_a_column_with_many_of_them_are_counted_as_few() -> None:
    recipe = recipe_with({"columns": {"x": {"forbidden": ["v3"]}}})
    (threshold,) = thresholds(recipe, JudgedColumns(pa.schema([("x", pa.string())])))
    assert isinstance(threshold, SetThreshold)
    column = pa.array([*[f"v{i}" for i in range(500)], "v3", None])
    values = threshold.values(pa.table({"x": column}))
    assert len(values) == 502
    counts = {str(pair["values"]): pair["counts"] for pair in values.value_counts().to_pylist()}
    assert (len(counts), counts["v3"], counts["other values"], counts["None"]) == (66, 2, 436, 1)
    assert threshold.passing(["v1", "v3", ""]) == {"v1"}


def test_the_order_is_that_of_the_filters() -> None:
    recipe = recipe_with({word: default(word) for word in reversed(FILTER_NAMES)})
    assert list(chosen_filters(recipe)) == list(FILTER_NAMES)
