"""The streamed counts are those of plain Python over all rows of the ledger at once."""

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from qvl.pipeline.curate.selection.ledger import read_ledger
from qvl.pipeline.filters import FILTER_NAMES
from qvl.pipeline.report.figures import Figures, collect
from qvl.pipeline.report.thresholds import NumberThreshold
from tests.pipeline.report.conftest import Run


@pytest.fixture(scope="module")
def figures(finished: Run) -> Figures:
    return collect(finished.out, finished.recipe, None, lambda rows: None)


@pytest.fixture(scope="module")
def rows(finished: Run) -> list[dict[str, Any]]:
    return [row for _, table in read_ledger(finished.out) for row in table.to_pylist()]


def judged_value(word: str, row: dict[str, Any]) -> float:
    """What a filter compares, said once more in plain Python."""
    width, height = row["width"], row["height"]
    values = {
        "image_pixels": width * height,
        "image_size": min(width, height),
        "aspect_ratio": max(width, height) / min(width, height),
        "text_length": row["characters"],
        "characters": row["other"],
        "clip": row["clip"],
    }
    return float(values[word])


def test_verdicts_and_rows(figures: Figures, rows: list[dict[str, Any]]) -> None:
    assert figures.rows == len(rows)
    for source, counts in figures.verdicts.items():
        assert counts == Counter(row["verdict"] for row in rows if row["source"] == source)
    assert figures.kept == sum(row["verdict"] == "keep" for row in rows) > 0


def test_every_count_of_every_number_threshold(figures: Figures, rows: list[dict[str, Any]]) -> None:
    numbers = [tally for tally in figures.tallies if isinstance(tally.threshold, NumberThreshold)]
    assert len(numbers) == 6
    for tally in numbers:
        threshold = tally.threshold
        assert isinstance(threshold, NumberThreshold)
        bit = 1 << FILTER_NAMES.index(threshold.reason)
        for source in threshold.judged:
            own = [row for row in rows if row["source"] == source and row["fault"] is None]
            alone = [row for row in own if row["failed"] & ~bit == 0]
            assert tally.rows[source] == len(own)
            assert tally.every[source].sum() == len(own)
            assert tally.alone[source].sum() == len(alone)
            assert tally.failed[source] == sum(bool(row["failed"] & bit) for row in own)
            low, high = threshold.limits(source)
            for which, part in (("every", own), ("alone", alone)):
                passing = sum(_passes(judged_value(threshold.reason, row), low, high) for row in part)
                assert _between(threshold, getattr(tally, which)[source], low, high) == passing
                assert passing == sum(not row["failed"] & bit for row in part)


def _passes(value: float, low: float | None, high: float | None) -> bool:
    return (low is None or value >= low) and (high is None or value <= high)


def _between(threshold: NumberThreshold, counts: np.ndarray, low: float | None, high: float | None) -> int:
    """Rows between two thresholds by the bins alone: exact, because thresholds are edges."""
    edges = threshold.edges.tolist()
    first = 0 if low is None else edges.index(low) + 1
    last = len(counts) if high is None else edges.index(high + (1 if threshold.integer else 0)) + 1
    return int(counts[first:last].sum())


def test_galleries_hold_the_nearest_rows_of_each_side(figures: Figures, rows: list[dict[str, Any]]) -> None:
    tally = next(tally for tally in figures.tallies if tally.threshold.reason == "image_size")
    limits = {"one": 40, "two": 60}
    for side, passes in (("inside", True), ("outside", False)):
        distances = sorted(
            abs(min(row["width"], row["height"]) - limits[row["source"]])
            for row in rows
            if row["fault"] is None and (min(row["width"], row["height"]) >= limits[row["source"]]) is passes
        )
        near = tally.near["minimum", side]
        assert near.distance.tolist() == distances[: near.k]


def test_galleries_do_not_depend_on_the_run_but_on_the_seed(finished: Run, figures: Figures) -> None:
    again = collect(finished.out, finished.recipe, None, lambda rows: None)
    assert [t.near.keys() for t in again.tallies] == [t.near.keys() for t in figures.tallies]
    for mine, other in zip(again.tallies, figures.tallies, strict=True):
        for side, near in mine.near.items():
            assert [(p.unit, p.row) for p in near.picks] == [(p.unit, p.row) for p in other.near[side].picks]


def test_only_candidates_are_picked(finished: Run) -> None:
    none = collect(finished.out, finished.recipe, frozenset(), lambda rows: None)
    assert all(not tally.near for tally in none.tallies)
    assert none.tallies[0].rows.total() > 0


def test_progress_counts_every_row(finished: Run) -> None:
    seen: list[int] = []
    collect(Path(finished.out), finished.recipe, None, seen.append)
    assert len(seen) == 2 and sum(seen) == 18
