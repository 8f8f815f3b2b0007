"""When a step is skipped and when a stage gives up."""

import math
from pathlib import Path

import pytest

from qvl.pipeline.base.errors import DataError
from qvl.training.data.steps import RejectedSample
from qvl.training.loop.policies import (
    ALLOWED_DAMAGED,
    SETTLED,
    check_damaged,
    check_skipped,
    count_loss,
    loss_is_usable,
)
from qvl.training.loop.records import Progress
from qvl.training.recipe import StageSpec
from tests.training.made import stage

SPEC = StageSpec.model_validate(stage(tolerance={"damaged": 0.1, "skipped": 2}))


def test_a_loss_is_unusable_when_it_is_not_finite_or_far_above_a_settled_mean() -> None:
    progress = Progress.at_start()
    assert not loss_is_usable(math.nan, progress, 3.0) and not loss_is_usable(math.inf, progress, 3.0)
    for _ in range(SETTLED - 1):
        count_loss(2.0, progress)
    assert loss_is_usable(100.0, progress, 3.0)
    count_loss(2.0, progress)
    assert progress.loss == pytest.approx(2.0)
    assert loss_is_usable(6.0, progress, 3.0) and not loss_is_usable(6.1, progress, 3.0)


def test_a_counted_loss_ends_a_row_of_skipped_steps() -> None:
    progress = Progress.at_start()
    progress.skipped = 2
    count_loss(4.0, progress)
    count_loss(8.0, progress)
    assert progress.skipped == 0 and progress.counted == 2 and progress.loss == pytest.approx(4.2)


def test_damaged_samples_stop_a_stage_above_its_share_and_never_below_ten(tmp_path: Path) -> None:
    progress = Progress.at_start()
    progress.samples, progress.damaged = 20, ALLOWED_DAMAGED
    check_damaged(progress, SPEC, tmp_path, [])
    progress.damaged += 1
    with pytest.raises(DataError, match=r"11 damaged samples of 20 read \(the last is key in a\.tar: cut\).*10.00%"):
        check_damaged(progress, SPEC, tmp_path, [RejectedSample("key", "a.tar", "cut")])
    progress.samples = 110
    check_damaged(progress, SPEC, tmp_path, [])


def test_more_skipped_steps_in_a_row_than_tolerated_stop_a_stage(tmp_path: Path) -> None:
    progress = Progress.at_start()
    progress.skipped = 2
    check_skipped(progress, SPEC, tmp_path, None)
    progress.skipped = 3
    with pytest.raises(DataError, match=r"3 steps in a row without a usable loss.*spikes\.jsonl"):
        check_skipped(progress, SPEC, tmp_path, None)
