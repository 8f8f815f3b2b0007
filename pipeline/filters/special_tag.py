"""Drop captions with tags such as ``<PERSON>``, which CC12M uses to hide names (paper, appendix A)."""

from typing import ClassVar

import pyarrow as pa
from pydantic import Field

from qvl.pipeline.filters.base import Filter, between


class SpecialTag(Filter):
    reads: ClassVar[tuple[str, ...]] = ("special_tags",)

    maximum: int = Field(default=0, ge=0)

    def keep(self, batch: pa.RecordBatch) -> pa.BooleanArray:
        return between(batch["special_tags"], None, self.maximum)
