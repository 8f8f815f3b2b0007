"""Keep only file formats that every reader of the shards can open. The format is that of the bytes, not of the name."""

from typing import ClassVar, Literal

import pyarrow as pa
from pydantic import Field

from qvl.pipeline.filters.base import Filter, among

Format = Literal["jpeg", "png", "webp", "gif", "bmp", "tiff", "ico", "jxl", "jp2", "avif", "heic"]


class ImageFormat(Filter):
    reads: ClassVar[tuple[str, ...]] = ("format",)

    allowed: tuple[Format, ...] = Field(default=("jpeg", "png", "webp"), min_length=1)

    def keep(self, batch: pa.RecordBatch) -> pa.BooleanArray:
        return among(batch["format"], self.allowed)
