"""The rows nearest to a threshold: the same ones in any order of units, and the same as sorting everything."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from qvl.pipeline.report.nearest import Nearest, Pick, ranks


def offered(units: dict[str, list[int]], order: list[str], k: int, seed: int = 0) -> list[Pick]:
    near = Nearest(k)
    for unit in order:
        distance = np.array(units[unit], float)
        near.offer(unit, np.arange(len(distance)), distance, ranks(seed, unit, len(distance)), distance)
    return near.picks


def by_sorting(units: dict[str, list[int]], k: int, seed: int = 0) -> list[Pick]:
    rows = [
        (distance, int(rank), Pick(unit, row, float(distance)))
        for unit, distances in units.items()
        for row, (distance, rank) in enumerate(zip(distances, ranks(seed, unit, len(distances)), strict=True))
    ]
    return [pick for _, _, pick in sorted(rows, key=lambda each: each[:2])[:k]]


distances = st.dictionaries(st.sampled_from("abcdef"), st.lists(st.integers(0, 3), min_size=1, max_size=40))


@given(distances, st.integers(1, 8), st.randoms())
def test_the_same_as_sorting_in_any_order_of_units(units: dict[str, list[int]], k: int, random: object) -> None:
    order = list(units)
    random.shuffle(order)  # type: ignore[attr-defined]
    assert offered(units, order, k) == by_sorting(units, k)


def test_the_seed_decides_between_equal_rows() -> None:
    units = {"a": [0] * 1000}
    chosen = {tuple(pick.row for pick in offered(units, ["a"], 6, seed)) for seed in range(5)}
    assert len(chosen) == 5
    assert offered(units, ["a"], 6, 3) == offered(units, ["a"], 6, 3)
