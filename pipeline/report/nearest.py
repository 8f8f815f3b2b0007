"""The k rows nearest to a threshold on each side: a seeded choice in bounded memory that does not depend on their order."""

from dataclasses import dataclass, field

import numpy as np
import xxhash

K = 6


@dataclass(frozen=True)
class Pick:
    """A chosen row. ``value`` is the compared number, NaN where the filter compares with a set."""

    unit: str
    row: int
    value: float


@dataclass
class Nearest:
    """Keeps the ``k`` rows with the smallest (distance, random rank). The rank depends only on seed and row."""

    k: int = K
    distance: np.ndarray = field(default_factory=lambda: np.empty(0))
    rank: np.ndarray = field(default_factory=lambda: np.empty(0, np.uint64))
    picks: list[Pick] = field(default_factory=list)

    def offer(self, unit: str, rows: np.ndarray, distance: np.ndarray, rank: np.ndarray, values: np.ndarray) -> None:
        """Add rows of one unit: row numbers, distances, ranks and values, all of one length."""
        if len(self.picks) == self.k:
            better = distance <= self.distance[-1]
            tied = distance == self.distance[-1]
            better &= ~tied | (rank < self.rank[-1])
        else:
            better = np.ones(len(rows), bool)
        chosen = np.flatnonzero(better)
        if not len(chosen):
            return
        chosen = _smallest(chosen, distance, rank, self.k)
        distances = np.concatenate([self.distance, distance[chosen]])
        ranks = np.concatenate([self.rank, rank[chosen]])
        picks = [*self.picks, *(Pick(unit, int(rows[i]), float(values[i])) for i in chosen)]
        order = np.lexsort([ranks, distances])[: self.k]
        self.distance, self.rank = distances[order], ranks[order]
        self.picks = [picks[i] for i in order]


def _smallest(chosen: np.ndarray, distance: np.ndarray, rank: np.ndarray, k: int) -> np.ndarray:
    """At least the k best of ``chosen``, without sorting all of them."""
    if len(chosen) > k:
        limit = np.partition(distance[chosen], k - 1)[k - 1]
        chosen = chosen[distance[chosen] <= limit]
    ties = chosen[distance[chosen] == distance[chosen].max()]
    if len(ties) > k:
        best = ties[np.argpartition(rank[ties], k - 1)[:k]]
        chosen = np.concatenate([chosen[distance[chosen] < distance[ties[0]]], best])
    return chosen


def ranks(seed: int, unit: str, rows: int) -> np.ndarray:
    """A pseudo-random uint64 per row of a unit (splitmix64): the same in every run, whatever else the input holds."""
    start = xxhash.xxh3_64_intdigest(f"{seed}:{unit}".encode())
    x = np.arange(rows, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(start)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))
