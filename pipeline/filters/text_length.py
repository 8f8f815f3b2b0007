"""Rule 6 of the paper: drop captions that are too short or too long after cleaning, in characters."""

from typing import ClassVar

import pyarrow as pa
from pydantic import Field

from qvl.pipeline.filters.base import Filter, between


class TextLength(Filter):
    reads: ClassVar[tuple[str, ...]] = ("characters",)

    minimum: int = Field(default=6, ge=0)
    maximum: int = Field(default=1_000, ge=1)

    def keep(self, batch: pa.RecordBatch) -> pa.BooleanArray:
        return between(batch["characters"], self.minimum, self.maximum)
