"""Runs an operator over rows of which some may make it fail, and finds these rows by bisection."""

from collections.abc import Callable, Sequence
from typing import Generic, Protocol, Self, TypeVar

import pyarrow as pa

from qvl.pipeline.base.errors import DataError, QvlError
from qvl.pipeline.plugins.code import explain
from qvl.pipeline.plugins.operators import Plugin

SYSTEMATIC_ROWS = 8  # an error in so many rows, and in no fewer than all of them, is one of the program
FAULT = pa.field("fault", pa.string())


class Rows(Protocol):
    """Rows that can be divided, such as a record batch."""

    def __len__(self) -> int: ...

    def slice(self, offset: int, length: int | None = None) -> Self: ...


Some = TypeVar("Some", bound=Rows)


class Attempts(Generic[Some]):
    """``compute`` over rows: its columns by ``schema``, and ``fault`` (null, or the reason why a row has no values)."""

    def __init__(self, plugin: Plugin, schema: pa.Schema, compute: Callable[[Some], Sequence[pa.Array]]) -> None:
        self.plugin, self.compute = plugin, compute
        self.schema = pa.schema([*schema, FAULT])

    def rows(self, rows: Some) -> pa.RecordBatch:
        """The results of rows. Where some fail, the others have theirs; DataError if all of several do."""
        try:
            return self._whole(rows)
        except QvlError:
            raise
        except Exception as error:  # some row caused it; bisection finds it
            found = self._bisect(rows, error)
            if len(rows) >= SYSTEMATIC_ROWS and found["fault"].null_count == 0:
                raise self.systematic(error) from error
            return found

    def systematic(self, error: Exception) -> DataError:
        """The error of a run whose operator fails whatever the row."""
        return DataError(f"plug-in {self.plugin.name} fails on every row: {explain(error, self.plugin.code.name)}")

    def _bisect(self, rows: Some, error: Exception) -> pa.RecordBatch:
        """The results of rows that fail with ``error`` when they are computed together."""
        if len(rows) == 1:
            fault = f"unreadable:plugin:{self.plugin.name}:{type(error).__name__}"
            nulls = [pa.nulls(1, field.type) for field in list(self.schema)[:-1]]
            return pa.RecordBatch.from_arrays([*nulls, pa.array([fault])], schema=self.schema)
        half = len(rows) // 2
        parts = [self._part(rows.slice(0, half)), self._part(rows.slice(half))]
        return pa.Table.from_batches(parts).combine_chunks().to_batches()[0]

    def _part(self, rows: Some) -> pa.RecordBatch:
        try:
            return self._whole(rows)
        except QvlError:
            raise
        except Exception as error:  # noqa: BLE001 - any error becomes the fault of its row
            return self._bisect(rows, error)

    def _whole(self, rows: Some) -> pa.RecordBatch:
        return pa.RecordBatch.from_arrays([*self.compute(rows), pa.nulls(len(rows), FAULT.type)], schema=self.schema)
