"""The order in which samples of several datasets are seen: a pure function of (seed, position).

Positions 0, 1, 2, ... are the same at any world size and number of workers. A block of positions holds each component
in exact proportion to its weight (rounded cumulatively, so nothing drifts) in a seeded order. The draws of a component
go through its rows once per epoch; in an epoch its shards are shuffled, then rows inside windows of shards, so that reading
stays close together. Nothing is materialised beyond one block and one window per component: a billion samples cost
what their list of shards costs.
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
    """One part of a mixture. ``shards`` are (name, rows that take part); ``weight`` is relative to the others'."""

    name: str
    shards: tuple[tuple[str, int], ...]
    weight: float

    @property
    def rows(self) -> int:
        return sum(rows for _, rows in self.shards)


@dataclass(frozen=True)
class Draws:
    """Samples at consecutive positions: numbers of component, epoch, shard (in the component) and row rank in the shard."""

    component: Ints
    epoch: Ints
    shard: Ints
    rank: Ints

    def __len__(self) -> int:
        return len(self.component)


class Mixture:
    """Weighted components under one seed. Raises RecipeError for an empty component or a weight that is none."""

    def __init__(self, components: list[Component], seed: int, window: int = DEFAULT_WINDOW) -> None:
        if not components:
            raise RecipeError("a mixture needs at least one dataset")
        for part in components:
            if part.rows == 0:
                raise RecipeError(f"{part.name}: no sample is left of this dataset; check its selection and its path")
            if not part.weight > 0:
                raise RecipeError(f"{part.name}: weight {part.weight} must be above 0; leave the dataset out instead")
        self.components, self.seed, self.window = components, seed, window
        self._bounds = _bounds([part.weight for part in components])
        self.block = _block_size(self._bounds)
        self._epochs: dict[int, tuple[int, list[Window], Ints]] = {}
        self._orders: dict[int, tuple[int, int, Ints, Ints]] = {}
        self._numbers = [{name: at for at, (name, _) in enumerate(part.shards)} for part in components]
        self._counts = [part.rows for part in components]

    def drawn(self, block: int) -> list[int]:
        """How many draws of each component lie before a block."""
        ends = [(block * self.block * bound) // WEIGHT_UNIT for bound in self._bounds]
        return [after - before for before, after in itertools.pairwise(ends)]

    def epochs(self, positions: int) -> list[float]:
        """How often each component is seen in that many positions."""
        shares = np.diff(np.array(self._bounds, dtype=float)) / WEIGHT_UNIT
        return [positions * share / rows for share, rows in zip(shares.tolist(), self._counts, strict=True)]

    def draws(self, first: int, last: int) -> Draws:
        """The samples at positions [first, last)."""
        pieces = [self._in_block(block, first, last) for block in range(first // self.block, -(-last // self.block))]
        columns = [np.concatenate([piece[at] for piece in pieces]) for at in range(2)] if pieces else [_none(), _none()]
        component, draw = columns
        epoch, shard, rank = (np.empty_like(component) for _ in range(3))
        for number in np.unique(component).tolist():
            here = np.flatnonzero(component == number)
            epoch[here], shard[here], rank[here] = self._rows(number, int(draw[here[0]]), int(draw[here[-1]]) + 1)
        return Draws(component, epoch, shard, rank)

    def _in_block(self, block: int, first: int, last: int) -> tuple[Ints, Ints]:
        """Component and draw number at those of the positions that lie in the block."""
        component, draw = _arrangement(self.seed, block, tuple(self.drawn(block)), tuple(self.drawn(block + 1)))
        start = block * self.block
        inside = slice(max(0, first - start), max(0, last - start))
        return component[inside], draw[inside]

    def _rows(self, number: int, first: int, last: int) -> tuple[Ints, Ints, Ints]:
        """Epoch, shard and rank of the draws [first, last) of a component."""
        parts, rows = [], self._counts[number]
        while first < last:
            epoch, place = divmod(first, rows)
            window, owner, rank = self._window(number, epoch, place)
            begin, end = place - window.start, min(window.end, place + last - first) - window.start
            parts.append((np.full(end - begin, epoch), owner[begin:end], rank[begin:end]))
            first += end - begin
        return tuple(np.concatenate(column) for column in zip(*parts, strict=True))  # type: ignore[return-value]

    def _window(self, number: int, epoch: int, place: int) -> tuple[Window, Ints, Ints]:
        """The window that holds a place of an epoch, with shard and rank of its rows in order; the last one is kept."""
        plan = self._epoch(number, epoch)
        at = int(np.searchsorted(plan[2], place, side="right")) - 1
        window = plan[1][at]
        kept = self._orders.get(number)
        if kept is None or kept[:2] != (epoch, at):
            local, rank = window.rows(self._epoch_seed(number, epoch), window.start, window.end)
            shards = np.array([self._numbers[number][name] for name in window.units])
            kept = self._orders[number] = (epoch, at, shards[local], rank)
        return window, kept[2], kept[3]

    def near(self, number: int) -> tuple[str, ...]:
        """Shards of a component in the window that was drawn from last and in the one after it: what to fetch ahead."""
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
    """Large enough that the smallest component appears in every block, so that its draws never run backwards."""
    smallest = min(after - before for before, after in itertools.pairwise(bounds))
    size = SMALLEST_BLOCK
    while size * smallest < 2 * WEIGHT_UNIT and size < LARGEST_BLOCK:
        size *= 2
    if size * smallest < 2 * WEIGHT_UNIT:
        raise RecipeError(f"a weight below {2 / LARGEST_BLOCK:.1e} of the whole is too small to be drawn evenly")
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


def _seed(seed: int, word: str, number: int) -> int:
    return xxhash.xxh3_64_intdigest(f"{seed}/{word}/{number}".encode())


def _none() -> Ints:
    return np.empty(0, dtype=np.int64)
