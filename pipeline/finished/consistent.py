"""Outputs whose files contradict each other: whatever fails while one is read is an error of the output, in one line."""

from collections.abc import Iterator
from contextlib import contextmanager

import pyarrow as pa

from qvl.pipeline.base.errors import DataError
from qvl.pipeline.storage.paths import AnyPath

CONTRADICTIONS = (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, pa.ArrowException)


@contextmanager
def consistent(out: AnyPath) -> Iterator[None]:
    """Turn what fails inside because of the content of ``out`` into a DataError that names the output.

    An output may come from elsewhere: a number in one of its files may exceed another file, a column may be missing.
    """
    try:
        yield
    except CONTRADICTIONS as error:
        what = (str(error).splitlines() or [""])[0]
        raise DataError(
            f"{out}: the files of this output contradict each other or are damaged ({type(error).__name__}: {what}); "
            "`qvl curate audit` names the first of them"
        ) from error
