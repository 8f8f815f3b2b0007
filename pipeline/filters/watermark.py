"""Drop images that probably have a watermark, by the score that the source provides."""

from typing import ClassVar

import pyarrow as pa
from pydantic import Field

from qvl.pipeline.filters.base import Filter, between


class Watermark(Filter):
    reads: ClassVar[tuple[str, ...]] = ("watermark",)

    maximum: float = Field(default=0.8, ge=0.0, le=1.0)

    def keep(self, batch: pa.RecordBatch) -> pa.BooleanArray:
        return between(batch["watermark"], None, self.maximum)
