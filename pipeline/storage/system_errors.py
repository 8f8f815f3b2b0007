"""Errors of the operating system and of a store during a run, as one line that says how to continue."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from qvl.pipeline.base.errors import DataError, QvlError

if TYPE_CHECKING:  # commands import this module before anything heavy
    from qvl.pipeline.storage.paths import AnyPath

REMEDIES = {
    errno.ENOSPC: "free some space",
    errno.EDQUOT: "free some space in your quota",
    errno.EFBIG: "choose a file system that supports larger files",
    errno.EROFS: "mount it for writing (it is read-only)",
    errno.EACCES: "fix the permissions of that path",
    errno.EPERM: "fix the permissions of that path",
    errno.EIO: "check the disk",
}


@contextmanager
def resumable(out: "AnyPath") -> Iterator[None]:
    """Wrap a run: Ctrl-C and errors of the system become one line that says how to continue."""
    try:
        yield
    except KeyboardInterrupt:
        raise QvlError("stopped; nothing is lost: the same command continues where this run stopped") from None
    except OSError as error:
        explanation = explained(error, out)
        if explanation is None:
            raise
        raise explanation from None


def explained(error: OSError, output: "AnyPath") -> QvlError | None:
    """An error of the operating system during a run, as one line with a remedy; None if no remedy is known."""
    name = str(error.filename or (error.args[0] if error.args else ""))
    # the last one because stores report files without their protocol
    roots = (str(output), str(output.resolve()), str(output).partition("://")[2])
    inside = any(root and Path(name).is_relative_to(root) for root in roots)
    continuation = "nothing is lost: {}, then run the same command again; it continues where this run stopped"
    if isinstance(error, FileNotFoundError) and not inside:
        return DataError(f"{name}: an input file is missing; {continuation.format('restore it')}")
    if isinstance(error, PermissionError) and error.errno is None:
        remedy = continuation.format("fix the credentials (docs/cluster.md)")
        return QvlError(f"the store refuses access: {error} (output {output}); {remedy}")
    if error.errno not in REMEDIES:
        return None
    remedy = continuation.format(REMEDIES[error.errno])
    return QvlError(f"{error.filename or output}: {error.strerror} (output {output}); {remedy}")
