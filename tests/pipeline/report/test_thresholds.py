"""Every filter can be shown, and every threshold is the edge of a bin."""

from typing import Any

import numpy as np
import pytest

from qvl.pipeline.filters import FILTER_WORDS, Filters
from qvl.pipeline.recipe.recipe import Recipe
from qvl.pipeline.report.thresholds import NumberGauge, WordGauge, about, chosen_filters, gauges

SOURCE = {"read": {"kind": "webdataset", "paths": ["x.tar"]}}


def recipe_with(filters: dict[str, Any], other: dict[str, Any] | None = None) -> Recipe:
    sources = [{"name": "one", **SOURCE}, {"name": "two", **SOURCE, "filters": other or {}}]
    return Recipe.model_validate({"name": "made", "sources": sources, "filters": filters})


def default(word: str) -> dict[str, Any]:
    return {"minimum": 0.25} if word == "clip" else {}


@pytest.mark.parametrize("word", FILTER_WORDS)
def test_every_filter_has_a_gauge_and_a_line_of_explanation(word: str) -> None:
    recipe = recipe_with({word: default(word)})
    made = gauges(recipe)
    assert {gauge.word for gauge in made} == {word}
    assert all(gauge.judged == {"one", "two"} for gauge in made)
    assert len(about(chosen_filters(recipe)[word]["one"])) > 15


@pytest.mark.parametrize("word", FILTER_WORDS)
def test_thresholds_are_edges_and_edges_rise(word: str) -> None:
    for gauge in gauges(recipe_with({word: default(word)})):
        if isinstance(gauge, NumberGauge):
            assert (np.diff(gauge.edges) > 0).all()
            low, high = gauge.limits("one")
            if low is not None:
                assert low in gauge.edges
            if high is not None:
                assert high + (1 if gauge.integer else 0) in gauge.edges


def test_thresholds_of_all_sources_are_edges() -> None:
    recipe = recipe_with({"clip": {"minimum": 0.2837}}, {"clip": {"minimum": 0.2853}})
    (gauge,) = gauges(recipe)
    assert isinstance(gauge, NumberGauge)
    single = [float(np.float32(limit)) for limit in (0.2837, 0.2853)]
    assert [gauge.limits(source)[0] for source in ("one", "two")] == single
    assert set(single) <= set(gauge.edges.tolist())


def test_a_source_without_the_filter_is_not_judged() -> None:
    (gauge,) = gauges(recipe_with({"emoji": {}}, {"emoji": None}))
    assert gauge.judged == {"one"}


def test_a_set_with_a_bound_that_binds_is_shown_as_both() -> None:
    kinds = [type(gauge) for gauge in gauges(recipe_with({"language": {"minimum_probability": 0.5}}))]
    assert kinds == [WordGauge, NumberGauge]
    assert [type(gauge) for gauge in gauges(recipe_with({"language": {}}))] == [WordGauge]


def test_the_order_is_that_of_the_filters() -> None:
    recipe = recipe_with({word: default(word) for word in reversed(FILTER_WORDS)})
    assert list(chosen_filters(recipe)) == list(Filters.model_fields)
