"""Drop files that are too small to be a photograph (COYO drops those under 5 KB) or too large to be worth storing."""

from typing import ClassVar

import pyarrow as pa
from pydantic import Field

from qvl.pipeline.filters.base import Filter, between


class ImageBytes(Filter):
    reads: ClassVar[tuple[str, ...]] = ("image_bytes",)

    minimum: int = Field(default=5_000, ge=0)
    maximum: int | None = None

    def keep(self, batch: pa.RecordBatch) -> pa.BooleanArray:
        return between(batch["image_bytes"], self.minimum, self.maximum)
