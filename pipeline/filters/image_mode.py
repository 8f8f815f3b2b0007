"""Only pixel layouts that convert to RGB without loss of meaning: 16-bit files do not (Pillow clips them)."""

from typing import ClassVar

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.filters.base import Filter


class ImageMode(Filter):
    reads: ClassVar[tuple[str, ...]] = ("mode",)

    allowed: tuple[str, ...] = ("L", "LA", "P", "PA", "RGB", "RGBA", "CMYK")

    def keep(self, batch: pa.RecordBatch) -> pa.BooleanArray:
        return pc.is_in(batch["mode"].cast(pa.string()), pa.array(self.allowed))
