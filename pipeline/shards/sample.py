"""A sample on its way to a shard."""

from dataclasses import dataclass
from typing import Any

from qvl.pipeline.sources.base import Bytes


@dataclass(frozen=True, slots=True)
class SampleImage:
    """An image file that is copied into a shard unchanged. ``extension`` has no dot; width and height are pixels."""

    extension: str
    data: Bytes
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Sample:
    """A sample to be written: ``content`` becomes ``<key>.json`` (see ARCHITECTURE.md), images keep their bytes."""

    content: dict[str, Any]
    images: tuple[SampleImage, ...] = ()
