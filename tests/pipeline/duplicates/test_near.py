"""Near pairs against brute force, and the rows that stay against a second, plain implementation of the rule."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qvl.pipeline.duplicates.near import (
    MAX_RADIUS,
    PAIR,
    greedy_suppression,
    mixed,
    near_any,
    near_pairs,
    table_pairs,
    tables,
)
from qvl.pipeline.images.perceptual_hash import BITS, Hashes, distance


def planted(count: int, seed: int, spread: int = 6) -> Hashes:
    """Random hashes, of which a third are copies of others with up to ``spread`` bits flipped."""
    random = np.random.default_rng(seed)
    hashes = random.integers(0, 2**64, count, np.uint64, endpoint=False)
    copies = random.choice(count, count // 3, replace=False)
    for row in copies:
        flips = random.choice(BITS, random.integers(0, spread + 1), replace=False).astype(np.uint64)
        hashes[row] = hashes[random.integers(count)] ^ (np.uint64(1) << flips).sum(dtype=np.uint64)
    return hashes


def brute(hashes: Hashes, radius: int) -> np.ndarray:
    found = []
    for i in range(len(hashes) - 1):
        near = i + 1 + np.flatnonzero(distance(hashes[i + 1 :], hashes[i]) <= radius)
        pairs = np.empty(len(near), PAIR)
        pairs["low"], pairs["high"] = np.minimum(hashes[near], hashes[i]), np.maximum(hashes[near], hashes[i])
        found.append(pairs)
    return np.unique(np.concatenate([np.empty(0, PAIR), *found]))


@pytest.mark.parametrize("radius", range(MAX_RADIUS + 1))
@pytest.mark.parametrize("count", [0, 1, 2, 700, 3_000])
def test_near_pairs_equals_brute_force(count: int, radius: int) -> None:
    hashes = planted(count, seed=count + radius)
    expected = brute(hashes, radius)
    assert count < 700 or len(expected) > 20
    assert np.array_equal(near_pairs(hashes, radius), expected)


def test_near_pairs_of_50000_hashes_equals_brute_force() -> None:
    hashes = planted(50_000, seed=3)
    expected = brute(hashes, 3)
    assert len(expected) > 5_000
    assert np.array_equal(near_pairs(hashes, 3), expected)


@pytest.mark.parametrize("radius", range(1, MAX_RADIUS + 1))
@pytest.mark.parametrize("rows", [10, 10**6, 10**9])
def test_tables_when_at_most_radius_bits_flip_one_table_still_agrees(radius: int, rows: int) -> None:
    chosen = tables(radius, rows)
    random = np.random.default_rng(radius)
    for _ in range(500):
        flips = sum(1 << int(bit) for bit in random.choice(BITS, radius, replace=False))
        assert any(flips & table.key_mask == 0 for table in chosen)


def test_table_permute_and_restore_keep_every_bit() -> None:
    hashes = planted(100, 1)
    for table in (*tables(3, 10**7), *tables(4, 10**9)):
        moved = table.permute(hashes)
        assert np.array_equal(table.restore(moved), hashes)
        assert np.array_equal(distance(moved[1:], moved[:-1]), distance(hashes[1:], hashes[:-1]))
        top = moved >> np.uint64(BITS - table.key_bits)
        same = (hashes[1:] ^ hashes[:-1]) & np.uint64(table.key_mask) == 0
        assert np.array_equal(top[1:] == top[:-1], same)


def test_tables_when_there_are_more_rows_use_longer_keys() -> None:
    bits = [tables(3, rows)[0].key_bits for rows in (10**3, 10**5, 10**7, 10**10)]
    assert bits == sorted(bits)
    assert bits[-1] > bits[0]


def test_table_pairs_reports_each_pair_in_one_table_only() -> None:
    hashes = planted(2_000, 9)
    chosen = tables(3, 10**7)
    parts = [table_pairs(table.permute(hashes), i, chosen, 3) for i, table in enumerate(chosen)]
    together = np.concatenate(parts)
    assert len(np.unique(together)) == len(together)
    assert np.array_equal(np.unique(together), brute(hashes, 3))


def test_near_pairs_when_a_million_hashes_are_equal_gives_one_pair() -> None:
    assert near_pairs(np.full(1_000_000, 7, np.uint64), 3).tolist() == [(7, 7)]


def reference(pairs: list[tuple[int, int]], rows: int) -> dict[int, int]:
    """Row dropped -> row kept instead, decided row by row from the best."""
    kept: list[int] = []
    dropped = {}
    near = {frozenset(pair) for pair in pairs}
    for row in range(rows):
        better = [other for other in kept if frozenset((other, row)) in near]
        if better:
            dropped[row] = better[0]
        else:
            kept.append(row)
    return dropped


@settings(max_examples=300)
@given(st.sets(st.tuples(st.integers(0, 14), st.integers(0, 14)).filter(lambda p: p[0] < p[1])))
def test_greedy_suppression_equals_the_plain_rule(pairs: set[tuple[int, int]]) -> None:
    better, worse = (np.array([p[i] for p in sorted(pairs)], np.int64) for i in range(2))
    losers, keepers = greedy_suppression(better, worse, 15)
    assert dict(zip(losers.tolist(), keepers.tolist(), strict=True)) == reference(sorted(pairs), 15)


def test_greedy_suppression_in_a_chain_of_three_keeps_both_ends() -> None:
    losers, keepers = greedy_suppression(np.array([0, 1]), np.array([1, 2]), 3)
    assert (losers.tolist(), keepers.tolist()) == ([1], [0])


def test_greedy_suppression_in_a_long_chain_drops_every_other_row() -> None:
    chain = np.arange(2_000)
    losers, _ = greedy_suppression(chain[:-1], chain[1:], 2_000)
    assert losers.tolist() == list(range(1, 2_000, 2))


@pytest.mark.parametrize("radius", range(MAX_RADIUS + 1))
def test_near_any_equals_brute_force(radius: int) -> None:
    together = planted(3_000, seed=radius, spread=5)
    queries, targets = together[:2_000], together[2_000:]
    found = near_any(queries, targets, radius)
    near = distance(queries[:, None], targets[None, :]) <= radius
    assert np.array_equal(found, np.where(near.any(axis=1), near.argmax(axis=1), -1))
    assert (found >= 0).sum() > 50


def test_near_any_when_there_are_no_hashes_finds_nothing() -> None:
    queries = planted(5, 0)
    assert near_any(queries, np.empty(0, np.uint64), 3).tolist() == [-1] * 5
    assert len(near_any(np.empty(0, np.uint64), queries, 3)) == 0


def test_mixed_is_injective_and_spreads_values() -> None:
    values = np.arange(100_000, dtype=np.uint64)
    assert len(np.unique(mixed(values))) == len(values)
    assert np.bincount((mixed(values) >> np.uint64(60)).astype(np.int64)).min() > 5_900
