"""When a stage skips a step and when it gives up: losses that are not usable, and samples that are damaged."""

import math
from pathlib import Path

from qvl.pipeline.base.errors import DataError
from qvl.training.data.steps import RejectedSample
from qvl.training.loop.records import Progress
from qvl.training.recipe import StageSpec

SMOOTHING = 0.95
"""Weight of the past in the running mean of the loss."""
SETTLED = 20
"""Steps after which the running mean is trusted."""
ALLOWED_DAMAGED = 10
"""Damaged samples that never stop a run, whatever its tolerance."""


def loss_is_usable(loss: float, progress: Progress, spike: float) -> bool:
    """Whether a loss is finite and at most ``spike`` times the running mean."""
    if not math.isfinite(loss):
        return False
    return progress.loss is None or progress.counted < SETTLED or loss <= spike * progress.loss


def count_loss(loss: float, progress: Progress) -> None:
    """Take the loss of a step that was not skipped into the running mean."""
    progress.loss = loss if progress.loss is None else SMOOTHING * progress.loss + (1 - SMOOTHING) * loss
    progress.counted += 1
    progress.skipped = 0


def check_damaged(progress: Progress, stage: StageSpec, folder: Path, last: list[RejectedSample]) -> None:
    """Raise DataError where more samples are damaged than the recipe tolerates. ``last``: those of the present step."""
    if progress.damaged > max(ALLOWED_DAMAGED, stage.tolerance.damaged * progress.samples):
        example = f" (the last is {last[-1].key} in {last[-1].shard}: {last[-1].reason})" if last else ""
        raise DataError(
            f"stage {stage.label}: {progress.damaged} damaged samples of {progress.samples} read{example}, more than the "
            f"tolerance of {stage.tolerance.damaged:.2%} and more than {ALLOWED_DAMAGED}; all are in "
            f"{folder / 'quarantine.jsonl'}"
        )


def check_skipped(progress: Progress, stage: StageSpec, folder: Path, loss: float | None) -> None:
    """Raise DataError where more steps in a row were skipped than the recipe tolerates. ``loss``: of the last one."""
    if progress.skipped > stage.tolerance.skipped:
        raise DataError(
            f"stage {stage.label}: {progress.skipped} steps in a row without a usable loss (the last: {loss}); their "
            f"samples are in {folder / 'spikes.jsonl'}; lower the learning rate or look at the samples"
        )
