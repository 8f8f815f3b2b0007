"""Only pixel layouts that convert to RGB without loss of meaning: 16-bit files do not (Pillow clips them)."""

from typing import ClassVar

import pyarrow as pa

from pipeline.filters.base import Filter, among


class ImageMode(Filter):
    reads: ClassVar[tuple[str, ...]] = ("mode",)

    allowed: tuple[str, ...] = ("L", "LA", "P", "PA", "RGB", "RGBA", "CMYK")

    def keep(self, batch: pa.RecordBatch) -> pa.BooleanArray:
        return among(batch["mode"], self.allowed)
