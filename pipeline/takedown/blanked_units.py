"""The bytes of taken-down samples in a build's units: they are blanked in the unit's tar.

A unit keeps its structure, its offsets and its number of samples, so that packing it again gives the same shards.
"""

import shutil
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import pyarrow as pa
import pyarrow.compute as pc

from qvl.pipeline.commit.layout import Layout
from qvl.pipeline.shards.reader import read_index
from qvl.pipeline.shards.sample import blank_json

COLUMNS = ["key", "image_offsets", "image_sizes", "json_offset", "json_size"]


@dataclass(frozen=True, slots=True)
class UnitSample:
    """Where the bytes of a sample are in a unit's tar. The fields are index columns."""

    key: str
    image_offsets: list[int]
    image_sizes: list[int]
    json_offset: int
    json_size: int

    @property
    def blank_json(self) -> bytes:
        """What replaces the JSON."""
        return blank_json(self.key, self.json_size)


HeldSamples = dict[str, list[UnitSample]]  # by unit


def samples_held(layout: Layout, units: Iterable[str], ids: Collection[str]) -> HeldSamples:
    """The samples with these ids whose bytes are still in a unit's tar, by unit. Blanked ones are not listed."""
    found: HeldSamples = {}
    for unit in units:
        tar = layout.made(unit)
        if not ids or not tar.is_file():
            continue
        index = read_index(str(tar.with_suffix(".parquet")), COLUMNS)
        rows = index.filter(pc.is_in(index["key"], pa.array(sorted(ids)))).to_pylist()
        with tar.open("rb") as file:
            held = [sample for row in rows if not _is_blank(file, sample := UnitSample(**row))]
        if held:
            found[unit] = held
    return found


def blank_samples(tar: Path, target: Path, samples: Iterable[UnitSample]) -> Path:
    """Copy ``tar`` to ``target`` with zeros for the images of these samples and only the id in their JSON."""
    shutil.copyfile(tar, target)
    with target.open("r+b") as file:
        for sample in samples:
            for offset, size in zip(sample.image_offsets, sample.image_sizes, strict=True):
                file.seek(offset)
                file.write(bytes(size))
            file.seek(sample.json_offset)
            file.write(sample.blank_json)
    return target


def _is_blank(file: BinaryIO, sample: UnitSample) -> bool:
    file.seek(sample.json_offset)
    return file.read(sample.json_size) == sample.blank_json
