"""Rows that stay in a cluster, compared with brute force over all pairs in integers."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import qvl.pipeline.duplicates.semantic
from qvl.pipeline.duplicates.kmeans import GRID, Grid, on_grid
from qvl.pipeline.duplicates.semantic import cluster_losers
from tests.pipeline.duplicates.test_kmeans import unit_vectors


def clustered_vectors(count: int, seed: int, spread: float, width: int = 32) -> Grid:
    """Vectors around a few directions, so that pairs are on both sides of a threshold."""
    random = np.random.default_rng(seed)
    middles = unit_vectors(max(1, count // 6), seed, width).astype(np.float64)
    values = middles[random.integers(0, len(middles), count)] + random.normal(size=(count, width)) * spread
    return on_grid((values / np.linalg.norm(values, axis=1, keepdims=True)).astype(np.float16))


def brute_force(vectors: Grid, similarity: float) -> dict[int, int]:
    """Row dropped -> best near row that is kept, decided row by row from the best."""
    products = vectors.astype(np.int64) @ vectors.astype(np.int64).T
    kept: list[int] = []
    dropped: dict[int, int] = {}
    for row in range(len(vectors)):
        near = [other for other in kept if products[row, other] >= similarity * GRID * GRID]
        if near:
            dropped[row] = near[0]
        else:
            kept.append(row)
    return dropped


@pytest.mark.parametrize(("block", "staying"), [(1_024, 8_192), (7, 5), (1, 1)])
@pytest.mark.parametrize("similarity", [0.8, 0.95])
def test_cluster_losers_equals_brute_force(
    monkeypatch: pytest.MonkeyPatch, block: int, staying: int, similarity: float
) -> None:
    monkeypatch.setattr(qvl.pipeline.duplicates.semantic, "BLOCK", block)
    monkeypatch.setattr(qvl.pipeline.duplicates.semantic, "STAYING", staying)
    for seed in range(4):
        vectors = clustered_vectors(150, seed, 0.06)
        expected = brute_force(vectors, similarity)
        assert 0 < len(expected) < 140
        losers, keepers = cluster_losers(vectors, similarity)
        assert dict(zip(losers.tolist(), keepers.tolist(), strict=True)) == expected


@given(st.integers(0, 40), st.integers(0, 1_000), st.sampled_from([0.5, 0.9, 0.999]))
@settings(max_examples=60, deadline=None)
def test_cluster_losers_leaves_no_near_pair_and_every_loser_is_near_its_keeper(
    count: int, seed: int, similarity: float
) -> None:
    vectors = clustered_vectors(count, seed, 0.1)
    losers, keepers = cluster_losers(vectors, similarity)
    products = vectors.astype(np.int64) @ vectors.astype(np.int64).T
    least = similarity * GRID * GRID
    kept = np.setdiff1d(np.arange(count), losers)
    assert (products[losers, keepers] >= least).all()
    assert np.isin(keepers, kept).all()
    assert not np.triu(products[np.ix_(kept, kept)] >= least, 1).any()


def test_cluster_losers_in_a_chain_of_three_keeps_both_ends() -> None:
    angles = np.array([0.0, 0.2, 0.4])
    vectors = on_grid(np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float16))
    losers, keepers = cluster_losers(vectors, float(np.cos(0.25)))
    assert (losers.tolist(), keepers.tolist()) == ([1], [0])
