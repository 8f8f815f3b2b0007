"""The order of a dataset: every kept row once, and the same order for every shard size."""

from hypothesis import example, given
from hypothesis import strategies as st

from qvl.pipeline.shards.order import ShardPlan, Window, shard_plans, windows

KEPT = st.lists(st.integers(0, 12), max_size=14).map(lambda rows: [(f"u{i}", n) for i, n in enumerate(rows)])


def rows_of(plan: ShardPlan, seed: int) -> list[tuple[str, int]]:
    """(unit, rank) of every row of a shard."""
    rows = []
    for window in plan.windows:
        owners, ranks = window.rows(seed, plan.first, plan.last)
        rows += [(window.units[unit], int(rank)) for unit, rank in zip(owners, ranks, strict=True)]
    return rows


def dataset(kept: list[tuple[str, int]], seed: int, window_units: int, shard_rows: int) -> list[tuple[str, int]]:
    plans = shard_plans("d", shard_rows, windows(seed, window_units, kept))
    return [row for plan in plans for row in rows_of(plan, seed)]


@given(KEPT, st.integers(0, 3), st.integers(1, 6), st.integers(1, 40))
@example([("a", 0)], 0, 1, 1)
def test_shards_contain_every_kept_row_exactly_once(
    kept: list[tuple[str, int]], seed: int, window_units: int, shard_rows: int
) -> None:
    found = dataset(kept, seed, window_units, shard_rows)
    assert sorted(found) == sorted((unit, rank) for unit, rows in kept for rank in range(rows))


@given(KEPT, st.integers(0, 3), st.integers(1, 6), st.integers(1, 40), st.integers(1, 40))
def test_order_does_not_depend_on_the_shard_size(
    kept: list[tuple[str, int]], seed: int, window_units: int, one: int, other: int
) -> None:
    assert dataset(kept, seed, window_units, one) == dataset(kept, seed, window_units, other)


@given(KEPT, st.randoms(use_true_random=False))
def test_order_does_not_depend_on_the_order_of_the_units(kept: list[tuple[str, int]], random: object) -> None:
    shuffled = sorted(kept, key=lambda _: random.random())  # type: ignore[attr-defined]
    assert dataset(kept, 7, 3, 5) == dataset(shuffled, 7, 3, 5)


@given(KEPT, st.integers(1, 40))
def test_shard_plans_fill_all_shards_but_the_last_and_name_their_windows(
    kept: list[tuple[str, int]], shard_rows: int
) -> None:
    order = windows(0, 2, kept)
    plans = shard_plans("d", shard_rows, order)
    total = sum(rows for _, rows in kept)
    assert [plan.last - plan.first for plan in plans[:-1]] == [shard_rows] * (len(plans) - 1)
    assert sum(plan.last - plan.first for plan in plans) == total
    for plan in plans:
        overlapping = [window for window in order if window.start < plan.last and window.end > plan.first]
        assert list(plan.windows) == overlapping
    assert [plan.name for plan in plans] == [f"d-{i:06d}" for i in range(len(plans))]


def test_order_when_the_seed_differs_changes_units_and_rows() -> None:
    kept = [(f"u{i}", 20) for i in range(20)]
    one, other = (dataset(kept, seed, 4, 50) for seed in (0, 1))
    assert sorted(one) == sorted(other)
    assert one != other
    assert [unit for unit, _ in one] != sorted(unit for unit, _ in one)


def test_rows_are_shuffled_inside_a_window_and_never_across_windows() -> None:
    kept = [(f"u{i}", 10) for i in range(8)]
    order = windows(0, 4, kept)
    found = dataset(kept, 0, 4, 7)
    halves = [{unit for unit, _ in half} for half in (found[:40], found[40:])]
    assert halves == [set(window.units) for window in order]
    assert len({unit for unit, _ in found[:10]}) > 1


def test_order_of_a_fixed_input_never_changes() -> None:
    assert dataset([("a", 2), ("b", 3)], 0, 2, 10) == [("b", 0), ("b", 1), ("a", 0), ("a", 1), ("b", 2)]
    assert windows(0, 2, []) == []
    assert shard_plans("d", 5, []) == []
    assert windows(5, 9, [("a", 3)]) == [Window(("a",), (3,), 0)]
