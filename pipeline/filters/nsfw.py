"""Drop images that are probably not safe for work, by the score that the source provides."""

from typing import ClassVar

import pyarrow as pa
from pydantic import Field

from qvl.pipeline.filters.base import Filter, between


class Nsfw(Filter):
    reads: ClassVar[tuple[str, ...]] = ("nsfw",)

    maximum: float = Field(default=0.5, ge=0.0, le=1.0)

    def keep(self, batch: pa.RecordBatch) -> pa.BooleanArray:
        return between(batch["nsfw"], None, self.maximum)
