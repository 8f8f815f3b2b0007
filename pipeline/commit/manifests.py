"""Manifests: the receipts of finished work, and the one way in which results become visible.

A manifest is created with one atomic exclusive create, after all files that it names (``qvl.pipeline.commit.attempts``).
If the manifest exists, the work is done; readers trust manifests and never list folders. The first manifest wins, and a
second attempt that comes to other bytes is a ContractError. On a store the exclusive create is a conditional write.
"""

import json
from collections.abc import Iterable
from typing import Protocol, TypeVar

from pydantic import JsonValue

from qvl.pipeline.base.errors import ContractError, DataError
from qvl.pipeline.commit.records import Record, decode, encode
from qvl.pipeline.storage.atomic import sync
from qvl.pipeline.storage.exclusive import take_name
from qvl.pipeline.storage.paths import AnyPath, StorePath
from qvl.pipeline.storage.temporary import temporary_name

REDO = "; delete it and run the same command again; that work is done again"


class Fingerprinted(Protocol):
    """A manifest that names what its work depends on."""

    @property
    def fingerprint(self) -> str: ...


Work = TypeVar("Work", bound=Fingerprinted)


def create_manifest(path: AnyPath, record: Record) -> Record:
    """Create the manifest if none exists; the first one wins. Returns the record.

    Raises ContractError if a committed manifest disagrees.
    """
    data = encode(record)
    committed = _create(path, data)
    if committed != data:
        raise ContractError(_disagreement(path, committed, data))
    return record


def _create(path: AnyPath, data: bytes) -> bytes:
    """Create a file if none exists. Returns the content of the file that exists then."""
    if isinstance(path, StorePath):
        return path.create(data)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = temporary_name(path)
    try:
        temporary.write_bytes(data)
        sync(temporary)
        take_name(temporary, path)
        sync(path.parent)
    except FileExistsError:
        return path.read_bytes()
    finally:
        temporary.unlink(missing_ok=True)
    return data


def _disagreement(path: AnyPath, committed: bytes, data: bytes) -> str:
    before, after = _keys(path, committed), _keys(path, data)
    keys = sorted(key for key in {*before, *after} if before.get(key) != after.get(key))
    return (
        f"{path}: a second attempt gave different results ({', '.join(keys)}); the work is not deterministic or its input "
        "changed while it ran. Check the input, then run again with --fresh"
    )


def _keys(path: AnyPath, data: bytes) -> dict[str, JsonValue]:
    """The keys of a manifest of any kind. Raises DataError for bytes that are not a JSON object."""
    try:
        content = json.loads(data)
    except ValueError:
        content = None
    if not isinstance(content, dict):
        raise DataError(f"{path} is corrupted{REDO}")
    return content


def read_manifest(path: AnyPath, kind: type[Record]) -> Record | None:
    """The committed manifest, or None if the work is not done. Raises DataError for a manifest that is corrupted."""
    data = _read(path)
    return None if data is None else _decoded(kind, data, path)


def _read(path: AnyPath) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None


def _decoded(kind: type[Record], data: bytes, path: AnyPath) -> Record:
    try:
        return decode(kind, data, str(path))
    except DataError as error:
        raise DataError(f"{error}{REDO}") from None


def read_committed(path: AnyPath, fingerprint: str, files: Iterable[AnyPath], kind: type[Work]) -> Work | None:
    """The manifest of finished work with this fingerprint, all of whose files still exist.

    Any other manifest (left by an interrupted --fresh, or without its files) is removed, so that the work is done again.
    A manifest of another fingerprint may have the keys of an earlier version.
    """
    data = _read(path)
    if data is None:
        return None
    try:
        manifest = _decoded(kind, data, path)
    except DataError:
        if _keys(path, data).get("fingerprint") == fingerprint:
            raise
    else:
        if manifest.fingerprint == fingerprint and all(file.is_file() for file in files):
            return manifest
    path.unlink(missing_ok=True)
    return None


def restate_manifest(path: AnyPath, record: Work) -> Work:
    """Create the manifest of a summary. A manifest with another fingerprint dates from before a change and is replaced."""
    data = _read(path)
    if data is not None and _keys(path, data).get("fingerprint") != record.fingerprint:
        path.unlink()
    return create_manifest(path, record)


def committed_manifest(path: AnyPath, kind: type[Record]) -> Record:
    """The manifest of work that was reported as done. Raises ContractError if there is none."""
    manifest = read_manifest(path, kind)
    if manifest is None:
        raise ContractError(f"{path}: the work was reported as done but has no manifest")
    return manifest
