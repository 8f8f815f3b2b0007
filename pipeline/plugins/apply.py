"""Runs an operator over the rows of a table, and finds the rows that make it fail."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from qvl.pipeline.base.errors import DataError
from qvl.pipeline.plugins.bases import Column
from qvl.pipeline.plugins.code import explain
from qvl.pipeline.plugins.operators import ColumnPlugin

BATCH_ROWS = 8_192
SYSTEMATIC_ROWS = 8  # an error in so many rows, and in no fewer than all of them, is one of the program
FAULT = pa.field("fault", pa.string())


def apply_column(plugin: ColumnPlugin, table: pa.Table, usable: np.ndarray) -> pa.Table:
    """The columns of an operator over the usable rows of a table, null for the others, and ``fault``.

    ``fault`` is null, or ``unreadable:plugin:NAME:CLASS`` for a row that alone makes the operator raise. Raises DataError
    for an operator that breaks its declaration, or that fails on every row of a batch.
    """
    run = _Run(plugin, plugin.open(), pa.schema([*plugin.schema, FAULT]))
    chosen = table.select(list(run.operator.reads))
    if not usable.all():
        chosen = chosen.filter(pa.array(usable))
    chosen = chosen.combine_chunks()
    batches = [batch for batch in chosen.to_batches(max_chunksize=BATCH_ROWS) if len(batch)]
    if not chosen.num_columns:
        batches = []
    computed = pa.Table.from_batches([run.batch(batch) for batch in batches], run.schema)
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


@dataclass(frozen=True, slots=True)
class _Run:
    """An operator with the schema of its results."""

    plugin: ColumnPlugin
    operator: Column
    schema: pa.Schema

    def batch(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """The results of a batch. Where some rows fail, the others have theirs."""
        try:
            return self._whole(batch)
        except DataError:
            raise
        except Exception as error:  # some row caused it; bisection finds it
            found = self._bisect(batch)
            if len(batch) >= SYSTEMATIC_ROWS and found["fault"].null_count == 0:
                name = self.plugin.code.name
                raise DataError(f"plug-in {self.plugin.name} fails on every row: {explain(error, name)}") from error
            return found

    def _bisect(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        try:
            return self._whole(batch)
        except DataError:
            raise
        except Exception as error:  # noqa: BLE001 - any error becomes the fault of its row
            if len(batch) == 1:
                fault = f"unreadable:plugin:{self.plugin.name}:{type(error).__name__}"
                nulls = [pa.nulls(1, field.type) for field in self.plugin.schema]
                return pa.RecordBatch.from_arrays([*nulls, pa.array([fault])], schema=self.schema)
        half = len(batch) // 2
        parts = [self._bisect(batch.slice(0, half)), self._bisect(batch.slice(half))]
        return pa.Table.from_batches(parts).combine_chunks().to_batches()[0]

    def _whole(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        columns = columns_of(self.plugin.name, self.plugin.schema, self.operator.apply(batch), len(batch))
        return pa.RecordBatch.from_arrays([*columns, pa.nulls(len(batch), FAULT.type)], schema=self.schema)


def columns_of(name: str, schema: pa.Schema, result: Any, rows: int) -> list[pa.Array]:
    """The arrays of a result in the declared order and types.

    Raises DataError for other columns or another number of rows than declared, and TypeError for values of another type.
    """
    if not isinstance(result, Mapping):
        if len(schema) != 1:
            raise DataError(f"plug-in {name}: `apply` must return a mapping with {', '.join(schema.names)}")
        result = {schema.names[0]: result}
    if set(result) != set(schema.names):
        found = ", ".join(map(str, result)) or "nothing"
        raise DataError(f"plug-in {name}: `apply` returned {found}; `writes` declares {', '.join(schema.names)}")
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
