"""Random access to a dataset: its shards and the rows of their indexes.

Reads what pack wrote, and third-party WebDataset tars that `qvl mix index` has indexed, from local folders or fsspec URLs.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import PurePosixPath

import fsspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from cachetools import LRUCache

from qvl.pipeline.base.errors import DataError, first_line
from qvl.pipeline.commit.records import decode
from qvl.pipeline.shards.manifests import DatasetManifest
from qvl.pipeline.shards.writer import INDEX
from qvl.pipeline.storage.reader import Storage

SHARDS_KEPT_OPEN = 64


@dataclass(frozen=True)
class ShardFile:
    """A tar and its index. ``hash`` is that of the tar's bytes: it identifies the shard at any path."""

    name: str
    tar: str
    index: str
    samples: int
    bytes: int
    hash: str


@dataclass(frozen=True)
class Dataset:
    """A dataset as ``dataset.json`` describes it. ``folder`` holds the shards."""

    folder: str
    hash: str
    samples: int
    shards: tuple[ShardFile, ...]
    manifest: DatasetManifest


@dataclass(frozen=True)
class Selection:
    """Which samples of a dataset take part; an empty tuple selects all."""

    tasks: tuple[str, ...] = ()
    languages: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()

    def ranks(self, index: pa.Table) -> npt.NDArray[np.int64]:
        """The selected row numbers of a shard's index, ascending."""
        chosen = np.ones(index.num_rows, dtype=bool)
        for column, names in (("task", self.tasks), ("language", self.languages), ("source", self.sources)):
            if names:
                chosen &= pc.is_in(index.column(column), pa.array(names)).to_numpy(zero_copy_only=False)
        return np.flatnonzero(chosen)

    def __bool__(self) -> bool:
        return bool(self.tasks or self.languages or self.sources)


def open_dataset(folder: str) -> Dataset:
    """Read ``dataset.json`` of a folder of shards, or of the output that contains it. Raises DataError with a remedy."""
    storage = Storage()
    place = next((f for f in (folder, f"{folder}/shards") if storage.exists(f"{f}/dataset.json")), None)
    if place is None:
        raise DataError(
            f"{folder}: no dataset.json here or in shards/; finish the run that makes it, or index foreign tars with "
            "`qvl mix index`"
        )
    manifest = decode(DatasetManifest, storage.read(f"{place}/dataset.json"), f"{place}/dataset.json")
    shards = tuple(
        ShardFile(s.shard, f"{place}/{s.shard}.tar", f"{place}/{s.shard}.parquet", s.samples, s.bytes, s.hash)
        for s in manifest.shards
    )
    return Dataset(place, manifest.hash, manifest.samples, shards, manifest)


def absent_files(dataset: Dataset) -> list[str]:
    """Shards and indexes that are missing or whose tar has another size, each with the reason. Lists the folder once."""
    filesystem, inner = fsspec.core.url_to_fs(dataset.folder)
    sizes = {PurePosixPath(entry["name"]).name: entry["size"] for entry in filesystem.ls(inner, detail=True)}
    found = []
    for shard in dataset.shards:
        if f"{shard.name}.tar" not in sizes:
            found.append(f"{shard.tar}: missing")
        elif sizes[f"{shard.name}.tar"] != shard.bytes:
            found.append(f"{shard.tar}: {sizes[f'{shard.name}.tar']} bytes, dataset.json says {shard.bytes}")
        if f"{shard.name}.parquet" not in sizes:
            found.append(f"{shard.index}: missing")
    return found


class Indexes:
    """The index tables of shards. The ``keep`` most recently used are cached; with a selection, only its rows."""

    def __init__(self, columns: Iterable[str], keep: int = SHARDS_KEPT_OPEN) -> None:
        self._columns = list(columns)
        self._tables: LRUCache[tuple[str, Selection], pa.Table] = LRUCache(keep)

    def table(self, shard: ShardFile, selection: Selection | None = None) -> pa.Table:
        """The selected rows of a shard's index. Raises DataError if the index cannot be read."""
        key = (shard.index, selection or Selection())
        table = self._tables.get(key)
        if table is None:
            table = self._tables[key] = self._read(shard, key[1])
        return table

    def _read(self, shard: ShardFile, selection: Selection) -> pa.Table:
        columns = list(dict.fromkeys([*self._columns, *(("task", "language", "source") if selection else ())]))
        table = read_index(shard.index, columns)
        if table.num_rows != shard.samples:
            raise DataError(f"{shard.index}: {table.num_rows} rows, dataset.json says {shard.samples}")
        return table.take(selection.ranks(table)) if selection else table


def read_index(path: str, columns: list[str]) -> pa.Table:
    """Columns of an index by local path or URL. Raises DataError if it is missing or corrupted."""
    filesystem, inner = fsspec.core.url_to_fs(path)
    try:
        with filesystem.open(inner, "rb") as file:
            table = pq.read_table(file, columns=columns)
            kinds = pa.schema([INDEX.field(name) for name in columns])
            table = table.select(columns).cast(kinds).combine_chunks()
    except (OSError, LookupError, pa.ArrowException) as error:
        raise DataError(f"{path}: the index cannot be read: {first_line(error)}") from None
    empty = [name for name in columns if table[name].null_count]
    if empty:
        raise DataError(f"{path}: the index has rows without {empty[0]}")
    return table
