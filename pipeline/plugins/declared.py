"""What an operator declares: the columns that it reads and writes."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from qvl.pipeline.base.errors import RecipeError
from qvl.pipeline.plugins.bases import Column, Filter, Scorer

COLUMN_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,60}")


def declared_reads(name: str, operator: Column | Filter) -> Sequence[str]:
    """The columns that an operator reads. Raises RecipeError for a declaration that is not one."""
    reads: Any = getattr(operator, "reads", None)
    if (
        isinstance(reads, str)
        or not isinstance(reads, Sequence)
        or not reads
        or not all(isinstance(each, str) for each in reads)
    ):
        raise RecipeError(f"plugins: {name}: `reads` must be a list of column names, such as ['caption']")
    return reads


def written_columns(name: str, operator: Column | Scorer) -> pa.Schema:
    """Names and types of what an operator writes. Raises RecipeError for a declaration that is not one."""
    writes: Any = getattr(operator, "writes", None)
    if not isinstance(writes, Mapping) or not writes:
        raise RecipeError(
            f"plugins: {name}: `writes` must map names of columns to types, such as {{'length': 'int32'}}"
        )
    bad = next((each for each in writes if not isinstance(each, str) or COLUMN_NAME.fullmatch(each) is None), None)
    if bad is not None:
        raise RecipeError(f"plugins: {name}: {bad} is not a valid column name; use letters, digits and _")
    try:
        return pa.schema(
            (column, kind if isinstance(kind, pa.DataType) else pa.type_for_alias(kind))
            for column, kind in writes.items()
        )
    except (ValueError, TypeError, AttributeError, pa.ArrowException):
        raise RecipeError(f"plugins: {name}: `writes` has a value that is not an Arrow type") from None
