"""The order of kept rows in a dataset: fixed by a seed and by the units' row counts alone.

Units are shuffled, then rows are shuffled inside windows of units: a full shuffle over petabytes would read every byte
from a random place. Shard k holds rows [k * shard_rows, (k + 1) * shard_rows) of the order, so any worker can make it.
"""

from dataclasses import dataclass

import numpy as np
import xxhash


@dataclass(frozen=True)
class Window:
    """Units that are shuffled together; ``kept`` rows each; ``start`` is the place of its first row in the order."""

    units: tuple[str, ...]
    kept: tuple[int, ...]
    start: int

    @property
    def end(self) -> int:
        return self.start + sum(self.kept)

    def rows(self, seed: int, first: int, last: int) -> tuple[np.ndarray, np.ndarray]:
        """Unit numbers (in the window) and ranks among the unit's kept rows of places [first, last) of the order."""
        names = xxhash.xxh3_128_intdigest("\n".join(self.units).encode(), seed)
        shuffled = np.random.Generator(np.random.Philox(key=names)).permutation(sum(self.kept))
        chosen = shuffled[max(0, first - self.start) : max(0, last - self.start)]
        starts = np.concatenate(([0], np.cumsum(self.kept)))
        owner = np.searchsorted(starts, chosen, side="right") - 1
        return owner, chosen - starts[owner]


@dataclass(frozen=True)
class ShardPlan:
    """One shard: its name, the places [first, last) of the order that it holds, and the windows that these lie in."""

    name: str
    first: int
    last: int
    windows: tuple[Window, ...]


def windows(seed: int, window_units: int, kept: list[tuple[str, int]]) -> list[Window]:
    """The order of all kept rows. ``kept`` holds every unit's id with its number of kept rows."""
    shuffled = sorted((u for u in kept if u[1]), key=lambda pair: xxhash.xxh3_128_digest(pair[0].encode(), seed))
    result, start = [], 0
    for first in range(0, len(shuffled), window_units):
        members = shuffled[first : first + window_units]
        window = Window(tuple(unit for unit, _ in members), tuple(rows for _, rows in members), start)
        result.append(window)
        start = window.end
    return result


def shard_plans(name: str, shard_rows: int, order: list[Window]) -> list[ShardPlan]:
    """The shards of a dataset, named ``<name>-000000`` and on. Linear in windows and shards."""
    total = order[-1].end if order else 0
    plans, at = [], 0
    for number, first in enumerate(range(0, total, shard_rows)):
        last = min(total, first + shard_rows)
        while order[at].end <= first:
            at += 1
        overlapping = [order[at]]
        for window in order[at + 1 :]:
            if window.start >= last:
                break
            overlapping.append(window)
        plans.append(ShardPlan(f"{name}-{number:06d}", first, last, tuple(overlapping)))
    return plans
