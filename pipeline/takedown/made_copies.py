"""What a build's made units still hold of samples that were taken down: it is blanked where it stands.

A unit keeps its form, offsets and number of samples, so that packing it again comes to the same shards.
"""

import shutil
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.compute as pc

from qvl.pipeline.commit.layout import Layout
from qvl.pipeline.shards.reader import read_index

FIELDS = ["key", "image_offsets", "image_sizes", "json_offset", "json_size"]

Rows = list[dict[str, Any]]


def held_copies(layout: Layout, units: Iterable[str], ids: Collection[str]) -> dict[str, Rows]:
    """Index rows of these samples whose bytes are still in a made unit, by unit."""
    found: dict[str, Rows] = {}
    for unit in units:
        tar = layout.made(unit)
        if not ids or not tar.is_file():
            continue
        index = read_index(str(tar.with_suffix(".parquet")), FIELDS)
        rows = index.filter(pc.is_in(index["key"], pa.array(sorted(ids)))).to_pylist()
        with tar.open("rb") as file:
            held = [row for row in rows if _read(file, row) != _blank(row)]
        if held:
            found[unit] = held
    return found


def blank_copy(tar: Path, target: Path, rows: Rows) -> Path:
    """Write ``tar`` to ``target`` with zeros for the images of these rows and the id alone for their JSON."""
    shutil.copyfile(tar, target)
    with target.open("r+b") as file:
        for row in rows:
            spans = zip(row["image_offsets"], row["image_sizes"], strict=True)
            for offset, data in [*((at, bytes(size)) for at, size in spans), (row["json_offset"], _blank(row))]:
                file.seek(offset)
                file.write(data)
    return target


def _blank(row: dict[str, Any]) -> bytes:
    return orjson.dumps({"id": row["key"]}).ljust(row["json_size"])


def _read(file: Any, row: dict[str, Any]) -> bytes:
    file.seek(row["json_offset"])
    data: bytes = file.read(row["json_size"])
    return data
