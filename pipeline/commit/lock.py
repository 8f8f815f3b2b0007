"""The lock of an output: one run at a time writes to it."""

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from qvl.pipeline.base.errors import QvlError
from qvl.pipeline.commit.layout import Layout
from qvl.pipeline.commit.lease import hold
from qvl.pipeline.storage.paths import AnyPath, StorePath
from qvl.pipeline.storage.temporary import remove_abandoned


@contextmanager
def output_lock(out: AnyPath) -> Iterator[Callable[[], None]]:
    """Hold an output for one run. Raises QvlError at once if another run holds it (on a disk: a run on this machine).

    Yields a check that raises QvlError once the lock is lost: on a store to another run (``qvl.pipeline.commit.lease``), on
    a disk because the output folder was moved or deleted. Temporary files of processes that have ended are removed.
    """
    if isinstance(out, StorePath):
        with hold(out) as check:
            yield check
        return
    out.mkdir(parents=True, exist_ok=True)
    with Layout(out).lock.open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            holder = file.read().strip() or "unknown"
            raise QvlError(
                f"{out}: another run (process {holder}) is writing here; wait for it or choose another --output"
            ) from None
        file.seek(0)
        file.truncate()
        file.write(str(os.getpid()))
        file.flush()
        remove_abandoned(out)
        yield from _while_there(out, file)


def _while_there(out: Path, lock: TextIO) -> Iterator[Callable[[], None]]:
    """Yield the check that the output is still where it was. An error that arises because it is not is reported as that."""

    def check() -> None:
        try:
            there = os.path.samestat(Layout(out).lock.stat(), os.fstat(lock.fileno()))
        except OSError:
            there = False
        if not there:
            raise QvlError(
                f"{out}: the output folder was moved or deleted while this run wrote to it; move it back, in the "
                "place of what may be there now, and run the same command again, which continues where this run stopped"
            )

    try:
        yield check
    except (OSError, QvlError):
        check()
        raise
    check()
