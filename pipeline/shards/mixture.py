"""The order in which samples of several datasets are drawn: a pure function of (seed, position).

Position 0, 1, 2, ... holds the same sample for every world size and number of workers. In a block of positions, each
component has exactly its share (rounded cumulatively, so there is no drift), in a seeded order. The draws of a component go
through its rows once per epoch. In an epoch its shards are shuffled, then the rows inside windows of shards, so that reads
stay close together. Memory holds one block and one window per component: a billion samples need no more than their list
of shards.
"""

import itertools
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import xxhash

from qvl.pipeline.base.errors import RecipeError
from qvl.pipeline.shards.order import Window, windows

WEIGHT_UNIT = 1 << 40
SMALLEST_BLOCK = 1 << 10
LARGEST_BLOCK = 1 << 22
DEFAULT_WINDOW = 32

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Component:
    """One dataset of a mixture. ``shards`` are (name, number of selected rows); ``weight`` is relative to the others."""

    name: str
    shards: tuple[tuple[str, int], ...]
    weight: float

    @property
    def rows(self) -> int:
        return sum(rows for _, rows in self.shards)


@dataclass(frozen=True)
class Draws:
    """Samples at consecutive positions: numbers of component, epoch and shard (in the component), and rank in the shard.

    A rank counts the selected rows of a shard.
    """

    component: Ints
    epoch: Ints
    shard: Ints
    rank: Ints

    def __len__(self) -> int:
        return len(self.component)


class Mixture:
    """Weighted components with one seed. Raises RecipeError for an empty component or a weight that is not positive."""

    def __init__(self, components: list[Component], seed: int, window: int = DEFAULT_WINDOW) -> None:
        if not components:
            raise RecipeError("a mixture needs at least one dataset")
        for part in components:
            if part.rows == 0:
                raise RecipeError(
                    f"{part.name}: no sample of this dataset is selected; check its selection and its path"
                )
            if not part.weight > 0:
                raise RecipeError(f"{part.name}: weight {part.weight} must be above 0; leave the dataset out instead")
        self.components, self.seed, self.window = components, seed, window
        self._bounds = _bounds([part.weight for part in components])
        self.block = _block_size(self._bounds)
        self._epochs: dict[int, tuple[int, list[Window], Ints]] = {}
        self._orders: dict[int, tuple[int, int, Ints, Ints]] = {}
        self._shard_numbers = [{name: n for n, (name, _) in enumerate(part.shards)} for part in components]
        self._counts = [part.rows for part in components]

    def draws_before(self, block: int) -> list[int]:
        """The number of draws of each component before a block."""
        ends = [(block * self.block * bound) // WEIGHT_UNIT for bound in self._bounds]
        return [after - before for before, after in itertools.pairwise(ends)]

    def epochs(self, positions: int) -> list[float]:
        """The number of epochs of each component in that many positions."""
        shares = np.diff(np.array(self._bounds, dtype=float)) / WEIGHT_UNIT
        return [positions * share / rows for share, rows in zip(shares.tolist(), self._counts, strict=True)]

    def draws(self, first: int, last: int) -> Draws:
        """The samples at positions [first, last)."""
        pieces = [self._in_block(block, first, last) for block in range(first // self.block, -(-last // self.block))]
        columns = (
            [np.concatenate([piece[at] for piece in pieces]) for at in range(2)] if pieces else [_empty(), _empty()]
        )
        component, draw = columns
        epoch, shard, rank = (np.empty_like(component) for _ in range(3))
        for number in np.unique(component).tolist():
            here = np.flatnonzero(component == number)
            epoch[here], shard[here], rank[here] = self._rows(number, int(draw[here[0]]), int(draw[here[-1]]) + 1)
        return Draws(component, epoch, shard, rank)

    def _in_block(self, block: int, first: int, last: int) -> tuple[Ints, Ints]:
        """Component and draw number at the positions [first, last) that are in the block."""
        component, draw = _arrangement(
            self.seed, block, tuple(self.draws_before(block)), tuple(self.draws_before(block + 1))
        )
        start = block * self.block
        inside = slice(max(0, first - start), max(0, last - start))
        return component[inside], draw[inside]

    def _rows(self, number: int, first: int, last: int) -> tuple[Ints, Ints, Ints]:
        """Epoch, shard and rank of the draws [first, last) of a component."""
        parts, rows = [], self._counts[number]
        while first < last:
            epoch, position = divmod(first, rows)
            window, shard, rank = self._window(number, epoch, position)
            begin, end = position - window.start, min(window.end, position + last - first) - window.start
            parts.append((np.full(end - begin, epoch), shard[begin:end], rank[begin:end]))
            first += end - begin
        return tuple(np.concatenate(column) for column in zip(*parts, strict=True))  # type: ignore[return-value]

    def _window(self, number: int, epoch: int, position: int) -> tuple[Window, Ints, Ints]:
        """The window with this position of an epoch, and shard and rank of its rows in order. The last one is cached."""
        _, order, starts = self._epoch(number, epoch)
        at = int(np.searchsorted(starts, position, side="right")) - 1
        window = order[at]
        cached = self._orders.get(number)
        if cached is None or cached[:2] != (epoch, at):
            local, rank = window.rows(self._epoch_seed(number, epoch), window.start, window.end)
            shards = np.array([self._shard_numbers[number][name] for name in window.units])
            cached = self._orders[number] = (epoch, at, shards[local], rank)
        return window, cached[2], cached[3]

    def near(self, number: int) -> tuple[str, ...]:
        """The shards to fetch ahead: those of a component's last used window and of the window after it."""
        epoch, at = self._orders[number][:2]
        order = self._epoch(number, epoch)[1]
        following = order[at + 1] if at + 1 < len(order) else self._plan(number, epoch + 1)[1][0]
        return (*order[at].units, *following.units)

    def _epoch(self, number: int, epoch: int) -> tuple[int, list[Window], Ints]:
        plan = self._epochs.get(number)
        if plan is None or plan[0] != epoch:
            plan = self._epochs[number] = self._plan(number, epoch)
        return plan

    def _plan(self, number: int, epoch: int) -> tuple[int, list[Window], Ints]:
        order = windows(self._epoch_seed(number, epoch), self.window, list(self.components[number].shards))
        return epoch, order, np.array([window.start for window in order])

    def _epoch_seed(self, number: int, epoch: int) -> int:
        return _seed(self.seed, self.components[number].name, epoch)


def _bounds(weights: list[float]) -> list[int]:
    """Cumulative shares as integers out of WEIGHT_UNIT, from 0 to WEIGHT_UNIT."""
    total, running, bounds = sum(weights), 0.0, [0]
    for weight in weights:
        running += weight
        bounds.append(round(running / total * WEIGHT_UNIT))
    return [*bounds[:-1], WEIGHT_UNIT]


def _block_size(bounds: list[int]) -> int:
    """The positions of a block: enough for every component to appear in it, so that draw numbers never decrease."""
    smallest = min(after - before for before, after in itertools.pairwise(bounds))
    size = SMALLEST_BLOCK
    while size * smallest < 2 * WEIGHT_UNIT and size < LARGEST_BLOCK:
        size *= 2
    if size * smallest < 2 * WEIGHT_UNIT:
        raise RecipeError(f"a weight below {2 / LARGEST_BLOCK:.1e} of the total is too small to be drawn evenly")
    return size


@lru_cache(maxsize=2)
def _arrangement(seed: int, block: int, before: tuple[int, ...], after: tuple[int, ...]) -> tuple[Ints, Ints]:
    """Component and draw number at each position of a block."""
    counts = [end - start for start, end in zip(before, after, strict=True)]
    component = np.repeat(np.arange(len(counts)), counts)
    np.random.Generator(np.random.Philox(key=_seed(seed, "block", block))).shuffle(component)
    draw = np.empty_like(component)
    for number, start in enumerate(before):
        draw[component == number] = np.arange(start, after[number])
    return component, draw


def _seed(seed: int, name: str, number: int) -> int:
    return xxhash.xxh3_64_intdigest(f"{seed}/{name}/{number}".encode())


def _empty() -> Ints:
    return np.empty(0, dtype=np.int64)
