"""Reading a dataset at random: its shards, the rows of their indexes, and the bytes of single samples.

Works on what pack wrote and on foreign WebDataset tars that `qvl mix index` has indexed; local folders or fsspec URLs.
"""

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import PurePosixPath

import fsspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from qvl.pipeline.base.errors import DataError
from qvl.pipeline.commit.records import decode
from qvl.pipeline.shards.manifests import DatasetManifest
from qvl.pipeline.storage.reader import Storage

SHARDS_KEPT_OPEN = 64


@dataclass(frozen=True)
class ShardFile:
    """A tar and its index. ``hash`` is that of the tar's bytes: it names the shard wherever it lies."""

    name: str
    tar: str
    index: str
    samples: int
    bytes: int
    hash: str


@dataclass(frozen=True)
class Dataset:
    """A dataset as ``dataset.json`` describes it. ``folder`` is where the shards lie."""

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
        """Row numbers in a shard's index that are selected, ascending."""
        chosen = np.ones(index.num_rows, dtype=bool)
        for column, words in (("task", self.tasks), ("language", self.languages), ("source", self.sources)):
            if words:
                chosen &= pc.is_in(index.column(column), pa.array(words)).to_numpy(zero_copy_only=False)
        return np.flatnonzero(chosen)

    def __bool__(self) -> bool:
        return bool(self.tasks or self.languages or self.sources)


def open_dataset(folder: str) -> Dataset:
    """Read ``dataset.json`` of a folder of shards, or of the output that holds it. Raises DataError with the way out."""
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
    """Shards and indexes that are not there, or whose tar has another size, each with the reason. One listing."""
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
    """The index tables of shards, the last used ones kept in memory; with a selection only its rows."""

    def __init__(self, columns: Iterable[str], keep: int = SHARDS_KEPT_OPEN) -> None:
        self._columns, self._keep = list(columns), keep
        self._tables: OrderedDict[tuple[str, Selection], pa.Table] = OrderedDict()

    def table(self, shard: ShardFile, selection: Selection | None = None) -> pa.Table:
        """The rows of a shard that take part. Raises DataError where the index cannot be read."""
        key = (shard.index, selection or Selection())
        if key in self._tables:
            self._tables.move_to_end(key)
            return self._tables[key]
        table = self._tables[key] = self._read(shard, key[1])
        while len(self._tables) > self._keep:
            self._tables.popitem(last=False)
        return table

    def _read(self, shard: ShardFile, selection: Selection) -> pa.Table:
        columns = list(dict.fromkeys([*self._columns, *(("task", "language", "source") if selection else ())]))
        table = read_index(shard.index, columns)
        if table.num_rows != shard.samples:
            raise DataError(f"{shard.index}: {table.num_rows} rows, dataset.json says {shard.samples}")
        return table.take(selection.ranks(table)) if selection else table


def read_index(path: str, columns: list[str]) -> pa.Table:
    """Columns of an index by local path or URL. Raises DataError where it is gone or damaged."""
    filesystem, inner = fsspec.core.url_to_fs(path)
    try:
        with filesystem.open(inner, "rb") as file:
            return pq.read_table(file, columns=columns).combine_chunks()
    except (OSError, pa.ArrowInvalid) as error:
        raise DataError(f"{path}: the index cannot be read: {error}") from None
