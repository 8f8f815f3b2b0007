"""Drop rows whose caption is empty after cleaning: an image alone teaches a model to answer with nothing.

Every curation has this filter unless its ``text_length`` already asks for at least one character.
"""

from typing import ClassVar

import pyarrow as pa

from qvl.pipeline.filters.base import Filter, between


class NoCaption(Filter):
    reads: ClassVar[tuple[str, ...]] = ("characters",)

    def keep(self, batch: pa.RecordBatch) -> pa.BooleanArray:
        return between(batch["characters"], 1, None)
