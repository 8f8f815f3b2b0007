"""Rule 4 of the paper: drop captions with letters that are not English or Chinese. Other characters are allowed."""

from typing import ClassVar

import pyarrow as pa
from pydantic import Field

from qvl.pipeline.filters.base import Filter, between


class Characters(Filter):
    reads: ClassVar[tuple[str, ...]] = ("other",)

    maximum_share: float = Field(default=0.0, ge=0.0, le=1.0)

    def keep(self, batch: pa.RecordBatch) -> pa.BooleanArray:
        return between(batch["other"], None, self.maximum_share)
