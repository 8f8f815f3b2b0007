"""What a filter is: recipe values and one vectorised judgement."""

from abc import ABC, abstractmethod
from typing import ClassVar

import pyarrow as pa
import pyarrow.compute as pc

from qvl.pipeline.base.recipe_model import RecipeModel


class Filter(RecipeModel, ABC):
    """Judges a batch: one boolean per row. Never edits, never drops.

    The same word everywhere: file, recipe key, reason in the ledger, test file; the class is that word in capitals.
    A null (nothing was measured) does not pass: what cannot be shown to be good is dropped for this reason.
    """

    reads: ClassVar[tuple[str, ...]]

    def over(self, default: "Filter") -> "Filter":
        """The default filter with the values that this one sets."""
        return default.model_copy(update={name: getattr(self, name) for name in self.model_fields_set})

    def contradiction(self) -> str | None:
        """Why no row can pass, or None."""
        low, high = getattr(self, "minimum", None), getattr(self, "maximum", None)
        return f"minimum {low} is above maximum {high}" if low is not None and high is not None and low > high else None

    @abstractmethod
    def keep(self, batch: pa.RecordBatch) -> pa.BooleanArray:
        """True where the row passes. ``batch`` holds at least the columns in ``reads``."""


def between(column: pa.Array, minimum: float | None, maximum: float | None) -> pa.BooleanArray:
    """True where minimum <= value <= maximum; a missing bound does not bind; null stays null."""
    passed = [] if minimum is None else [pc.greater_equal(column, _bound(minimum, column.type))]
    if maximum is not None:
        passed.append(pc.less_equal(column, _bound(maximum, column.type)))
    if not passed:
        return pc.is_valid(column)
    return passed[0] if len(passed) == 1 else pc.and_kleene(*passed)


def _bound(value: float, kind: pa.DataType) -> pa.Scalar:
    """A bound of any size for a column of whole numbers; for another one as precise as the stored values."""
    if not pa.types.is_integer(kind):
        return pa.scalar(value, kind)
    return pa.scalar(max(-(2**63), min(2**63 - 1, int(value))), pa.int64())


def among(column: pa.Array, words: tuple[str, ...]) -> pa.BooleanArray:
    """True where a word column holds one of ``words``; null stays null. Compares each different word once."""
    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks()
    return pc.is_in(column.dictionary, pa.array(words, pa.string())).take(column.indices)
