"""Pairs of 64-bit hashes at most ``radius`` bits apart, and which row of each cluster stays. Exact, on arrays.

The 64 bits are cut into more blocks than may differ, so that in any near pair some blocks are equal. A table is one
choice of blocks: the hashes with these blocks moved to the top. After sorting, the candidates of a table are neighbours.
The more blocks a table compares, the fewer candidates there are and the more tables; ``tables`` minimizes the cost.

No library serves: approximate indexes (pynndescent, and faiss' HNSW and LSH) miss pairs, and what they miss can change from
run to run. An exact index needs all hashes in the memory of one process. Here each table is a task of its own, and every
pair is reported once.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from math import comb

import numpy as np

from qvl.pipeline.images.perceptual_hash import BITS, Hashes, bit_count

MAX_RADIUS = 4
MAX_TABLES = 40
SORT_COST = 40.0  # cost of sorting one hash, in comparisons of one pair
PAIR = np.dtype([("low", "<u8"), ("high", "<u8")])
MIX = (np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB))


@dataclass(frozen=True)
class Table:
    """One choice of blocks: ``moves`` are (shift right, mask, shift left), ``key_bits`` the bits that must be equal."""

    moves: tuple[tuple[int, int, int], ...]
    key_bits: int
    key_mask: int

    def permute(self, hashes: Hashes) -> Hashes:
        """Hashes with the table's blocks on top and the other blocks below, in their order."""
        result = np.zeros(len(hashes), np.uint64)
        for right, mask, left in self.moves:
            result |= ((hashes >> np.uint64(right)) & np.uint64(mask)) << np.uint64(left)
        return result

    def restore(self, permuted: Hashes) -> Hashes:
        """The inverse of ``permute``."""
        result = np.zeros(len(permuted), np.uint64)
        for right, mask, left in self.moves:
            result |= ((permuted >> np.uint64(left)) & np.uint64(mask)) << np.uint64(right)
        return result


def tables(radius: int, rows: int) -> tuple[Table, ...]:
    """The cheapest tables for ``rows`` hashes: every pair within ``radius`` (0..4) agrees in the blocks of at least one."""
    best: tuple[float, int, int] | None = None
    for blocks in range(radius + 1, radius + 5):
        chosen = blocks - radius
        count = comb(blocks, chosen)
        if count > MAX_TABLES:
            continue
        cost = count * rows * (SORT_COST + rows / 2 ** (BITS * chosen // blocks + 1))
        if best is None or cost < best[0]:
            best = cost, blocks, chosen
    if best is None:
        raise ValueError(f"radius {radius}: 0 to {MAX_RADIUS} can be searched")
    _, blocks, chosen = best
    return tuple(_table(blocks, top) for top in combinations(range(blocks), chosen))


def _table(blocks: int, top: tuple[int, ...]) -> Table:
    """Blocks are numbered from the lowest bits; some are one bit wider if 64 is not a multiple of the number."""
    edges = [BITS * i // blocks for i in range(blocks + 1)]
    order = [*top, *(b for b in range(blocks) if b not in top)]
    moves, left, key_mask = [], BITS, 0
    for place, block in enumerate(order):
        width = edges[block + 1] - edges[block]
        left -= width
        moves.append((edges[block], (1 << width) - 1, left))
        if place < len(top):
            key_mask |= ((1 << width) - 1) << edges[block]
    return Table(tuple(moves), key_mask.bit_count(), key_mask)


def close_pairs(ordered: Hashes, table: Table, radius: int) -> Iterator[np.ndarray]:
    """Pairs (PAIR, original hashes) inside equal keys of a table's sorted hashes; a hash may pair with an equal one."""
    keys = ordered >> np.uint64(BITS - table.key_bits)
    first, away = np.flatnonzero(keys[1:] == keys[:-1]), 1
    while len(first):
        near = first[bit_count(ordered[first] ^ ordered[first + away]) <= radius]
        if len(near):
            yield _pairs(table.restore(ordered[near]), table.restore(ordered[near + away]))
        away += 1
        first = first[first + away < len(ordered)]
        first = first[keys[first] == keys[first + away]]


def _pairs(one: Hashes, other: Hashes) -> np.ndarray:
    result = np.empty(len(one), PAIR)
    result["low"], result["high"] = np.minimum(one, other), np.maximum(one, other)
    return result


def table_pairs(hashes: Hashes, number: int, chosen: tuple[Table, ...], radius: int) -> np.ndarray:
    """Unique near pairs that table ``number`` finds and no table before it. ``hashes``: permuted for it, in any order."""
    ordered = np.sort(hashes)
    twice = np.flatnonzero(ordered[1:] == ordered[:-1])
    if len(twice):  # equal hashes are one pair, whatever their number
        keep = np.ones(len(ordered), bool)
        keep[twice + 1] = False
        repeated = chosen[number].restore(np.unique(ordered[twice]))
        ordered = ordered[keep]
    found = [np.empty(0, PAIR), *close_pairs(ordered, chosen[number], radius)]
    pairs = np.concatenate(found)
    apart = pairs["low"] ^ pairs["high"]
    for earlier in chosen[:number]:
        new = (apart & np.uint64(earlier.key_mask)) != 0
        pairs, apart = pairs[new], apart[new]
    if len(twice) and number == 0:
        pairs = np.concatenate([pairs, _pairs(repeated, repeated)])
    return unique_pairs(pairs)


def unique_pairs(pairs: np.ndarray) -> np.ndarray:
    """Sorted pairs, once each (numpy's own ``unique`` is slow on records)."""
    ordered = pairs[np.lexsort([pairs["high"], pairs["low"]])]
    new = np.ones(len(ordered), bool)
    new[1:] = ordered[1:] != ordered[:-1]
    return ordered[new]


def near_pairs(hashes: Hashes, radius: int) -> np.ndarray:
    """All near pairs of ``hashes``, once each, in memory; (h, h) where a hash occurs more than once."""
    chosen = tables(radius, len(hashes))
    parts = (table_pairs(table.permute(hashes), i, chosen, radius) for i, table in enumerate(chosen))
    return unique_pairs(np.concatenate(list(parts)))


def greedy_suppression(better: np.ndarray, worse: np.ndarray, rows: int) -> tuple[np.ndarray, np.ndarray]:
    """Greedy suppression of rows 0..``rows``, which are in order of rank, the best first; pairs have ``better < worse``.

    From the best row down, a row stays unless a row that stays is near it. So every loser is near the row that it lost to:
    a chain a-b-c, whose ends are far apart, keeps a and c. Returns (losers, the best staying row that each is near).
    torchvision's ``nms`` does the same on boxes only.
    """
    undecided, stays = np.ones(rows, bool), np.zeros(rows, bool)
    one, other = better, worse
    while len(one):
        contested = np.zeros(rows, bool)
        contested[other] = True
        new = undecided & ~contested
        stays |= new
        undecided &= contested
        undecided[other[stays[one]]] = False
        open_pairs = undecided[one] & undecided[other]
        if not (new.any() or len(one) > open_pairs.sum()):
            raise ValueError("pairs must have better < worse")
        one, other = one[open_pairs], other[open_pairs]
    stays |= undecided
    keeper = np.full(rows, rows, np.int64)
    to_stays = stays[better] & ~stays[worse]
    np.minimum.at(keeper, worse[to_stays], better[to_stays])
    losers = np.flatnonzero(~stays)
    return losers, keeper[losers]


def near_any(queries: Hashes, targets: Hashes, radius: int) -> np.ndarray:
    """For each query the position of the first of ``targets`` within ``radius``, or -1."""
    nearest = np.full(len(queries), len(targets), np.int64)
    for table in tables(radius, max(1, len(targets))):
        moved = table.permute(targets)
        order = np.argsort(moved, kind="stable")
        ordered, wanted = moved[order], table.permute(queries)
        shift = np.uint64(BITS - table.key_bits)
        keys = ordered >> shift
        first = np.searchsorted(keys, wanted >> shift, side="left")
        last = np.searchsorted(keys, wanted >> shift, side="right")
        active = np.flatnonzero(first < last)
        at = first[active]
        while len(active):
            hit = bit_count(wanted[active] ^ ordered[at]) <= radius
            np.minimum.at(nearest, active[hit], order[at[hit]])
            at = at + 1
            more = at < last[active]
            active, at = active[more], at[more]
    nearest[nearest == len(targets)] = -1
    return nearest


def mixed(values: Hashes) -> Hashes:
    """A bijection whose upper bits are spread evenly, to split hashes by."""
    values = (values ^ (values >> np.uint64(30))) * MIX[0]
    values = (values ^ (values >> np.uint64(27))) * MIX[1]
    return values ^ (values >> np.uint64(31))
