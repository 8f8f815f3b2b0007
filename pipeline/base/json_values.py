"""Values of Arrow columns as values that JSON can hold, the same on every machine."""

import math

import pyarrow as pa
from pydantic import JsonValue


def json_values(column: pa.ChunkedArray | pa.Array) -> list[JsonValue]:
    """The values of a column as JSON: dates, times and decimals as text, bytes as hex digits, NaN and infinity as null."""
    kind = column.type
    if pa.types.is_string(kind) or pa.types.is_integer(kind) or pa.types.is_boolean(kind):
        plain: list[JsonValue] = column.to_pylist()
        return plain
    return [json_value(scalar) for scalar in column]


def json_value(scalar: pa.Scalar) -> JsonValue:
    """One value as JSON. Maps become lists of pairs, because their keys need not be text."""
    if not scalar.is_valid:
        return None
    kind = scalar.type
    if pa.types.is_dictionary(kind):
        return json_value(scalar.value)
    if pa.types.is_map(kind):
        return [[json_value(pair["key"]), json_value(pair["value"])] for pair in scalar.values]
    if pa.types.is_struct(kind):
        return {field.name: json_value(scalar[number]) for number, field in enumerate(kind)}
    if hasattr(scalar, "values") and isinstance(scalar.values, pa.Array):
        return [json_value(item) for item in scalar.values]
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_fixed_size_binary(kind):
        return bytes(scalar.as_buffer()).hex()
    if pa.types.is_temporal(kind) or pa.types.is_decimal(kind):
        return _text(scalar)
    value: JsonValue = scalar.as_py()
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _text(scalar: pa.Scalar) -> str:
    """The text of a date, a time or a decimal; of a value that has none, the number that is stored."""
    try:
        return str(scalar.cast(pa.string()).as_py())
    except pa.ArrowException:
        return str(getattr(scalar, "value", None))
