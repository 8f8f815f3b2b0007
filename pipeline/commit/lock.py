"""The lock of an output: one run at a time writes to it."""

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from qvl.pipeline.base.errors import QvlError
from qvl.pipeline.commit.layout import Layout
from qvl.pipeline.commit.lease import hold
from qvl.pipeline.storage.paths import AnyPath, StorePath


@contextmanager
def output_lock(out: AnyPath) -> Iterator[Callable[[], None]]:
    """Hold an output for one run. Raises QvlError at once if another run holds it (on a disk: a run on this machine).

    Yields a check that raises QvlError once the lock is lost. Only a lock on a store can be lost
    (``qvl.pipeline.commit.lease``); a lock on a disk ends with its process.
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
        yield lambda: None
