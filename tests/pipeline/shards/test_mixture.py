"""The order of a mixture: exact shares, whole epochs, and random access to any range of positions."""

import itertools
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qvl.pipeline.base.errors import RecipeError
from qvl.pipeline.shards.mixture import Component, Mixture


def component(name: str, shards: list[int], weight: float) -> Component:
    return Component(name, tuple((f"{name}-{at:06d}", rows) for at, rows in enumerate(shards)), weight)


def three() -> list[Component]:
    return [component("a", [7, 5, 11], 0.7), component("b", [100], 0.25), component("c", [3, 3], 0.05)]


def rows(mixture: Mixture, first: int, last: int) -> list[tuple[int, ...]]:
    draws = mixture.draws(first, last)
    return list(
        zip(draws.component.tolist(), draws.epoch.tolist(), draws.shard.tolist(), draws.rank.tolist(), strict=True)
    )


def test_draws_when_positions_are_split_differently_are_the_same() -> None:
    whole = rows(Mixture(three(), 5, window=2), 0, 5000)
    pieces, cuts = Mixture(three(), 5, window=2), [0, 1, 17, 1023, 1024, 1025, 3000, 5000]
    assert [row for a, b in itertools.pairwise(cuts) for row in rows(pieces, a, b)] == whole
    assert rows(Mixture(three(), 5, window=2), 4321, 4400) == whole[4321:4400]


def test_draws_in_an_epoch_contain_every_row_once_and_the_next_epoch_has_another_order() -> None:
    mixture = Mixture([component("a", [7, 5, 11], 1.0)], 3, window=2)
    first, second = rows(mixture, 0, 23), rows(mixture, 23, 46)
    assert sorted(row[2:] for row in first) == [(s, r) for s, n in enumerate([7, 5, 11]) for r in range(n)]
    assert sorted(row[2:] for row in second) == sorted(row[2:] for row in first)
    assert [row[2:] for row in second] != [row[2:] for row in first]
    assert {row[1] for row in first} == {0} and {row[1] for row in second} == {1}


def test_draws_before_a_block_are_exact_shares_without_drift() -> None:
    mixture = Mixture(three(), 1)
    for blocks in (1, 7, 1000):
        draws = mixture.draws_before(blocks)
        assert sum(draws) == blocks * mixture.block
        for count, share in zip(draws, (0.7, 0.25, 0.05), strict=True):
            assert abs(count - share * blocks * mixture.block) <= 1


def test_draws_when_the_seed_differs_have_another_order() -> None:
    assert rows(Mixture(three(), 1), 0, 500) != rows(Mixture(three(), 2), 0, 500)
    assert rows(Mixture(three(), 1), 0, 500) == rows(Mixture(three(), 1), 0, 500)


def test_draws_when_the_position_is_far_away_need_no_earlier_ones() -> None:
    mixture = Mixture(three(), 9)
    far = 10**12
    assert len(rows(mixture, far, far + 3)) == 3


def test_near_names_the_shards_of_the_current_and_the_next_window_across_epochs() -> None:
    mixture = Mixture([component("a", [2, 2, 2, 2], 1.0)], 3, window=2)
    names = [name for name, _ in mixture.components[0].shards]
    windows = [{names[s] for s in Mixture(mixture.components, 3, window=2).draws(at, at + 4).shard} for at in (0, 4, 8)]
    for at in (0, 4):
        mixture.draws(at, at + 4)
        near = mixture.near(0)
        assert set(near[:2]) == windows[at // 4] and set(near[2:]) == windows[at // 4 + 1]


def test_draws_from_a_billion_samples_need_little_memory() -> None:
    shards = tuple((f"big-{at:06d}", 10_000) for at in range(100_000))
    tracemalloc.start()
    mixture = Mixture([Component("big", shards, 1.0)], 0)
    draws = mixture.draws(123_456_789, 123_457_789)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(draws) == 1000
    assert peak < 300 << 20


def test_mixture_when_components_contradict_each_other_raises_recipe_error() -> None:
    with pytest.raises(RecipeError, match="at least one"):
        Mixture([], 0)
    with pytest.raises(RecipeError, match="empty: no sample"):
        Mixture([Component("empty", (), 1.0)], 0)
    with pytest.raises(RecipeError, match="weight 0"):
        Mixture([component("a", [1], 0)], 0)
    with pytest.raises(RecipeError, match="too small"):
        Mixture([component("a", [1], 1), component("b", [1], 1e-9)], 0)


@settings(max_examples=30, deadline=None)
@given(
    st.lists(
        st.tuples(st.lists(st.integers(1, 9), min_size=1, max_size=5), st.floats(0.01, 10)), min_size=1, max_size=5
    ),
    st.integers(0, 10_000),
    st.integers(1, 400),
)
def test_draws_of_a_component_go_through_its_epochs_in_order(
    parts: list[tuple[list[int], float]], start: int, n: int
) -> None:
    mixture = Mixture([component(f"p{at}", sizes, weight) for at, (sizes, weight) in enumerate(parts)], 4, window=2)
    draws = mixture.draws(start, start + n)
    assert len(draws) == n
    for number, (sizes, _) in enumerate(parts):
        here = draws.component == number
        assert (np.diff(draws.epoch[here]) >= 0).all()
        for epoch in np.unique(draws.epoch[here]):
            seen = [(s, r) for s, r in zip(draws.shard[here & (draws.epoch == epoch)].tolist(),
                                           draws.rank[here & (draws.epoch == epoch)].tolist(), strict=True)]  # fmt: skip
            assert len(seen) == len(set(seen))
            assert all(0 <= r < sizes[s] for s, r in seen)
