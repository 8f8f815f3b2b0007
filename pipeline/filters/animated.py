"""Drop animations: their first frame is often empty."""

from typing import ClassVar

import pyarrow as pa
import pyarrow.compute as pc

from qvl.pipeline.filters.base import Filter


class Animated(Filter):
    reads: ClassVar[tuple[str, ...]] = ("animated",)

    def keep(self, batch: pa.RecordBatch) -> pa.BooleanArray:
        return pc.invert(batch["animated"])
