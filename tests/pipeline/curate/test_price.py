"""Prices are arithmetic on rates; rates are measured on real rows."""

from pathlib import Path

import pytest

from qvl.pipeline.base.errors import RecipeError
from qvl.pipeline.curate.curation import Curation
from qvl.pipeline.curate.plan import SourcePlan
from qvl.pipeline.curate.price import price, price_lines
from qvl.pipeline.curate.rates import Rates, measure_rates, parse_rates
from qvl.pipeline.recipe.recipe import Recipe, load_recipe
from tests.end_to_end.conftest import ROOT

RECIPE = load_recipe(ROOT / "examples" / "demo.yaml")
SOURCES = {
    "a": SourcePlan(units=4, bytes=8_000_000, reused=0, rows=0),
    "b": SourcePlan(units=2, bytes=2_000_000, reused=1, rows=500),
}


def test_hours_are_rows_over_rates() -> None:
    found = price(RECIPE, SOURCES, Rates({"scan": 10.0, "score": 5.0}, 1_000))
    assert (found.rows, found.rows_estimated, found.bytes) == (9_500, 9_000, 10_000_000)
    assert found.hours == {"scan": round(9_000 / 10 / 3600, 4), "score": round(9_500 / 5 / 3600, 4)}
    assert found.core_hours == pytest.approx(
        sum(hours for hours in found.hours.values() if hours is not None), abs=1e-4
    )
    assert found.gpu_hours is None


def test_clip_is_priced_in_gpu_hours_and_only_with_a_rate() -> None:
    clip = {"english": {"model": "ViT-B-32", "pretrained": "openai"}}
    recipe = Recipe.model_validate({**RECIPE.model_dump(mode="json"), "score": {"phash": {}, "clip": clip}})
    assert price(recipe, SOURCES, Rates({}, 1_000)).gpu_hours is None
    assert "give --rate clip=" in price_lines(price(recipe, SOURCES, Rates({}, 1_000)))[-1]
    found = price(recipe, SOURCES, parse_rates(["clip=9500", "bytes_per_row=1000"]))
    assert found.gpu_hours == round(1 / 3600, 4)


@pytest.mark.parametrize("text", ["scan", "scan=fast", "scan=0", "pack=10", "=3"])
def test_a_rate_that_makes_no_sense_is_one_line(text: str) -> None:
    with pytest.raises(RecipeError, match="--rate"):
        parse_rates([text])


def test_clip_is_measured_where_the_recipe_asks_for_it(tmp_path: Path) -> None:
    recipe = load_recipe(ROOT / "examples" / "demo_clip.yaml")
    rates = measure_rates(recipe, Curation(recipe, tmp_path).scan_tasks())
    assert rates.per_second["clip"] > 1
    found = price(recipe, SOURCES, rates)
    assert (found.hours["clip"] or 0) > 0
    unit = "GPU-hours" if rates.clip_on == "gpu" else "core-hours"
    assert unit in price_lines(found)[-1]
    assert (found.gpu_hours is None) == (rates.clip_on == "core")


def test_rates_of_this_machine(tmp_path: Path) -> None:
    rates = measure_rates(RECIPE, Curation(RECIPE, tmp_path).scan_tasks())
    assert min(rates.per_second[stage] for stage in ("scan", "score")) > 5
    assert 5_000 < rates.bytes_per_row < 200_000
