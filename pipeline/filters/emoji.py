"""Rule 5 of the paper: drop captions with emoji."""

from typing import ClassVar

import pyarrow as pa
from pydantic import Field

from qvl.pipeline.filters.base import Filter, between


class Emoji(Filter):
    reads: ClassVar[tuple[str, ...]] = ("emoji",)

    maximum: int = Field(default=0, ge=0)

    def keep(self, batch: pa.RecordBatch) -> pa.BooleanArray:
        return between(batch["emoji"], None, self.maximum)
