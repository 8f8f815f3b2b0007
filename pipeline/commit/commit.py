"""Commit: the one way in which results become visible.

A worker writes under an attempt-private name, flushes it to disk, moves it to its final name, and then creates the
manifest with one atomic exclusive create. Where the manifest exists, the work is done; readers trust manifests and never
list folders. A second attempt must bring the same bytes: other bytes are a ContractError.

On a store (``qvl.pipeline.storage.paths``) the file is written on this machine and uploaded, and the exclusive create is a
conditional write. The promises are the same.
"""

import fcntl
import json
import os
import shutil
import tempfile
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, overload

import orjson
import xxhash

from qvl.pipeline.base.errors import ContractError, DataError, QvlError
from qvl.pipeline.commit.lease import hold
from qvl.pipeline.commit.records import CANONICAL, Record, decode, encode
from qvl.pipeline.storage.paths import Place, StorePath
from qvl.pipeline.storage.storage import Storage

ATTEMPTS = ".attempts"
HASH_CHUNK = 1 << 22


def file_hash(path: Place) -> str:
    """128-bit xxh3 of a file, read in 4 MiB pieces."""
    digest = xxhash.xxh3_128()
    with Storage().local(str(path)) as local, local.open("rb") as file:
        while chunk := file.read(HASH_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


@contextmanager
def attempt(out: Place) -> Iterator[Path]:
    """An attempt-private local folder, on the output's own file system if that is local; removed also on an error."""
    if isinstance(out, StorePath):
        with tempfile.TemporaryDirectory(prefix="qvl-attempt-") as private:
            yield Path(private)
        return
    folder = out / ATTEMPTS / uuid.uuid4().hex
    folder.mkdir(parents=True)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def clear_attempts(out: Place) -> None:
    """Remove what killed attempts left behind. Call it only while holding the output's lock."""
    if isinstance(out, Path):
        shutil.rmtree(out / ATTEMPTS, ignore_errors=True)


def sync(path: Path) -> None:
    """Flush a file or folder to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def publish(written: Path, final: Place, digest: str) -> None:
    """Give an attempt's finished file its final name.

    A file already there is an uncommitted leftover of a killed attempt, or of one that ran twice: equal bytes stay, others
    are replaced. Only a manifest makes a file count. Raises OSError where the disk is full.
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


def replace_file(path: Place, data: bytes) -> None:
    """Write a file in one step: a reader sees the old one or the new one."""
    if isinstance(path, StorePath):
        path.write_bytes(data)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.write_bytes(data)
    temporary.replace(path)


def create_manifest(path: Place, content: Record) -> Record:
    """Create the manifest if there is none; the first wins. Returns the manifest that counts.

    ``content`` is a record (``qvl.pipeline.commit.records``). Raises ContractError when a committed manifest disagrees.
    """
    data = _encoded(content)
    if _create(path, data) != data:
        raise ContractError(_disagreement(path, data))
    return content


def _encoded(content: object) -> bytes:
    return orjson.dumps(content, option=CANONICAL) if isinstance(content, dict) else encode(content)


def _create(path: Place, data: bytes) -> bytes:
    """Create a file where there is none. Returns what lies there."""
    if isinstance(path, StorePath):
        return path.create(data)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        temporary.write_bytes(data)
        sync(temporary)
        os.link(temporary, path)
        sync(path.parent)
    except FileExistsError:
        return path.read_bytes()
    finally:
        temporary.unlink(missing_ok=True)
    return data


def _disagreement(path: Place, data: bytes) -> str:
    committed, content = read_manifest(path) or {}, json.loads(data)
    keys = sorted(key for key in {*committed, *content} if committed.get(key) != content.get(key))
    return (
        f"{path}: a second attempt came to other results ({', '.join(keys)}); the work is not deterministic or its input "
        "changed while it ran. Check the input, then run again with --fresh"
    )


@overload
def read_manifest(path: Place) -> dict[str, Any] | None: ...
@overload
def read_manifest(path: Place, kind: type[Record]) -> Record | None: ...
def read_manifest(path: Place, kind: type[Any] | None = None) -> Any:
    """The committed manifest, or None where the work is not done. Raises DataError for one that was damaged since."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return None
    if kind is not None:
        return decode(kind, data, str(path))
    try:
        return json.loads(data)
    except ValueError:
        raise DataError(f"{path} is damaged; delete it and run the same command, that work is done again") from None


@overload
def read_committed(path: Place, fingerprint: str, files: Iterable[Place]) -> dict[str, Any] | None: ...
@overload
def read_committed(path: Place, fingerprint: str, files: Iterable[Place], kind: type[Record]) -> Record | None: ...
def read_committed(path: Place, fingerprint: str, files: Iterable[Place], kind: type[Any] | None = None) -> Any:
    """The manifest of work that is done and still there: of this fingerprint, with all its files.

    Anything else (left by an interrupted --fresh, files deleted by hand) is removed, so that the work is done again.
    """
    content = read_manifest(path)
    if content is None:
        return None
    if content.get("fingerprint") == fingerprint and all(file.is_file() for file in files):
        return content if kind is None else read_manifest(path, kind)
    path.unlink(missing_ok=True)
    return None


def restate_manifest(path: Place, content: Record) -> Record:
    """Create a summary's manifest; one of another fingerprint is left from before a change and makes way."""
    before = read_manifest(path)
    if before is not None and before.get("fingerprint") != json.loads(_encoded(content))["fingerprint"]:
        path.unlink()
    return create_manifest(path, content)


@overload
def committed_manifest(path: Place) -> dict[str, Any]: ...
@overload
def committed_manifest(path: Place, kind: type[Record]) -> Record: ...
def committed_manifest(path: Place, kind: type[Any] | None = None) -> Any:
    """The manifest of work that was reported done. Raises ContractError where it has none."""
    manifest = read_manifest(path) if kind is None else read_manifest(path, kind)
    if manifest is None:
        raise ContractError(f"{path}: the work was reported done but has no manifest")
    return manifest


def size_of(path: Place) -> int:
    """Bytes of a file. Raises FileNotFoundError."""
    return path.size() if isinstance(path, StorePath) else path.stat().st_size


def remove_tree(folder: Place) -> None:
    """Remove a folder and all below it; a folder that is not there is fine, one that cannot be removed is an error."""
    if isinstance(folder, StorePath):
        folder.remove_tree()
    elif folder.exists():
        shutil.rmtree(folder)


@contextmanager
def output_lock(out: Place) -> Iterator[Callable[[], None]]:
    """Hold an output for one run. Raises QvlError at once when another run holds it (on a disk: one of this machine).

    Yields a check that raises QvlError once the lock is lost; only one on a store can be (``qvl.pipeline.commit.lease``).
    """
    if isinstance(out, StorePath):
        with hold(out) as check:
            yield check
        return
    out.mkdir(parents=True, exist_ok=True)
    with (out / ".lock").open("a+") as file:
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
