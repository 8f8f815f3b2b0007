"""Rates that are given, and rates that are measured on the first rows."""

from pathlib import Path

import pytest

from qvl.pipeline.base.errors import RecipeError
from qvl.pipeline.curate.rates import BYTES_PER_ROW, Rates, measure_rates, parse_rates
from tests.pipeline.curate.finished_run import curation
from tests.pipeline.samples import jpeg


def test_parse_rates_reads_stages_and_bytes() -> None:
    assert parse_rates(["scan=2900", "bytes_per_row=100"]) == Rates({"scan": 2900.0}, 100.0)
    assert parse_rates([]) == Rates({}, BYTES_PER_ROW)


@pytest.mark.parametrize("text", ["scan", "scan=", "scan=fast", "pack=3", "scan=0", "scan=-1", "scan=nan"])
def test_parse_rates_of_anything_else_raises(text: str) -> None:
    with pytest.raises(RecipeError, match=f"--rate {text}: "):
        parse_rates([text])


def test_measure_rates_counts_the_bytes_of_images_and_measures_each_stage(data: Path, tmp_path: Path) -> None:
    bound = curation(data, tmp_path / "out")
    tasks = [task for task in bound.scan_tasks() if task.unit.source == "disk"]
    found = measure_rates(bound.recipe, tasks)
    sizes = [len(jpeg(i if i < 2 else 200 + i)) for i in range(6)]
    assert found.bytes_per_row == pytest.approx(sum(sizes) / 6)
    assert set(found.per_second) == {"scan", "score"} and min(found.per_second.values()) > 0


def test_measure_rates_without_input_raises(data: Path, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="no input"):
        measure_rates(curation(data, tmp_path / "out").recipe, [])
