"""The samples at consecutive positions of a mixture, looked up in the indexes and measured lengths of their shards."""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from cachetools import FIFOCache

from qvl.pipeline.shards.mixture import Draws, Mixture
from qvl.pipeline.shards.reader import Indexes, ShardFile
from qvl.training.data.lengths import Lengths, LengthsFolder, read_lengths
from qvl.training.data.parts import MixPart
from qvl.training.data.steps import SampleRef

Ints = npt.NDArray[np.int64]
SPANS = ("json_offset", "json_size", "image_offsets", "image_sizes")
COLUMNS = ("key", "task", "text_length", *SPANS)
LENGTHS_KEPT = 256
"""Shards of each part whose lengths stay in memory."""


@dataclass(frozen=True, slots=True)
class IndexRow:
    """A sample as a row of its shard's index. ``part`` is its number in the mix."""

    part: int
    shard: ShardFile
    table: pa.Table
    row: int


@dataclass(frozen=True, slots=True)
class SampleTable:
    """Samples at consecutive positions, one column per property.

    ``tasks`` are numbers that are equal for equal tasks. ``sizes``: tokens, or characters where lengths were not measured.
    ``reasons``: why a sample cannot be trained on, None for a usable one.
    """

    keys: list[str]
    tasks: Ints
    tokens: Ints
    images: Ints
    sizes: Ints
    reasons: list[str | None]
    rows: list[IndexRow]

    @property
    def usable(self) -> npt.NDArray[np.bool_]:
        return np.array([reason is None for reason in self.reasons], dtype=np.bool_)

    def ref(self, position: int) -> SampleRef:
        """The sample at a position, as the loader reads it."""
        row = self.rows[position]
        json_offset, json_size, offsets, sizes = (row.table.column(name)[row.row].as_py() for name in SPANS)
        images = tuple(zip(offsets, sizes, strict=True))
        tokens = int(self.tokens[position])
        return SampleRef(self.keys[position], row.part, row.shard.tar, (json_offset, json_size), images, tokens)


def join_tables(tables: Sequence[SampleTable]) -> SampleTable:
    """The samples of several tables, one table after the other."""
    if len(tables) == 1:
        return tables[0]
    return SampleTable(
        keys=list(itertools.chain(*(table.keys for table in tables))),
        tasks=np.concatenate([table.tasks for table in tables]),
        tokens=np.concatenate([table.tokens for table in tables]),
        images=np.concatenate([table.images for table in tables]),
        sizes=np.concatenate([table.sizes for table in tables]),
        reasons=list(itertools.chain(*(table.reasons for table in tables))),
        rows=list(itertools.chain(*(table.rows for table in tables))),
    )


def positions_by_shard(draws: Draws) -> Iterator[tuple[int, int, Ints]]:
    """Every shard that is drawn from: the number of its component, its number therein, and the positions that show it.

    For example, draws of the shards (0, 1), (2, 0) and (0, 1), written as (component, shard), yield 0, 1, [0, 2] and then
    2, 0, [1].
    """
    pairs = draws.component * (1 << 32) + draws.shard  # one number per shard, so that NumPy can group them
    for pair in np.unique(pairs).tolist():
        component, shard = divmod(pair, 1 << 32)
        yield component, shard, np.flatnonzero(pairs == pair)


class SampleLookup:
    """Looks up the samples of a stage, shard by shard. ``lengths`` is None where a stage needs no measured lengths."""

    def __init__(self, parts: list[MixPart], seed: int, window: int, lengths: LengthsFolder | None) -> None:
        self.parts, self.lengths = parts, lengths
        self.mixture = Mixture([part.component() for part in parts], seed, window)
        self._indexes = Indexes(COLUMNS, keep=2 * window * len(parts))
        self._measured: FIFOCache[str, Lengths] = FIFOCache(LENGTHS_KEPT * len(parts))
        self._selected: dict[tuple[int, str], Ints] = {}
        self._tasks: dict[str, int] = {}

    def nearby_tars(self) -> list[str]:
        """The shards that the samples looked up last, and those after them, are read from."""
        return [part.tar_of(name) for number, part in enumerate(self.parts) for name in self.mixture.near(number)]

    def samples(self, first: int, last: int) -> SampleTable:
        """The samples at positions [first, last)."""
        draws = self.mixture.draws(first, last)
        keys, reasons, rows = [""] * len(draws), [None] * len(draws), [None] * len(draws)
        tasks, tokens, images, sizes = np.zeros((4, len(draws)), dtype=np.int64)
        table = SampleTable(keys, tasks, tokens, images, sizes, reasons, rows)  # type: ignore[arg-type]  # filled below
        for part, number, positions in positions_by_shard(draws):
            shard = self.parts[part].dataset.shards[number]
            self._look_up(table, positions, part, shard, draws.rank[positions])
            if self.lengths is not None:
                self._add_lengths(table, positions, part, shard, draws.rank[positions], self.lengths)
        return table

    def _look_up(self, table: SampleTable, positions: Ints, part: int, shard: ShardFile, ranks: Ints) -> None:
        """Fill in what the index knows; ``ranks`` are the samples' numbers among the selected rows of their shard."""
        index = self._indexes.table(shard, self.parts[part].selection)
        table.sizes[positions] = index.column("text_length").to_numpy()[ranks]
        keys, tasks = (index.column(name).take(pa.array(ranks)).to_pylist() for name in ("key", "task"))
        table.tasks[positions] = [self._tasks.setdefault(task, len(self._tasks)) for task in tasks]
        for position, rank, key in zip(positions.tolist(), ranks.tolist(), keys, strict=True):
            table.keys[position], table.rows[position] = key, IndexRow(part, shard, index, rank)

    def _add_lengths(
        self, table: SampleTable, positions: Ints, part: int, shard: ShardFile, ranks: Ints, folder: LengthsFolder
    ) -> None:
        lengths, rows = self._lengths(folder, shard), self._all_selected(part, shard)[ranks]
        table.tokens[positions], table.images[positions] = lengths.tokens[rows], lengths.images[rows]
        table.sizes[positions] = table.tokens[positions]
        for position, row in zip(positions.tolist(), rows.tolist(), strict=True):
            table.reasons[position] = lengths.reasons[row]

    def _lengths(self, folder: LengthsFolder, shard: ShardFile) -> Lengths:
        if shard.hash not in self._measured:
            self._measured[shard.hash] = read_lengths(folder.path_of(shard))
        return self._measured[shard.hash]

    def _all_selected(self, part: int, shard: ShardFile) -> Ints:
        """The numbers, in the whole index of a shard, of the rows that a part selects."""
        key = (part, shard.name)
        if key not in self._selected:
            index = Indexes(("task", "language", "source"), keep=1).table(shard)
            self._selected[key] = self.parts[part].selection.ranks(index)
        return self._selected[key]
