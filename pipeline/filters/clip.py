"""Rule 3 of the paper: drop rows with a low CLIP score of image and caption. Compares the score as stored, rounded."""

from typing import ClassVar

import pyarrow as pa

from qvl.pipeline.filters.base import Filter, between


class Clip(Filter):
    reads: ClassVar[tuple[str, ...]] = ("clip",)

    minimum: float

    def keep(self, batch: pa.RecordBatch) -> pa.BooleanArray:
        return between(batch["clip"], self.minimum, None)
