"""The numbers of one step before its first forward pass, of one rank and of all."""

from collections.abc import Sequence
from dataclasses import dataclass

from qvl.training.data.loader import LoadedStep


@dataclass(frozen=True, slots=True)
class StepCounts:
    """What a step holds, on one rank or summed over all of them.

    ``supervised``: tokens with a loss. ``positions``: tokens with padding. ``wait``: seconds spent waiting for data, the
    longest of any rank. ``stop``: whether any rank was asked to stop. ``plan``: the first 48 bits of the data receipt, equal
    on all ranks that planned the same samples.
    """

    supervised: int
    samples: int
    tokens: int
    positions: int
    images: int
    damaged: int
    unusable: int
    wait: float
    stop: bool
    plan: int

    @staticmethod
    def of_rank(loaded: LoadedStep, stop: bool) -> "StepCounts":
        """The counts of this rank's micro-batches."""
        batches = loaded.batches
        return StepCounts(
            supervised=sum(batch.supervised for batch in batches),
            samples=sum(batch.samples for batch in batches),
            tokens=sum(batch.tokens for batch in batches),
            positions=sum(batch.ids.numel() for batch in batches),
            images=sum(0 if batch.pixels is None else len(batch.pixels) for batch in batches),
            damaged=sum(len(batch.damaged) for batch in batches),
            unusable=sum(len(batch.unusable) for batch in batches),
            wait=loaded.wait,
            stop=stop,
            plan=int(loaded.step.after.receipt[:12] or "0", 16),
        )

    @staticmethod
    def over_ranks(ranks: "Sequence[StepCounts]") -> "StepCounts":
        """The counts of a step from those of its ranks."""
        return StepCounts(
            supervised=sum(rank.supervised for rank in ranks),
            samples=sum(rank.samples for rank in ranks),
            tokens=sum(rank.tokens for rank in ranks),
            positions=sum(rank.positions for rank in ranks),
            images=sum(rank.images for rank in ranks),
            damaged=sum(rank.damaged for rank in ranks),
            unusable=sum(rank.unusable for rank in ranks),
            wait=max(rank.wait for rank in ranks),
            stop=any(rank.stop for rank in ranks),
            plan=ranks[0].plan,
        )
