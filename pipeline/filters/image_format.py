"""Only file formats that every reader of the shards can open. Judged by the bytes, not by the name."""

from typing import ClassVar

import pyarrow as pa

from pipeline.filters.base import Filter, among


class ImageFormat(Filter):
    reads: ClassVar[tuple[str, ...]] = ("format",)

    allowed: tuple[str, ...] = ("jpeg", "png", "webp")

    def keep(self, batch: pa.RecordBatch) -> pa.BooleanArray:
        return among(batch["format"], self.allowed)
