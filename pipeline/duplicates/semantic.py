"""Greedy suppression inside one k-means cluster: from the best row down, a row stays unless a staying row is near it.

Block by block, so that memory is one block of products; a library for neighbours would return every pair.
"""

import numpy as np
import numpy.typing as npt

from qvl.pipeline.duplicates.kmeans import GRID, Grid
from qvl.pipeline.duplicates.near import greedy_suppression

BLOCK = 1_024
STAYING = 8_192

Positions = npt.NDArray[np.int64]


def least_product(similarity: float) -> np.float32:
    """The smallest product of two vectors on the grid whose cosine counts as ``similarity``."""
    return np.float32(np.ceil(similarity * GRID * GRID))


def cluster_losers(vectors: Grid, similarity: float) -> tuple[Positions, Positions]:
    """``vectors`` [n, width], the best row first. Returns (losers, the best staying row that each is near), ascending.

    Every loser is near the row that it lost to: a chain a-b-c whose ends are far apart keeps a and c. Work is at most
    n x staying rows; memory one block of products.
    """
    least = least_product(similarity)
    stays = np.empty(0, np.int64)
    keeper = np.full(len(vectors), -1, np.int64)
    for start in range(0, len(vectors), BLOCK):
        block = vectors[start : start + BLOCK].astype(np.float32)
        found = _first_near(block, vectors, stays, least)
        undecided = np.flatnonzero(found < 0)
        near = block[undecided] @ block[undecided].T >= least
        better, worse = np.nonzero(np.triu(near, 1))
        lost, by = greedy_suppression(better, worse, len(undecided))
        found[undecided[lost]] = start + undecided[by]
        keeper[start : start + len(block)] = found
        stays = np.concatenate([stays, start + np.flatnonzero(found < 0)])
    losers = np.flatnonzero(keeper >= 0)
    return losers, keeper[losers]


def _first_near(block: npt.NDArray[np.float32], vectors: Grid, stays: Positions, least: np.float32) -> Positions:
    """For each vector of a block the first of the staying rows that is near it, or -1."""
    found = np.full(len(block), -1, np.int64)
    for start in range(0, len(stays), STAYING):
        part = stays[start : start + STAYING]
        undecided = np.flatnonzero(found < 0)
        near = block[undecided] @ vectors[part].astype(np.float32).T >= least
        hit = near.any(axis=1)
        found[undecided[hit]] = part[near[hit].argmax(axis=1)]
    return found
