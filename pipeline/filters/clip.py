"""Rule 3 of the paper: the CLIP score of image and caption, per source. Decided on the stored, rounded score."""

from typing import ClassVar

import pyarrow as pa

from qvl.pipeline.filters.base import Filter, between


class Clip(Filter):
    reads: ClassVar[tuple[str, ...]] = ("clip",)

    minimum: float

    def keep(self, batch: pa.RecordBatch) -> pa.BooleanArray:
        return between(batch["clip"], self.minimum, None)
