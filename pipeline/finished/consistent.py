"""Outputs whose files contradict each other: whatever fails while one is read is an error of the output, in one line."""

from collections.abc import Iterator
from contextlib import contextmanager

from qvl.pipeline.base.content_errors import CONTENT_ERRORS
from qvl.pipeline.base.errors import DataError, first_line
from qvl.pipeline.storage.paths import AnyPath


@contextmanager
def consistent(out: AnyPath) -> Iterator[None]:
    """Turn what fails inside because of the content of ``out`` into a DataError that names the output.

    An output may come from elsewhere: a number in one of its files may exceed another file, a column may be missing.
    """
    try:
        yield
    except CONTENT_ERRORS as error:
        raise DataError(
            f"{out}: the files of this output contradict each other or are damaged "
            f"({type(error).__name__}: {first_line(error)}); `qvl curate audit` names the first of them"
        ) from error
