"""The counts of a step over its ranks."""

from qvl.training.loop.counts import StepCounts


def test_counts_over_ranks_are_sums_with_the_longest_wait_and_any_stop() -> None:
    first = StepCounts(5, 2, 7, 8, 1, 0, 1, 0.25, False, 42)
    second = StepCounts(1, 1, 3, 4, 0, 2, 0, 0.5, True, 42)
    assert StepCounts.over_ranks([first, second]) == StepCounts(6, 3, 10, 12, 1, 2, 1, 0.5, True, 42)
    assert StepCounts.over_ranks([first]) == first
