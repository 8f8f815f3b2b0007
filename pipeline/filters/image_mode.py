"""Keep only pixel layouts that convert to RGB faithfully. 16-bit files do not, because Pillow clips them."""

from typing import ClassVar, Literal

import pyarrow as pa
from pydantic import Field

from qvl.pipeline.filters.base import Filter, among

Mode = Literal["L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "L;16", "LA;16", "RGB;16", "RGBA;16"]


class ImageMode(Filter):
    reads: ClassVar[tuple[str, ...]] = ("mode",)

    allowed: tuple[Mode, ...] = Field(default=("L", "LA", "P", "PA", "RGB", "RGBA", "CMYK"), min_length=1)

    def keep(self, batch: pa.RecordBatch) -> pa.BooleanArray:
        return among(batch["mode"], self.allowed)
