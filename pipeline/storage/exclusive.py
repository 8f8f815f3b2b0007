"""Giving a file its final name only if nobody else has done so, on file systems with and without hard links.

A hard link fails if its name exists. FAT and many FUSE file systems have none: there the file is renamed with
``RENAME_NOREPLACE`` (Linux 3.15), or, where that is missing too, under a lock of the folder. Such a lock excludes the
processes of one machine, as the lock of an output on a disk does. All processes meet the same file system and thus the
same way.
"""

import ctypes
import errno
import fcntl
import os
from pathlib import Path

from qvl.pipeline.base.errors import QvlError

AT_FDCWD = -100
RENAME_NOREPLACE = 1
MISSING = frozenset((errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL, errno.ENOTTY))


def take_name(written: Path, final: Path) -> None:
    """Give a complete file its final name, in one step. ``written`` may remain, as a second name.

    Raises FileExistsError if the final name is taken, and QvlError on a file system that can do this in no way.
    """
    for way in (_link, _rename):
        try:
            way(written, final)
        except OSError as error:
            if error.errno not in MISSING:
                raise
        else:
            return
    _rename_locked(written, final)


def _link(written: Path, final: Path) -> None:
    os.link(written, final)


def _rename(written: Path, final: Path) -> None:
    rename = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if rename is None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
    if rename(AT_FDCWD, os.fsencode(written), AT_FDCWD, os.fsencode(final), RENAME_NOREPLACE) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), str(final))


def _rename_locked(written: Path, final: Path) -> None:
    folder = os.open(final.parent, os.O_RDONLY)
    try:
        try:
            fcntl.flock(folder, fcntl.LOCK_EX)
        except OSError as error:
            raise QvlError(
                f"{final.parent}: this file system has neither hard links nor exclusive renames nor locks "
                f"({error.strerror}), one of which commits rely on; choose another --output"
            ) from None
        if final.exists():
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(final))
        written.replace(final)
    finally:
        os.close(folder)
