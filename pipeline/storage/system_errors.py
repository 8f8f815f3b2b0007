"""Errors of the operating system and of a store during a run, in one line that says how to go on."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from qvl.pipeline.base.errors import DataError, QvlError

if TYPE_CHECKING:  # commands import this module before anything heavy
    from qvl.pipeline.storage.paths import AnyPath

WAYS_OUT = {
    errno.ENOSPC: "make room",
    errno.EDQUOT: "make room in your quota",
    errno.EFBIG: "choose a file system that takes larger files",
    errno.EROFS: "mount it for writing (it is read-only)",
    errno.EACCES: "mend the permissions of that path",
    errno.EPERM: "mend the permissions of that path",
    errno.EIO: "look at the disk",
}


@contextmanager
def resumable(out: "AnyPath") -> Iterator[None]:
    """Around a run: Ctrl-C and errors of the system become one line that says how to go on."""
    try:
        yield
    except KeyboardInterrupt:
        raise QvlError("stopped; nothing is lost: the same command continues where this run was") from None
    except OSError as error:
        line = explained(error, out)
        if line is None:
            raise
        raise line from None


def explained(error: OSError, output: "AnyPath") -> QvlError | None:
    """An error of the operating system during a run, in one line with the way out; None where there is none to tell."""
    name = str(error.filename or (error.args[0] if error.args else ""))
    roots = (str(output), str(output.resolve()), str(output).partition("://")[2])  # stores name files without protocol
    inside = any(root and Path(name).is_relative_to(root) for root in roots)
    again = "nothing is lost: {}, then run the same command again, it continues where this run was"
    if isinstance(error, FileNotFoundError) and not inside:
        return DataError(f"{name}: an input file is gone; {again.format('put it back')}")
    if isinstance(error, PermissionError) and error.errno is None:
        return QvlError(
            f"a store refuses: {error} (output {output}); {again.format('mend the credentials (docs/cluster.md)')}"
        )
    if error.errno not in WAYS_OUT:
        return None
    way = again.format(WAYS_OUT[error.errno])
    return QvlError(f"{error.filename or output}: {error.strerror} (output {output}); {way}")
