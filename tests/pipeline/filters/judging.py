"""Run a filter on rows of which only some columns are given; the other columns are null.

Captions have one character and no markers unless a test says otherwise: two filters on them are always there.
"""

from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from qvl.pipeline.curate.measuring.columns import COLUMNS
from qvl.pipeline.filters.base import Filter

ALWAYS_JUDGED = {"characters": 1, "markers": 0}


def rows(**columns: list[Any]) -> pa.RecordBatch:
    """A batch with the columns of scan."""
    length = len(next(iter(columns.values())))

    def column(field: pa.Field) -> pa.Array:
        values = columns.get(field.name, [ALWAYS_JUDGED.get(field.name)] * length)
        if pa.types.is_dictionary(field.type):
            return pa.array(values, pa.string()).dictionary_encode().cast(field.type)
        return pa.array(values, field.type)

    return pa.RecordBatch.from_arrays([column(field) for field in COLUMNS], schema=COLUMNS)


def kept(chosen: Filter, **columns: list[Any]) -> list[bool]:
    """Which rows pass, as select decides it: null does not pass."""
    answer = chosen.keep(rows(**columns))
    assert answer.type == pa.bool_()
    return list(pc.fill_null(answer, False).to_pylist())
