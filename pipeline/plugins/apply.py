"""Runs an operator over the rows of a table, and finds the rows that make it fail."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from qvl.pipeline.base.errors import DataError
from qvl.pipeline.plugins.attempts import Attempts
from qvl.pipeline.plugins.operators import ColumnPlugin

BATCH_ROWS = 8_192


def apply_column(plugin: ColumnPlugin, table: pa.Table, usable: np.ndarray) -> pa.Table:
    """The columns of an operator over the usable rows of a table, null for the others, and ``fault``.

    ``fault`` is null, or ``unreadable:plugin:NAME:CLASS`` for a row that alone makes the operator raise. Raises DataError
    for an operator that breaks its declaration, or that fails on every row of a batch.
    """
    operator, schema = plugin.open(), plugin.schema
    attempts = Attempts[pa.RecordBatch](
        plugin, schema, lambda batch: columns_of(plugin.name, schema, operator.apply(batch), len(batch))
    )
    chosen = table.select(list(operator.reads))
    if not usable.all():
        chosen = chosen.filter(pa.array(usable))
    chosen = chosen.combine_chunks()
    batches = [batch for batch in chosen.to_batches(max_chunksize=BATCH_ROWS) if len(batch)]
    if not chosen.num_columns:
        batches = []
    computed = pa.Table.from_batches([attempts.rows(batch) for batch in batches], attempts.schema)
    if usable.all():
        return computed
    place = np.full(len(table), -1, np.int64)
    place[usable] = np.arange(int(usable.sum()))
    return computed.combine_chunks().take(pa.array(place, mask=place < 0))


def decoded(table: pa.Table) -> pa.Table:
    """The table with text instead of dictionaries, which many functions of Arrow do not take."""
    for number, field in enumerate(table.schema):
        if pa.types.is_dictionary(field.type):
            table = table.set_column(number, field.name, table[number].cast(field.type.value_type))
    return table


def columns_of(name: str, schema: pa.Schema, result: Any, rows: int, method: str = "apply") -> list[pa.Array]:
    """The arrays of a result in the declared order and types.

    Raises DataError for other columns or another number of rows than declared, and TypeError for values of another type.
    """
    if not isinstance(result, Mapping):
        if len(schema) != 1:
            raise DataError(f"plug-in {name}: `{method}` must return a mapping with {', '.join(schema.names)}")
        result = {schema.names[0]: result}
    if set(result) != set(schema.names):
        found = ", ".join(map(str, result)) or "nothing"
        raise DataError(f"plug-in {name}: `{method}` returned {found}; `writes` declares {', '.join(schema.names)}")
    return [_array(name, field, result[field.name], rows) for field in schema]


def _array(name: str, field: pa.Field, values: Any, rows: int) -> pa.Array:
    if isinstance(values, pa.ChunkedArray):
        values = values.combine_chunks()
    try:
        column = values if isinstance(values, pa.Array) else pa.array(values, field.type, from_pandas=False)
        column = column if column.type == field.type else column.cast(field.type)
        column.validate(full=True)
    except (pa.ArrowException, TypeError, ValueError, OverflowError) as error:
        found = values.type if isinstance(values, pa.Array) else type(values).__name__
        raise TypeError(
            f"the column {field.name} is declared as {field.type}, the values are {found}: {' '.join(str(error).split())}"
        ) from None
    if len(column) != rows:
        raise DataError(f"plug-in {name}: {len(column)} values of {field.name} for a batch of {rows} rows")
    return column
