"""A shard without some of its samples. Byte ranges of whole samples are copied, so the other samples keep their bytes."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from qvl.pipeline.base.errors import DataError
from qvl.pipeline.shards.reader import read_index
from qvl.pipeline.shards.writer import END, INDEX, IndexRow

PIECE = 8 << 20


@dataclass(frozen=True, slots=True)
class CutShard:
    """The new files. ``kept`` and ``removed`` count samples by source, language and task. Sizes are bytes."""

    tar: Path
    index: Path
    samples: int
    bytes: int
    image_bytes: int
    kept: dict[str, dict[str, int]]
    removed: dict[str, Counter[str]]


def cut_shard(tar: Path, target: Path, rows: set[int]) -> CutShard:
    """Write ``tar`` without the samples at ``rows`` to ``target``, with its index next to it.

    Raises DataError if the index does not cover the tar without gaps.
    """
    table = read_index(str(tar.with_suffix(".parquet")), INDEX.names).to_pylist()
    end = 0
    for row in table:
        if row["offset"] != end:
            raise DataError(f"{tar}: its index leaves a gap before {row['key']}; rebuild it with `qvl mix index`")
        end += row["size"]
    kept = [row for number, row in enumerate(table) if number not in rows]
    moved, position = [], 0
    with tar.open("rb") as source, target.open("wb") as written:
        for row in kept:
            _copy(source, written, row["offset"], row["size"])
            moved.append(_moved(row, position - row["offset"]))
            position += row["size"]
        written.write(END)
    pq.write_table(pa.Table.from_pylist(moved, INDEX), target.with_suffix(".parquet"), compression="zstd")
    return CutShard(
        tar=target,
        index=target.with_suffix(".parquet"),
        samples=len(moved),
        bytes=position + len(END),
        image_bytes=sum(sum(row["image_sizes"]) for row in moved),
        kept={kind: dict(sorted(count.items())) for kind, count in _counts(kept).items()},
        removed=_counts([row for number, row in enumerate(table) if number in rows]),
    )


def _copy(source: BinaryIO, target: BinaryIO, start: int, size: int) -> None:
    source.seek(start)
    while size:
        piece = source.read(min(size, PIECE))
        if not piece:
            raise DataError(f"{source.name}: truncated at byte {source.tell()}")
        target.write(piece)
        size -= len(piece)


def _moved(row: IndexRow, by: int) -> IndexRow:
    moved = row.copy()
    moved["offset"] += by
    moved["json_offset"] += by
    moved["image_offsets"] = [offset + by for offset in row["image_offsets"]]
    return moved


def _counts(rows: list[IndexRow]) -> dict[str, Counter[str]]:
    return {
        "sources": Counter(row["source"] for row in rows),
        "languages": Counter(row["language"] for row in rows),
        "tasks": Counter(row["task"] for row in rows),
    }
