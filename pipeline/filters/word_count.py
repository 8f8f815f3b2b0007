"""Rule 6 of the paper, in words: a run of letters or digits counts as one word, and so does each Han character."""

from typing import ClassVar

import pyarrow as pa
from pydantic import Field

from qvl.pipeline.filters.base import Filter, between


class WordCount(Filter):
    reads: ClassVar[tuple[str, ...]] = ("words",)

    minimum: int = Field(default=3, ge=0)
    maximum: int = Field(default=256, ge=1)

    def keep(self, batch: pa.RecordBatch) -> pa.BooleanArray:
        return between(batch["words"], self.minimum, self.maximum)
