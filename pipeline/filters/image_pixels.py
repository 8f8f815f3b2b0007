"""Drop decompression bombs: images whose header claims more pixels than any photograph has."""

from typing import ClassVar

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field

from qvl.pipeline.filters.base import Filter, between


class ImagePixels(Filter):
    reads: ClassVar[tuple[str, ...]] = ("width", "height")

    maximum: int = Field(default=178_956_970, gt=0)

    def keep(self, batch: pa.RecordBatch) -> pa.BooleanArray:
        pixels = pc.multiply(batch["width"].cast(pa.int64()), batch["height"].cast(pa.int64()))
        return between(pixels, 1, self.maximum)
