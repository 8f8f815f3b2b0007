"""The base class of filters: settings from the recipe, and one vectorised decision."""

from abc import ABC, abstractmethod
from typing import ClassVar

import pyarrow as pa
import pyarrow.compute as pc

from qvl.pipeline.base.recipe_model import RecipeModel


class Filter(RecipeModel, ABC):
    """Decides for each row of a batch whether it passes. A filter never changes or removes rows itself.

    A filter has one name: its file, recipe key, reason in the ledger and test file; its class is that name in CamelCase.
    A row whose value is null (it was not measured) does not pass.
    """

    reads: ClassVar[tuple[str, ...]]

    @property
    def judged_columns(self) -> tuple[str, ...]:
        """The columns that the filter reads."""
        return self.reads

    def over(self, default: "Filter") -> "Filter":
        """The default filter, with the values that this filter sets."""
        return default.model_copy(update={name: getattr(self, name) for name in self.model_fields_set})

    def contradiction(self) -> str | None:
        """Why no row could pass, or None."""
        low, high = getattr(self, "minimum", None), getattr(self, "maximum", None)
        return f"minimum {low} is above maximum {high}" if low is not None and high is not None and low > high else None

    @abstractmethod
    def keep(self, batch: pa.RecordBatch) -> pa.BooleanArray:
        """True where the row passes. ``batch`` holds at least the columns in ``reads``."""


def between(column: pa.Array, minimum: float | None, maximum: float | None) -> pa.BooleanArray:
    """True where minimum <= value <= maximum. A bound of None is no limit; null stays null."""
    passed = [] if minimum is None else [pc.greater_equal(column, _bound(minimum, column.type))]
    if maximum is not None:
        passed.append(pc.less_equal(column, _bound(maximum, column.type)))
    if not passed:
        return pc.is_valid(column)
    return passed[0] if len(passed) == 1 else pc.and_kleene(*passed)


def _bound(value: float, kind: pa.DataType) -> pa.Scalar:
    """The bound as int64, clamped, for a column of integers; for any other column with the precision of its values."""
    if not pa.types.is_integer(kind):
        return pa.scalar(value, kind)
    return pa.scalar(max(-(2**63), min(2**63 - 1, int(value))), pa.int64())


def among(column: pa.Array, values: tuple[str, ...]) -> pa.BooleanArray:
    """True where a dictionary-encoded column holds one of ``values``; null stays null. Compares each distinct value once."""
    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks()
    return pc.is_in(column.dictionary, pa.array(values, pa.string())).take(column.indices)
