"""Unit vectors on a grid of integers, and their k-means clusters: the same on every processor.

A vector is stored in steps of 1/4000. Products of two are integers whose sums stay below 2^24, so float32 adds them
without rounding, in any order: a matrix product gives the same cosines on every machine, with any library and any number
of threads. The grid moves a cosine by about 1e-4. No library serves: scikit-learn and faiss compute means in floating
point, whose last bits depend on the processor and on the number of threads.
"""

import numpy as np
import numpy.typing as npt

from qvl.pipeline.base.errors import ContractError

GRID = 4_000
EXACT = 2**24
ROUNDS = 10
SAMPLE_PER_CLUSTER = 64
MEAN_STEPS = 16  # a mean is rounded to this part of a step, so that its squares are integers too
PRODUCTS = 1 << 24  # products held at once

Grid = npt.NDArray[np.int16]


def on_grid(vectors: npt.NDArray[np.floating]) -> Grid:
    """Unit vectors [n, width] in integer steps. Raises ContractError if one is longer than 1."""
    steps = np.rint(vectors.astype(np.float32) * np.float32(GRID))
    if len(steps) and float(np.einsum("nd,nd->n", steps, steps, dtype=np.float64).max()) >= EXACT:
        raise ContractError("embeddings are not normalised; score them again")
    return steps.astype(np.int16)


def nearest_clusters(vectors: Grid, centres: Grid) -> npt.NDArray[np.uint32]:
    """The cluster of each vector: that of the nearest centre, or of the first if several are equally near."""
    columns = centres.astype(np.float32).T
    step = max(1, PRODUCTS // max(1, len(centres)))
    found = np.empty(len(vectors), np.uint32)
    for start in range(0, len(vectors), step):
        found[start : start + step] = (vectors[start : start + step].astype(np.float32) @ columns).argmax(axis=1)
    return found


def train_clusters(sample: Grid, clusters: int) -> Grid:
    """Centres [at most ``clusters``, width] of spherical k-means. ``sample`` is in random order; its head is the start.

    A cluster that loses all its vectors keeps its centre. Equal vectors start only one cluster.
    """
    head = sample[: 4 * clusters]
    centres = head[np.sort(np.unique(head, axis=0, return_index=True)[1])[:clusters]]
    for _ in range(ROUNDS):
        moved = _means(sample, nearest_clusters(sample, centres), centres)
        if np.array_equal(moved, centres):
            break
        centres = moved
    return centres


def _means(sample: Grid, clusters: npt.NDArray[np.uint32], centres: Grid) -> Grid:
    """The direction of each cluster's sum; integers until the last division."""
    sums = np.zeros(centres.shape, np.int64)
    step = max(1, PRODUCTS // max(1, sample.shape[1]))
    for start in range(0, len(sample), step):
        part = clusters[start : start + step]
        order = np.argsort(part, kind="stable")
        present, firsts = np.unique(part[order], return_index=True)
        sums[present] += np.add.reduceat(sample[start : start + step][order].astype(np.int64), firsts, axis=0)
    counts = np.bincount(clusters, minlength=len(centres))
    means = np.rint(sums * MEAN_STEPS / np.maximum(counts, 1)[:, None])
    length = np.sqrt((means * means).sum(axis=1))
    moved = np.rint(means * (GRID / np.maximum(length, 1))[:, None]).astype(np.int16)
    return np.where((counts > 0)[:, None] & (length > 0)[:, None], moved, centres)
