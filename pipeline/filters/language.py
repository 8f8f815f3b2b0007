"""Keep only captions in the allowed languages. The paper keeps English and Chinese."""

from typing import Annotated, ClassVar

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field

from qvl.pipeline.filters.base import Filter, among, between

Code = Annotated[str, Field(pattern=r"^[a-z]{2,3}(_[A-Z][a-z]{3})?$")]  # ISO 639; some models add the script

UNDECIDED = "und"


class Language(Filter):
    """``und`` in ``allowed`` keeps what has no language, such as codes and names of products, whatever its probability."""

    reads: ClassVar[tuple[str, ...]] = ("language", "language_probability")

    allowed: tuple[Code, ...] = Field(default=("en", "zh"), min_length=1)
    minimum_probability: float = Field(default=0.0, ge=0.0, le=1.0)

    def keep(self, batch: pa.RecordBatch) -> pa.BooleanArray:
        wanted = among(batch["language"], self.allowed)
        sure = between(batch["language_probability"], self.minimum_probability, None)
        if UNDECIDED in self.allowed:
            sure = pc.or_kleene(sure, among(batch["language"], (UNDECIDED,)))
        return pc.and_kleene(wanted, sure)
