"""Replacing a file in one step: a reader, and a run after a crash, sees the old bytes or the new ones, never a part."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from qvl.pipeline.storage.paths import AnyPath, StorePath
from qvl.pipeline.storage.temporary import temporary_name


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A private path next to ``path`` to write to; it becomes ``path`` when the context ends without an error.

    The private name is unique, so that processes that write the same file at the same time do not meet. Folders that are
    missing are created.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = temporary_name(path)
    try:
        yield temporary
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def replace_file(path: AnyPath, data: bytes) -> None:
    """Write a file in one step, on a disk or on a store."""
    if isinstance(path, StorePath):
        path.write_bytes(data)
        return
    with replacing(path) as temporary:
        temporary.write_bytes(data)


def sync(path: Path) -> None:
    """Flush a file or folder to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
