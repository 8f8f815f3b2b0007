"""Curves from log lines: rates, gaps, smoothing and scores."""

import numpy as np
import pytest

from qvl.training.loop.records import ScoreLine, StepLine
from qvl.training.pages.report.curves import POINTS, ScoreSeries, curves, scores, smooth
from qvl.training.pages.report.history import StageHistory
from tests.training.made_run import line


def history(*lines: StepLine) -> StageHistory:
    return StageHistory("sft", 100, list(lines), [], [], [], [])


def test_curves_give_rates_as_sums_over_sums() -> None:
    found = curves(history(line(0), line(1, seconds=8.0, data_wait=1.0, tokens=20)))
    assert found.step == [0, 1]
    assert found.samples_per_second == [5.0, 1.25]
    assert found.tokens_per_second == [40.0, 2.5]
    assert found.useful == [0.8, 0.2]
    assert found.data_wait == [0.25, 0.125]
    assert found.mfu == [None, None]
    many = [line(step, seconds=1.0 if step % 2 else 3.0) for step in range(2 * POINTS)]
    assert set(curves(history(*many)).samples_per_second) == {5.0}  # 20 samples in 4 s, not the mean of 10 and 3.3


def test_curves_when_a_run_is_long_keep_at_most_the_points_shown_and_lose_no_peak() -> None:
    lines = [line(step, loss=9.0 if step == 777 else 2.0) for step in range(5 * POINTS + 3)]
    found = curves(history(*lines))
    assert len(found.step) <= POINTS and found.step[-1] == 5 * POINTS + 2
    assert max(found.loss_high) == 9.0 and min(found.loss_low) == 2.0
    assert {len(getattr(found, name)) for name in ("loss", "loss_smooth", "lr", "useful")} == {len(found.step)}


def test_curves_when_steps_are_skipped_leave_a_gap_and_give_them_no_weight() -> None:
    found = curves(history(line(0), line(1, loss=None, grad_norm=None, skipped=True), line(2, loss=4.0)))
    assert found.loss == [2.0, None, 4.0] and found.skipped == [1]
    assert found.grad_norm == [1.0, None, 1.0]
    assert all(2.0 <= value <= 4.0 for value in found.loss_smooth)
    broken = curves(history(line(0), line(1, loss_by_source={"a": (float("nan"), 20)})))
    assert broken.by_source == {"a": [2.0, 2.0]}


def test_curves_by_source_weigh_tokens_and_leave_out_sources_without_any() -> None:
    lines = [
        line(step, loss_by_source={"a": (10.0, 10) if step % 2 else (30.0, 10), "b": (0, 0)}) for step in range(400)
    ]
    found = curves(history(*lines)).by_source
    assert list(found) == ["a"] and found["a"][200] == pytest.approx(2.0, abs=0.2)
    assert curves(history(*lines)).by_class == {"text": [2.0] * 400}


def test_smooth_keeps_a_constant_and_has_no_lag() -> None:
    assert smooth(np.full(500, 3.0), np.ones(500)) == pytest.approx(np.full(500, 3.0))
    slope = np.arange(1000.0)
    assert smooth(slope, np.ones(1000))[500] == pytest.approx(500.0, abs=0.01)
    assert np.isnan(smooth(np.full(3, np.nan), np.zeros(3))).all()


def test_scores_are_series_by_task_and_metric_in_order_of_steps() -> None:
    logged = [
        ScoreLine(9, "vqa", {"vqa_score": 30.0, "samples": 64}),
        ScoreLine(4, "vqa", {"vqa_score": 10.0, "samples": 64}),
    ]
    stage = StageHistory("sft", 10, [line(0)], logged, [], [], [])
    assert scores(stage) == {"vqa · vqa_score": ScoreSeries([4, 9], [10.0, 30.0])}
