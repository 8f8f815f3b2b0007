"""Suppression of rows over near hashes, against the plain rule, in one piece and in many."""

import numpy as np
import pytest

import qvl.pipeline.duplicates.near_rows
from qvl.pipeline.duplicates.near import near_pairs
from qvl.pipeline.duplicates.near_rows import Indices, joined, row_pairs, suppress

RADIUS = 3


def plain(hashes: np.ndarray, tints: np.ndarray) -> dict[int, int]:
    """Each loser with its keeper: from the best row down, a row stays unless one that stays is near it."""
    stays: list[int] = []
    lost: dict[int, int] = {}
    for row in range(len(hashes)):
        near = [
            other
            for other in stays
            if (int(hashes[row]) ^ int(hashes[other])).bit_count() <= RADIUS and abs(tints[row] - tints[other]) <= 1
        ]
        if near:
            lost[row] = near[0]
        else:
            stays.append(row)
    return lost


def suppressed(hashes: np.ndarray, tints: np.ndarray) -> dict[int, int]:
    def alike(one: Indices, other: Indices) -> np.ndarray:
        return np.abs(tints[one] - tints[other]) <= 1

    losers, keepers = suppress(hashes, near_pairs(hashes, RADIUS), alike)
    return dict(zip(losers.tolist(), keepers.tolist(), strict=True))


@pytest.mark.parametrize("at_once", [1, 1 << 22])
@pytest.mark.parametrize("tints_of", [2, 12, 400])
@pytest.mark.parametrize("seed", range(6))
def test_suppress_when_rows_form_clumps_equals_the_plain_rule(
    monkeypatch: pytest.MonkeyPatch, at_once: int, tints_of: int, seed: int
) -> None:
    monkeypatch.setattr(qvl.pipeline.duplicates.near_rows, "PAIRS_AT_ONCE", at_once)
    made = np.random.default_rng(seed)
    centres = made.integers(0, 2**63, 3, dtype=np.uint64)
    flips = np.uint64(1) << made.integers(0, 12, (150, 2), dtype=np.uint64)
    hashes = centres[made.integers(0, 3, 150)] ^ flips[:, 0] ^ flips[:, 1]
    tints = made.integers(0, tints_of, 150)
    assert suppressed(hashes, tints) == plain(hashes, tints)


def test_suppress_when_a_clump_has_a_billion_pairs_forms_few_of_them() -> None:
    rows, compared = 60_000, 0
    tints = np.random.default_rng(0).integers(0, 3, rows)

    def alike(one: Indices, other: Indices) -> np.ndarray:
        nonlocal compared
        compared += len(one)
        return np.abs(tints[one] - tints[other]) <= 1

    hashes = np.full(rows, 77, np.uint64)
    losers, keepers = suppress(hashes, near_pairs(hashes, RADIUS), alike)
    assert compared < 200 * rows
    assert len(losers) == rows - len(set(keepers.tolist()) | ({0} if tints[0] == 1 else set()))


def test_suppress_when_there_are_no_rows_or_no_pairs_drops_nothing() -> None:
    for hashes in (np.empty(0, np.uint64), np.array([1, 2**40 - 1], np.uint64)):
        assert suppressed(hashes, np.zeros(len(hashes), np.int64)) == {}


def test_joined_when_two_numbers_are_near_joins_every_position_of_the_one_with_every_position_of_the_other() -> None:
    left, right = np.array([0, 9, 0]), np.array([9, 1, 9, 1, 1])
    one, other = joined(left, right, np.array([0]), np.array([1]))
    pairs = zip(one.tolist(), other.tolist(), strict=True)
    assert list(pairs) == [(0, 1), (0, 3), (0, 4), (2, 1), (2, 3), (2, 4)]


def test_row_pairs_when_two_hashes_are_near_joins_every_row_of_the_one_with_every_row_of_the_other() -> None:
    better, worse = row_pairs(np.array([0, 1, 0, 1, 1]), np.array([0]), np.array([1]))
    assert list(zip(better.tolist(), worse.tolist(), strict=True)) == [(0, 1), (0, 3), (0, 4), (1, 2), (2, 3), (2, 4)]


def test_row_pairs_when_a_hash_is_near_itself_joins_each_pair_of_its_rows_once() -> None:
    better, worse = row_pairs(np.array([0, 0, 0]), np.array([0]), np.array([0]))
    assert list(zip(better.tolist(), worse.tolist(), strict=True)) == [(0, 1), (0, 2), (1, 2)]
