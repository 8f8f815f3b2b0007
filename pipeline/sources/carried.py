"""Columns that are carried along: values of any Arrow type, from a file's own columns or from texts and JSON.

A Parquet file says the type of its columns. In every other format a carried column holds text (a JSON value that is not
text is carried as its JSON), unless the recipe declares another type; a value that does not fit the declared type is null.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.compute as pc

UNFIT = (pa.ArrowException, ValueError, TypeError, OverflowError, ArithmeticError)  # of one value
LEAST_BYTES = 16  # what any carried value counts for in a batch

Carried = tuple[object, ...]
"""The carried values of one row, in the order of ``extra``: Arrow scalars, arrays of one nested value, values of Python."""


def declared_type(text: str) -> pa.DataType:
    """The Arrow type of a name such as ``string``, ``int64``, ``float32``, ``bool``, ``date32`` or ``list<string>``.

    Raises ValueError for any other text.
    """
    name = text.strip()
    if name.startswith("list<") and name.endswith(">"):
        return pa.list_(declared_type(name[5:-1]))
    try:
        return pa.type_for_alias(name)
    except ValueError:
        raise ValueError(
            f"{text} is not a type; use string, int64, float32, bool, date32, list<string> or the like"
        ) from None


def carried_type(kind: pa.DataType) -> pa.DataType:
    """The type with which a column of a file is carried: dictionaries and extension types as what they hold."""
    if isinstance(kind, pa.BaseExtensionType):
        return carried_type(kind.storage_type)
    if pa.types.is_dictionary(kind):
        return carried_type(kind.value_type)
    if pa.types.is_string_view(kind):
        return pa.string()
    return pa.binary() if pa.types.is_binary_view(kind) else kind


def arrow_cells(column: pa.Array) -> list[object]:
    """The values of a file's column: Arrow scalars, arrays of one value where the type is nested, None for null."""
    if isinstance(column, pa.ExtensionArray):
        column = column.storage
    if pa.types.is_dictionary(column.type):
        column = column.dictionary.take(column.indices)
    if pa.types.is_nested(column.type):  # Arrow makes no array of nested scalars with nulls in them
        return [column.slice(row, 1) for row in range(len(column))]
    return [scalar if scalar.is_valid else None for scalar in column]


def carried_column(values: Sequence[object], kind: pa.DataType) -> pa.Array:
    """The values as one array. Text that is not UTF-8 is carried with escapes; a value that does not fit is null."""
    if any(isinstance(value, pa.Array) for value in values):
        return _nested(values, kind)
    if pa.types.is_integer(kind):  # Arrow would cut 1.5 to 1
        values = [None if isinstance(value, float) and not value.is_integer() else value for value in values]
    try:
        column = pa.array(values, kind)
        column.validate(full=True)  # an array of Arrow scalars may hold text that is not UTF-8
        return column
    except UNFIT:
        return pa.array([_fitted(value, kind) for value in values], kind)


def _nested(values: Sequence[object], kind: pa.DataType) -> pa.Array:
    parts = [_fitted_part(value, kind) if isinstance(value, pa.Array) else pa.nulls(1, kind) for value in values]
    return pa.concat_arrays(parts)


def _fitted_part(value: pa.Array, kind: pa.DataType) -> pa.Array:
    """One nested value as an array of this type; null where it does not fit or holds text that is not UTF-8."""
    try:
        if value.type != kind:
            value = value.cast(kind)
        value.validate(full=True)
    except UNFIT:
        return pa.nulls(1, kind)
    return value


def _fitted(value: object, kind: pa.DataType) -> object:
    """A value that an array of this type can hold, or None."""
    try:
        if pa.types.is_string(kind) or pa.types.is_large_string(kind):
            return _text(value)
        if isinstance(value, bytes) and not _is_binary(kind):
            value = value.decode()
        if isinstance(value, str) and not _is_binary(kind):
            value = pc.cast(pa.scalar(value.strip()), kind)
        if isinstance(value, pa.Scalar) and value.type != kind:
            value = value.cast(kind)
        pa.array([value], kind)
        return value
    except UNFIT:
        return None


def _is_binary(kind: pa.DataType) -> bool:
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_fixed_size_binary(kind))


def _text(value: object) -> str | None:
    if isinstance(value, pa.Scalar):
        held = getattr(value, "as_buffer", None)
        value = bytes(held()) if held is not None else value.as_py()
    if isinstance(value, bytes):
        return value.decode("utf-8", "backslashreplace")
    if value is None:
        return None
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()
    return orjson.dumps(value, default=str, option=orjson.OPT_NON_STR_KEYS).decode()


def carried_bytes(values: Iterable[Any]) -> int:
    """About how many bytes the carried values of a row take."""
    return sum(_bytes(value) for value in values)


def _bytes(value: Any) -> int:
    if isinstance(value, str | bytes | list | dict):
        return LEAST_BYTES + len(value)
    held = getattr(value, "as_buffer", None)
    if held is not None:
        return LEAST_BYTES + int(held().size)
    return LEAST_BYTES + (int(value.nbytes) if isinstance(value, pa.Array) else 0)
