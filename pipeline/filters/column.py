"""A filter over one column of any name, written in the recipe alone: bounds, sets and patterns."""

from typing import ClassVar, Literal

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field, StrictBool, field_validator

from qvl.pipeline.base.errors import RecipeError
from qvl.pipeline.filters.base import Filter, between

Value = StrictBool | int | float | str


class ColumnFilter(Filter):
    """What the values of ``column`` must be. Every condition that is set must hold.

    ``minimum`` and ``maximum`` are bounds of numbers. ``allowed`` and ``forbidden`` are lists of values. ``pattern`` must be
    found in a text, ``forbidden_pattern`` must not (regular expressions of RE2). A value that is missing (null or NaN)
    fails, unless ``missing`` is ``keep``.
    """

    reads: ClassVar[tuple[str, ...]] = ()

    column: str = Field(default="", exclude=True, repr=False)  # set by Filters: the key in the recipe
    minimum: int | float | None = None
    maximum: int | float | None = None
    allowed: tuple[Value, ...] | None = Field(default=None, min_length=1)
    forbidden: tuple[Value, ...] | None = Field(default=None, min_length=1)
    pattern: str | None = None
    forbidden_pattern: str | None = None
    missing: Literal["drop", "keep"] = "drop"

    @field_validator("pattern", "forbidden_pattern")
    @classmethod
    def _is_regular(cls, pattern: str | None) -> str | None:
        try:
            pc.match_substring_regex(pa.array([""]), pattern or "")
        except pa.ArrowInvalid as error:
            raise ValueError(f"not a regular expression of RE2: {str(error).splitlines()[0]}") from None
        return pattern

    @property
    def judged_columns(self) -> tuple[str, ...]:
        return (self.column,)

    def contradiction(self) -> str | None:
        if self.allowed is not None and set(self.allowed) <= set(self.forbidden or ()):
            return "every allowed value is forbidden"
        return super().contradiction()

    def keep(self, batch: pa.RecordBatch) -> pa.BooleanArray:
        column = self._plain(batch[self.column])
        passed = [pc.is_valid(column)]
        if self.minimum is not None or self.maximum is not None:
            passed.append(self._between(column))
        for values, wanted in ((self.allowed, True), (self.forbidden, False)):
            if values is not None:
                found = pc.is_in(column, self._values(values, column.type))
                passed.append(found if wanted else pc.invert(found))
        for pattern, wanted in ((self.pattern, True), (self.forbidden_pattern, False)):
            if pattern is not None:
                found = pc.match_substring_regex(self._text(column), pattern)
                passed.append(found if wanted else pc.invert(found))
        result = passed[0]
        for each in passed[1:]:
            result = pc.and_(result, pc.fill_null(each, False))
        missing = pc.is_null(column)
        return pc.if_else(missing, pa.scalar(True if self.missing == "keep" else None, pa.bool_()), result)

    def _plain(self, column: pa.Array | pa.ChunkedArray) -> pa.Array:
        """The column in one piece, its dictionary decoded and NaN as null."""
        if isinstance(column, pa.ChunkedArray):
            column = column.combine_chunks()
        if pa.types.is_dictionary(column.type):
            column = column.dictionary.take(column.indices)
        if pa.types.is_decimal(column.type):
            column = column.cast(pa.float64())
        if pa.types.is_float16(column.type):
            column = column.cast(pa.float32())
        if pa.types.is_floating(column.type):
            column = pc.if_else(pc.is_nan(column), pa.scalar(None, column.type), column)
        return column

    def _between(self, column: pa.Array) -> pa.BooleanArray:
        """Whether the numbers are in bounds; a fractional bound of an integer column is moved to the next integer inside."""
        kind = column.type
        if pa.types.is_floating(kind):
            return between(column, self.minimum, self.maximum)
        if not pa.types.is_integer(kind):
            raise self._unfit("minimum and maximum need numbers", kind)
        low = None if self.minimum is None else -(-self.minimum // 1)
        high = None if self.maximum is None else self.maximum // 1
        return between(column if kind != pa.uint64() else column.cast(pa.float64(), safe=False), low, high)

    def _values(self, values: tuple[Value, ...], kind: pa.DataType) -> pa.Array:
        fits = {
            bool: pa.types.is_boolean(kind),
            str: pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_temporal(kind),
            int: pa.types.is_integer(kind) or pa.types.is_floating(kind),
            float: pa.types.is_floating(kind),
        }
        unfit = next((value for value in values if not fits[type(value)]), None)
        if unfit is not None:
            raise self._unfit(f"it is compared with {unfit!r}", kind)
        try:
            texts = pa.types.is_temporal(kind)
            return pc.cast(pa.array(values, pa.string()), kind) if texts else pa.array(values, kind)
        except (pa.ArrowException, OverflowError):
            raise self._unfit(f"it is compared with {', '.join(map(str, values))}", kind) from None

    def _text(self, column: pa.Array) -> pa.Array:
        if not (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)):
            raise self._unfit("a pattern needs text", column.type)
        return column

    def _unfit(self, what: str, kind: pa.DataType) -> RecipeError:
        return RecipeError(f"filters.columns.{self.column}: {what}, but the column has type {kind}")

    def passing(self, texts: list[str]) -> list[bool]:
        """Whether values would pass, given as text, for charts of values; bounds are not asked."""
        allowed = None if self.allowed is None else {text_of(value) for value in self.allowed}
        forbidden = {text_of(value) for value in self.forbidden or ()}
        found = pa.array([True] * len(texts), pa.bool_())
        column = pa.array(texts, pa.string())
        if self.pattern is not None:
            found = pc.and_(found, pc.match_substring_regex(column, self.pattern))
        if self.forbidden_pattern is not None:
            found = pc.and_not(found, pc.match_substring_regex(column, self.forbidden_pattern))
        return [
            bool(matched) and (allowed is None or text in allowed) and text not in forbidden
            for text, matched in zip(texts, found.to_pylist(), strict=True)
        ]


def text_of(value: Value) -> str:
    """A value of a recipe as charts show it."""
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)
