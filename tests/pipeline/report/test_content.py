"""From counts to the records of a report."""

from typing import Any

import pytest

from qvl.pipeline.curate.selection.ledger import read_ledger
from qvl.pipeline.report import content
from qvl.pipeline.report.figures import Figures, collect
from qvl.pipeline.report.thresholds import NumberThreshold, chosen_filters
from tests.pipeline.report.conftest import Run


@pytest.fixture(scope="module")
def figures(finished: Run) -> Figures:
    return collect(finished.out, finished.recipe, None, lambda rows: None)


@pytest.fixture(scope="module")
def rows(finished: Run) -> list[dict[str, Any]]:
    return [row for _, table in read_ledger(finished.out) for row in table.to_pylist()]


def test_the_mix_counts_every_row_once(figures: Figures, finished: Run, rows: list[dict[str, Any]]) -> None:
    mix = content.mix(figures, finished.recipe)
    assert sum(cell[4] for cell in mix.cells) == len(rows)
    assert sum(cell[5] for cell in mix.cells) == figures.kept
    sources, resolutions = mix.dimensions["source"], mix.dimensions["resolution"]
    small = [c for c in mix.cells if sources[c[0]] == "two" and resolutions[c[2]] == "under 200"]
    assert sum(cell[4] for cell in small) == sum(row["source"] == "two" and row["fault"] is None for row in rows)


def test_the_funnel_ends_at_what_was_kept(figures: Figures, finished: Run) -> None:
    funnel = content.funnel(figures, finished.recipe)
    assert funnel.steps[-1].left == funnel.kept
    for source in funnel.sources:
        dropped = sum(step.dropped[source] for step in funnel.steps)
        assert funnel.rows[source] - dropped == funnel.kept[source]
    order = [step.reason for step in funnel.steps]
    assert order == ["unreadable", *chosen_filters(finished.recipe), "duplicate_image", "repeated_text"]


def test_folded_histograms_lose_no_row(figures: Figures) -> None:
    for tally in figures.tallies:
        if isinstance(tally.threshold, NumberThreshold):
            chart = content.number_chart(tally, tally.threshold)
            for source, counts in chart.every.items():
                assert len(counts) == len(chart.edges) + 1
                assert sum(counts) == tally.every[source].sum()
