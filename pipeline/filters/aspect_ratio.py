"""Rule 1 of the paper: drop images whose longer side divided by the shorter one is too large."""

from typing import ClassVar

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field

from qvl.pipeline.filters.base import Filter


class AspectRatio(Filter):
    reads: ClassVar[tuple[str, ...]] = ("width", "height")

    maximum: float = Field(default=3.0, ge=1.0)

    def keep(self, batch: pa.RecordBatch) -> pa.BooleanArray:
        width, height = batch["width"], batch["height"]
        longer, shorter = (
            extreme(width, height, skip_nulls=False) for extreme in (pc.max_element_wise, pc.min_element_wise)
        )
        limit = pc.multiply(shorter.cast(pa.float64()), self.maximum)
        return pc.and_(pc.greater(shorter, 0), pc.less_equal(longer.cast(pa.float64()), limit))
