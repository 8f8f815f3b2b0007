"""Rule 2 of the paper: drop images that are too small. Sides are in pixels, as stored."""

from typing import ClassVar

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field

from qvl.pipeline.filters.base import Filter, between


class ImageSize(Filter):
    reads: ClassVar[tuple[str, ...]] = ("width", "height")

    minimum_side: int = Field(default=200, ge=1)

    def keep(self, batch: pa.RecordBatch) -> pa.BooleanArray:
        return between(pc.min_element_wise(batch["width"], batch["height"], skip_nulls=False), self.minimum_side, None)
