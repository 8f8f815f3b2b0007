"""What of an output cannot be shown, and why: the one way in which the app opens a file that somebody else made.

An output may come from anywhere, so that each of its files may be missing, damaged, or something else than its name says.
Such a file costs what it holds: the app names it and shows the rest.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import duckdb

from qvl.pipeline.base.content_errors import CONTENT_ERRORS
from qvl.pipeline.base.errors import DataError, QvlError

# what our own readers, Arrow, DuckDB and the system raise for a file that is not what it should be
UNREADABLE = (*CONTENT_ERRORS, QvlError, OSError, duckdb.Error)
LONGEST = 300

Read = TypeVar("Read")


@dataclass(frozen=True)
class Faults:
    """Lines, each of which names something that is not shown, and the reason."""

    lines: list[str] = field(default_factory=list)

    def read(self, what: str, read: Callable[[], Read], otherwise: Read) -> Read:
        """What ``read`` returns. If it fails, ``otherwise``, and a line that names ``what``."""
        try:
            return read()
        except UNREADABLE as error:
            line = f"{what} cannot be shown: {reason(error)}"
            if line not in self.lines:
                self.lines.append(line)
            return otherwise


def reason(error: BaseException) -> str:
    """The first line of an error, without the types of Arrow and DuckDB."""
    text = str(error.strerror if isinstance(error, OSError) and error.strerror else error)
    if isinstance(error, TypeError | LookupError | AttributeError):
        text = f"unexpected content ({type(error).__name__}: {text})"
    return (text.splitlines() or [type(error).__name__])[0][:LONGEST]


def inside(out: Path, path: Path) -> Path:
    """The path, if it leads to a file inside the output. Raises DataError otherwise.

    Names in manifests are untrusted, a link may lead anywhere, and reading a pipe or a device may never end.
    """
    real = path.resolve()  # a name may hold "..", and each of its folders may be a link
    if not real.is_relative_to(out.resolve()):
        raise DataError(f"{path.name} is outside of the output")
    if real.exists() and not real.is_file():
        raise DataError(f"{path.name} is not a file")
    return path


def inside_all(out: Path, paths: Iterable[Path]) -> None:
    """Raise DataError unless all of these paths are ``inside``."""
    for path in paths:
        inside(out, path)
