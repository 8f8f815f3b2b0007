"""The caption is in a wanted language. The paper keeps English and Chinese."""

from typing import ClassVar

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field

from pipeline.filters.base import Filter, among, between


class Language(Filter):
    reads: ClassVar[tuple[str, ...]] = ("language", "language_probability")

    allowed: tuple[str, ...] = ("en", "zh")
    minimum_probability: float = Field(default=0.0, ge=0.0, le=1.0)

    def keep(self, batch: pa.RecordBatch) -> pa.BooleanArray:
        wanted = among(batch["language"], self.allowed)
        return pc.and_kleene(wanted, between(batch["language_probability"], self.minimum_probability, None))
