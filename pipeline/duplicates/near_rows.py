"""Which rows stay, given near hashes: greedily from the best row down, in memory that a clump of copies cannot fill.

A picture that was saved again thirty thousand times has few hashes but thousands of tints, and so hundreds of millions of
pairs of rows. They are never formed: the best rows decide among themselves first, and what is near one of those that stay
is gone before the next rows are compared. Time then grows with the rows times the number that stays in a clump.
"""

from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt

from qvl.pipeline.duplicates.near import greedy_suppression

PAIRS_AT_ONCE = 1 << 22

Indices = npt.NDArray[np.int64]
Alike = Callable[[Indices, Indices], npt.NDArray[np.bool_]]


def suppress(hashes: np.ndarray, pairs: np.ndarray, alike: Alike) -> tuple[Indices, Indices]:
    """The losers among rows 0..n, which are in order of rank, the best first, and the best staying row that each is near.

    ``hashes`` [n]; two rows are near if their hashes are one of ``pairs`` (PAIR, unique, with (h, h) for equal ones) and
    ``alike`` says so of their indices. From the best row down, a row stays unless a row that stays is near it.
    """
    values, ids = np.unique(hashes, return_inverse=True)
    pairs = pairs[np.isin(pairs["low"], values) & np.isin(pairs["high"], values)]
    low, high = (np.searchsorted(values, pairs[side]) for side in ("low", "high"))
    most = max(PAIRS_AT_ONCE, 4 * len(hashes))
    keepers = np.full(len(hashes), -1, np.int64)
    undecided = np.arange(len(hashes))
    while len(undecided):
        best = undecided[: _at_once(ids[undecided], low, high, len(values), most)]
        lost, keeper = _among(best, ids, low, high, alike)
        keepers[best[lost]] = best[keeper]
        rest = undecided[len(best) :]
        for stays in _portions(np.delete(best, lost), rest, ids, low, high, most):
            _drop_near(stays, rest[keepers[rest] < 0], keepers, ids, low, high, alike)
        undecided = rest[keepers[rest] < 0]
    losers = np.flatnonzero(keepers >= 0)
    return losers, keepers[losers]


def _at_once(ids: Indices, low: Indices, high: Indices, values: int, most: int) -> int:
    """How many of the first rows have at most ``most`` pairs among each other."""
    rows = len(ids)
    while rows * rows > most:
        counts = np.bincount(ids[:rows], minlength=values).astype(np.float64)
        if counts[low] @ counts[high] <= most:
            break
        rows //= 2
    return rows


def _among(best: Indices, ids: Indices, low: Indices, high: Indices, alike: Alike) -> tuple[Indices, Indices]:
    """Positions in ``best`` of the losers among these rows, and of the rows that they lost to."""
    better, worse = row_pairs(ids[best], low, high)
    near = alike(best[better], best[worse])
    return greedy_suppression(better[near], worse[near], len(best))


def _portions(stays: Indices, rest: Indices, ids: Indices, low: Indices, high: Indices, most: int) -> Iterator[Indices]:
    """The rows that stay, in portions whose pairs with the ``rest`` are at most ``most``, or one row."""
    size = int(ids.max(initial=0)) + 1
    counts = np.bincount(ids[rest], minlength=size).astype(np.float64)
    near = np.bincount(low, counts[high], size)
    apart = low != high
    near += np.bincount(high[apart], counts[low[apart]], size)
    stays = stays[near[ids[stays]] > 0]
    portion = (np.cumsum(near[ids[stays]]) // most).astype(np.int64)
    yield from np.split(stays, np.flatnonzero(np.diff(portion)) + 1)


def _drop_near(
    stays: Indices, rest: Indices, keepers: Indices, ids: Indices, low: Indices, high: Indices, alike: Alike
) -> None:
    """Write into ``keepers`` for each row of ``rest`` the best of ``stays`` that is near it, if there is one."""
    apart = low != high
    for one, other in ((low, high), (high[apart], low[apart])):
        stay, row = joined(ids[stays], ids[rest], one, other)
        stay, row = stays[stay], rest[row]
        near = alike(stay, row)
        stay, row = stay[near], row[near]
        order = np.lexsort([stay, row])
        first = np.ones(len(order), bool)
        first[1:] = row[order][1:] != row[order][:-1]
        row, stay = row[order][first], stay[order][first]
        keepers[row] = np.where(keepers[row] < 0, stay, np.minimum(keepers[row], stay))


def row_pairs(ids: Indices, low: Indices, high: Indices) -> tuple[Indices, Indices]:
    """Pairs of hashes to pairs of row indices, the smaller index first; sorted, each pair once.

    ``ids`` [n] numbers the hash of each row; ``low`` and ``high`` are the numbers of the near pairs.
    """
    one, other = joined(ids, ids, low, high)
    better, worse = np.minimum(one, other), np.maximum(one, other)
    proper = better < worse
    width = max(1, len(ids))
    both = np.unique(better[proper] * width + worse[proper])  # a pair of indices as one number
    return both // width, both % width


def joined(left: Indices, right: Indices, low: Indices, high: Indices) -> tuple[Indices, Indices]:
    """Every position in ``left`` with number ``low[i]``, paired with every position in ``right`` with number ``high[i]``.

    Example: positions 0 and 2 of ``left`` have A, positions 1, 3 and 4 of ``right`` have B, and (A, B) is near. That gives
    2 * 3 pairs; pair number ``within`` joins position ``within // 3`` of A and ``within % 3`` of B.
    """
    size = 1 + max(int(values.max(initial=-1)) for values in (left, right, low, high))
    lefts, rights = np.bincount(left, minlength=size), np.bincount(right, minlength=size)
    used = np.flatnonzero((lefts[low] > 0) & (rights[high] > 0))
    low, high = low[used], high[used]
    counts = lefts[low] * rights[high]
    which = np.repeat(np.arange(len(used)), counts)  # the pair of hashes that each pair of rows comes from
    within = np.arange(int(counts.sum())) - np.repeat(np.cumsum(counts) - counts, counts)
    first_left, first_right = np.cumsum(lefts) - lefts, np.cumsum(rights) - rights
    wide = np.maximum(rights[high][which], 1)
    one = np.argsort(left, kind="stable")[first_left[low][which] + within // wide]
    other = np.argsort(right, kind="stable")[first_right[high][which] + within % wide]
    return one, other
