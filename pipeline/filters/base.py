"""What a filter is: recipe values and one vectorised judgement."""

from abc import ABC, abstractmethod
from typing import ClassVar

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.frozen import Frozen


class Filter(Frozen, ABC):
    """Judges a batch: one boolean per row. Never edits, never drops.

    The same word everywhere: file, recipe key, reason in the ledger, test file; the class is that word in capitals.
    A null (nothing was measured) does not pass: what cannot be shown to be good is dropped for this reason.
    """

    reads: ClassVar[tuple[str, ...]]

    @abstractmethod
    def keep(self, batch: pa.RecordBatch) -> pa.BooleanArray:
        """True where the row passes. ``batch`` holds at least the columns in ``reads``."""


def between(column: pa.Array, minimum: float | None, maximum: float | None) -> pa.BooleanArray:
    """True where minimum <= value <= maximum; a missing bound does not bind; null stays null."""
    result = pc.is_valid(column)
    if minimum is not None:
        result = pc.and_kleene(result, pc.greater_equal(column, pa.scalar(minimum, column.type)))
    if maximum is not None:
        result = pc.and_kleene(result, pc.less_equal(column, pa.scalar(maximum, column.type)))
    return result
