"""The order of kept rows in a dataset. It depends only on a seed and on the units' row counts.

Units are shuffled, then rows are shuffled inside windows of units. A full shuffle of petabytes would read every row from
another unit. Shard k holds rows [k * shard_rows, (k + 1) * shard_rows) of the order, so any worker can pack it.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import xxhash

from qvl.pipeline.commit.fingerprint import fingerprint


@dataclass(frozen=True)
class Window:
    """Units that are shuffled together, with ``kept`` rows each. ``start``: position of the first row in the order."""

    units: tuple[str, ...]
    kept: tuple[int, ...]
    start: int

    @property
    def end(self) -> int:
        return self.start + sum(self.kept)

    def rows(self, seed: int, first: int, last: int) -> tuple[np.ndarray, np.ndarray]:
        """Unit numbers (in the window) and ranks among the unit's kept rows at positions [first, last)."""
        chosen = _permutation(self.units, sum(self.kept), seed)[max(0, first - self.start) : max(0, last - self.start)]
        starts = np.concatenate(([0], np.cumsum(self.kept)))
        owner = np.searchsorted(starts, chosen, side="right") - 1
        return owner, chosen - starts[owner]


@lru_cache(maxsize=2)
def _permutation(units: tuple[str, ...], rows: int, seed: int) -> np.ndarray:
    """The order of a window's rows. Cached, because the shards of a window are packed one after another."""
    key = xxhash.xxh3_128_intdigest("\n".join(units).encode(), seed)
    return np.random.Generator(np.random.Philox(key=key)).permutation(rows)


@dataclass(frozen=True)
class ShardPlan:
    """One shard: its name, its positions [first, last) in the order, and the windows that they are in."""

    name: str
    first: int
    last: int
    windows: tuple[Window, ...]

    def fingerprint(self, stage: str) -> str:
        """What the shard depends on: the fingerprint of ``stage`` (verdicts, name, seed) and the shard's rows."""
        return fingerprint([stage, self.first, self.last, [[w.units, w.kept, w.start] for w in self.windows]])


def windows(seed: int, window_units: int, kept: list[tuple[str, int]]) -> list[Window]:
    """The order of all kept rows. ``kept``: the id and the number of kept rows of every unit."""
    shuffled = sorted((u for u in kept if u[1]), key=lambda pair: xxhash.xxh3_128_digest(pair[0].encode(), seed))
    result, start = [], 0
    for first in range(0, len(shuffled), window_units):
        members = shuffled[first : first + window_units]
        window = Window(tuple(unit for unit, _ in members), tuple(rows for _, rows in members), start)
        result.append(window)
        start = window.end
    return result


def shard_plans(name: str, shard_rows: int, order: list[Window]) -> list[ShardPlan]:
    """The shards of a dataset, named ``<name>-000000`` and so on. Time is linear in windows and shards."""
    total = order[-1].end if order else 0
    plans, at = [], 0
    for number, first in enumerate(range(0, total, shard_rows)):
        last = min(total, first + shard_rows)
        while order[at].end <= first:
            at += 1
        until = at + 1
        while until < len(order) and order[until].start < last:
            until += 1
        plans.append(ShardPlan(f"{name}-{number:06d}", first, last, tuple(order[at:until])))
    return plans
