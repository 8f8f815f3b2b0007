"""Attempts: files are written in a private folder and get their final name only when they are complete.

A worker writes below an attempt-private name, flushes the file to the disk and moves it to its final name; after that it
creates the manifest (``qvl.pipeline.commit.manifests``), and only the manifest makes the file count. On a store the file is
written on this machine and uploaded; the guarantees are the same.
"""

import shutil
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from qvl.pipeline.commit.fingerprint import file_hash
from qvl.pipeline.commit.layout import Layout
from qvl.pipeline.storage.atomic import sync
from qvl.pipeline.storage.paths import AnyPath, StorePath


@contextmanager
def attempt(out: AnyPath) -> Iterator[Path]:
    """A private local folder, on the output's own file system if the output is local. Removed at the end, also on errors."""
    if isinstance(out, StorePath):
        with tempfile.TemporaryDirectory(prefix="qvl-attempt-") as private:
            yield Path(private)
        return
    folder = Layout(out).attempts / uuid.uuid4().hex
    folder.mkdir(parents=True)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def clear_attempts(out: AnyPath) -> None:
    """Remove what killed attempts left behind. Call this only while holding the output's lock.

    The folder of attempts remains, so that every finished output has it, whether or not its last run made an attempt.
    """
    if isinstance(out, StorePath):
        out.abort_uploads()
        return
    shutil.rmtree(Layout(out).attempts, ignore_errors=True)
    Layout(out).attempts.mkdir(exist_ok=True)


def publish(written: Path, final: AnyPath, digest: str) -> None:
    """Move an attempt's finished file to its final name.

    A file that is already there was left by an attempt that was killed or that ran twice. It stays if its bytes are equal
    and is replaced if they differ: without a manifest it does not count. Raises OSError if the disk is full.
    """
    if isinstance(final, StorePath):
        final.upload(written)
        return
    sync(written)
    final.parent.mkdir(parents=True, exist_ok=True)
    if final.exists() and file_hash(final) == digest:
        return
    written.replace(final)
    sync(final.parent)
