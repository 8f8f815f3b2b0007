"""Vectors on the integer grid and k-means clusters: exact for every order and block size."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import qvl.pipeline.duplicates.kmeans
from qvl.pipeline.base.errors import ContractError
from qvl.pipeline.duplicates.kmeans import GRID, nearest_clusters, on_grid, train_clusters

WIDTH = 24


def unit_vectors(count: int, seed: int, width: int = WIDTH) -> np.ndarray:
    """Random directions in half precision, as they are stored."""
    values = np.random.default_rng(seed).normal(size=(count, width))
    return (values / np.linalg.norm(values, axis=1, keepdims=True)).astype(np.float16)


@pytest.mark.parametrize("width", [2, 96, 512, 1_280])
def test_on_grid_hardly_changes_a_cosine(width: int) -> None:
    vectors = unit_vectors(60, width, width)
    exact = vectors.astype(np.float64) @ vectors.astype(np.float64).T
    steps = on_grid(vectors).astype(np.float64) @ on_grid(vectors).astype(np.float64).T / GRID**2
    assert np.abs(exact - steps).max() < 6e-4


@pytest.mark.parametrize("width", [3, 512, 1_280])
def test_products_on_the_grid_in_float32_are_exact_integers(width: int) -> None:
    steps = on_grid(unit_vectors(50, width, width))
    steps = np.concatenate([steps, steps[::-1] // 2, -steps])
    exact = steps.astype(np.int64) @ steps.astype(np.int64).T
    for order in (np.arange(width), np.random.default_rng(1).permutation(width)):
        found = steps[:, order].astype(np.float32) @ steps[:, order].astype(np.float32).T
        assert np.array_equal(found, exact)


def test_on_grid_when_vectors_are_not_normalised_raises() -> None:
    with pytest.raises(ContractError, match="not normalised"):
        on_grid(unit_vectors(3, 0) * np.float16(1.2))


def test_on_grid_and_train_clusters_when_there_are_no_vectors_return_none() -> None:
    none = np.empty((0, WIDTH), np.float16)
    assert on_grid(none).shape == (0, WIDTH)
    assert train_clusters(on_grid(none), 5).shape == (0, WIDTH)


@given(st.integers(1, 60), st.integers(1, 12), st.integers(0, 5))
@settings(max_examples=40, deadline=None)
def test_nearest_clusters_equals_brute_force(count: int, clusters: int, seed: int) -> None:
    steps, centres = on_grid(unit_vectors(count, seed)), on_grid(unit_vectors(clusters, seed + 100))
    products = steps.astype(np.int64) @ centres.astype(np.int64).T
    assert np.array_equal(nearest_clusters(steps, centres), products.argmax(axis=1))


def test_clusters_when_the_block_size_changes_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    steps = on_grid(unit_vectors(300, 4))
    centres = train_clusters(steps, 7)
    clusters = nearest_clusters(steps, centres)
    monkeypatch.setattr(qvl.pipeline.duplicates.kmeans, "PRODUCTS", 50)
    assert np.array_equal(train_clusters(steps, 7), centres)
    assert np.array_equal(nearest_clusters(steps, centres), clusters)


def test_train_clusters_when_groups_are_separate_never_mixes_them() -> None:
    random = np.random.default_rng(3)
    directions = unit_vectors(5, 9, 64).astype(np.float64)
    group = random.permutation(np.repeat(np.arange(5), 40))
    values = directions[group] + random.normal(size=(200, 64)) * 0.02
    steps = on_grid((values / np.linalg.norm(values, axis=1, keepdims=True)).astype(np.float16))
    clusters = nearest_clusters(steps, train_clusters(steps, 25))
    for cluster in np.unique(clusters):
        assert len(np.unique(group[clusters == cluster])) == 1


def test_train_clusters_when_few_vectors_differ_trains_no_more_clusters_than_these() -> None:
    steps = on_grid(unit_vectors(3, 2))
    assert len(train_clusters(np.repeat(steps, 10, axis=0), 8)) == 3
