"""Records that are not what their format says: whatever fails while one is read is an error of its file, in one line."""

from collections.abc import Iterator
from contextlib import contextmanager

import pyarrow as pa

from qvl.pipeline.base.errors import DataError

UNREADABLE = (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, RecursionError, pa.ArrowException)
BAD_RECORD = "unreadable:bad_record"


@contextmanager
def readable(name: str) -> Iterator[None]:
    """Turn what fails inside into a DataError that begins with ``name``: a missing key, a list in place of a number."""
    try:
        yield
    except UNREADABLE as error:
        raise DataError(f"{name}: cannot be read: {type(error).__name__}: {error}") from error
