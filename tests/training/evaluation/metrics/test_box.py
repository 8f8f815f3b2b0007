"""The overlap of an answered box with the nearest true one."""

import pytest

from qvl.training.evaluation.metrics.box import best_iou


def test_best_iou_is_that_of_the_nearest_truth_and_zero_without_a_box() -> None:
    assert best_iou((0, 0, 1, 1), [(5, 5, 6, 6), (0, 0, 1, 2)]) == pytest.approx(0.5)
    assert best_iou(None, [(0, 0, 1, 1)]) == 0.0
