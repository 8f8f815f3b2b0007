"""Drop captions with a marker of the training format (``<box>``, end of text), which would become a special token.

Every curation has this filter, whether or not its recipe lists it.
"""

from typing import ClassVar

import pyarrow as pa
from pydantic import Field

from qvl.pipeline.filters.base import Filter, between


class Markup(Filter):
    reads: ClassVar[tuple[str, ...]] = ("markers",)

    maximum: int = Field(default=0, ge=0, le=0)

    def keep(self, batch: pa.RecordBatch) -> pa.BooleanArray:
        return between(batch["markers"], None, self.maximum)
