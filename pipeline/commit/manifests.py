"""Manifests: the receipts of finished work, and the one way in which results become visible.

A manifest is created with one atomic exclusive create, after all files that it names (``qvl.pipeline.commit.attempts``).
If the manifest exists, the work is done; readers trust manifests and never list folders. The first manifest wins, and a
second attempt that comes to other bytes is a ContractError. On a store the exclusive create is a conditional write.
"""

import json
import os
import uuid
from collections.abc import Iterable
from typing import Any, overload

import orjson

from qvl.pipeline.base.errors import ContractError, DataError
from qvl.pipeline.commit.records import CANONICAL, Record, decode, encode
from qvl.pipeline.storage.atomic import sync
from qvl.pipeline.storage.paths import AnyPath, StorePath


def create_manifest(path: AnyPath, content: Record) -> Record:
    """Create the manifest if none exists; the first one wins. Returns the manifest that counts.

    ``content`` is a record (``qvl.pipeline.commit.records``). Raises ContractError if a committed manifest disagrees.
    """
    data = _encoded(content)
    if _create(path, data) != data:
        raise ContractError(_disagreement(path, data))
    return content


def _encoded(content: object) -> bytes:
    return orjson.dumps(content, option=CANONICAL) if isinstance(content, dict) else encode(content)


def _create(path: AnyPath, data: bytes) -> bytes:
    """Create a file if none exists. Returns the content of the file that exists then."""
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


def _disagreement(path: AnyPath, data: bytes) -> str:
    committed, content = read_manifest(path) or {}, json.loads(data)
    keys = sorted(key for key in {*committed, *content} if committed.get(key) != content.get(key))
    return (
        f"{path}: a second attempt gave different results ({', '.join(keys)}); the work is not deterministic or its input "
        "changed while it ran. Check the input, then run again with --fresh"
    )


@overload
def read_manifest(path: AnyPath) -> dict[str, Any] | None: ...
@overload
def read_manifest(path: AnyPath, kind: type[Record]) -> Record | None: ...
def read_manifest(path: AnyPath, kind: type[Any] | None = None) -> Any:
    """The committed manifest, or None if the work is not done. Raises DataError for a manifest that is corrupted."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return None
    if kind is not None:
        return decode(kind, data, str(path))
    try:
        return json.loads(data)
    except ValueError:
        raise DataError(f"{path} is corrupted; delete it and run the same command again to redo that work") from None


@overload
def read_committed(path: AnyPath, fingerprint: str, files: Iterable[AnyPath]) -> dict[str, Any] | None: ...
@overload
def read_committed(path: AnyPath, fingerprint: str, files: Iterable[AnyPath], kind: type[Record]) -> Record | None: ...
def read_committed(path: AnyPath, fingerprint: str, files: Iterable[AnyPath], kind: type[Any] | None = None) -> Any:
    """The manifest of finished work with this fingerprint, all of whose files still exist.

    Any other manifest (left by an interrupted --fresh, or without its files) is removed, so that the work is done again.
    """
    content = read_manifest(path)
    if content is None:
        return None
    if content.get("fingerprint") == fingerprint and all(file.is_file() for file in files):
        return content if kind is None else read_manifest(path, kind)
    path.unlink(missing_ok=True)
    return None


def restate_manifest(path: AnyPath, content: Record) -> Record:
    """Create the manifest of a summary. A manifest with another fingerprint dates from before a change and is replaced."""
    before = read_manifest(path)
    if before is not None and before.get("fingerprint") != json.loads(_encoded(content))["fingerprint"]:
        path.unlink()
    return create_manifest(path, content)


@overload
def committed_manifest(path: AnyPath) -> dict[str, Any]: ...
@overload
def committed_manifest(path: AnyPath, kind: type[Record]) -> Record: ...
def committed_manifest(path: AnyPath, kind: type[Any] | None = None) -> Any:
    """The manifest of work that was reported as done. Raises ContractError if there is none."""
    manifest = read_manifest(path) if kind is None else read_manifest(path, kind)
    if manifest is None:
        raise ContractError(f"{path}: the work was reported as done but has no manifest")
    return manifest
