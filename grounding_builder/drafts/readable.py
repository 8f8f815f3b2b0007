"""Records that are not what their format says: whatever fails while one is read is an error of its file, in one line."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from qvl.pipeline.base.content_errors import CONTENT_ERRORS
from qvl.pipeline.base.errors import DataError

BAD_RECORD = "unreadable:bad_record"


class Unusable(ValueError):
    """A field of a record cannot be used; ``reason`` is the verdict of its row."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def reason_of(error: Exception) -> str:
    """The verdict of a row that cannot be read because of one of CONTENT_ERRORS."""
    return error.reason if isinstance(error, Unusable) else BAD_RECORD


def text_of(value: Any) -> str:
    """A text; null is an empty one. Raises Unusable for anything else, and for text that is not Unicode."""
    if value is None:
        return ""
    if not isinstance(value, str):
        raise Unusable(BAD_RECORD)
    try:
        value.encode()
    except UnicodeEncodeError:
        raise Unusable(BAD_RECORD) from None
    return value


@contextmanager
def readable(name: str) -> Iterator[None]:
    """Turn what fails inside into a DataError that begins with ``name``: a missing key, a list in place of a number."""
    try:
        yield
    except CONTENT_ERRORS as error:
        raise DataError(f"{name}: cannot be read: {type(error).__name__}: {error}") from error
