"""Only file formats that every reader of the shards can open. Judged by the bytes, not by the name."""

from typing import ClassVar

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.filters.base import Filter


class ImageFormat(Filter):
    reads: ClassVar[tuple[str, ...]] = ("format",)

    allowed: tuple[str, ...] = ("jpeg", "png", "webp")

    def keep(self, batch: pa.RecordBatch) -> pa.BooleanArray:
        return pc.is_in(batch["format"].cast(pa.string()), pa.array(self.allowed))
