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
    passed = [] if minimum is None else [pc.greater_equal(column, pa.scalar(minimum, column.type))]
    if maximum is not None:
        passed.append(pc.less_equal(column, pa.scalar(maximum, column.type)))
    if not passed:
        return pc.is_valid(column)
    return passed[0] if len(passed) == 1 else pc.and_kleene(*passed)


def among(column: pa.Array, words: tuple[str, ...]) -> pa.BooleanArray:
    """True where a word column holds one of ``words``; null stays null. Compares each different word once."""
    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks()
    return pc.is_in(column.dictionary, pa.array(words, pa.string())).take(column.indices)
