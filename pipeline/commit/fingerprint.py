"""Fingerprints: one hash over everything that determines a result, and over nothing else.

A fingerprint covers parts of the recipe and the contents of inputs. It never covers hosts, absolute paths, worker counts or
times, so that the same work has the same fingerprint on a laptop and on a cluster.
"""

from collections.abc import Iterable
from typing import Any

import orjson
import xxhash
from pydantic import JsonValue

from qvl.pipeline.storage.paths import AnyPath
from qvl.pipeline.storage.reader import Storage

EDGE_BYTES = 65_536
HASH_CHUNK = 1 << 22


def content_hash(data: bytes | memoryview) -> str:
    """128-bit xxh3 of ``data`` as 32 hex digits. Not cryptographic: it identifies data but does not authenticate it."""
    return xxhash.xxh3_128_hexdigest(data)


def file_hash(path: AnyPath) -> str:
    """128-bit xxh3 of a file as 32 hex digits, read in 4 MiB pieces."""
    digest = xxhash.xxh3_128()
    with Storage().local(str(path)) as local, local.open("rb") as file:
        while chunk := file.read(HASH_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def fingerprint(value: Any) -> str:
    """Hash of a JSON-like value, independent of the order of keys. Raises TypeError for values that JSON cannot hold."""
    return content_hash(orjson.dumps(value, option=orjson.OPT_SORT_KEYS))


def merkle_root(hashes: Iterable[str]) -> str:
    """Root of the Merkle tree over an ordered list of hashes; a node without a partner moves up unchanged."""
    level = list(hashes)
    if not level:
        return content_hash(b"")
    while len(level) > 1:
        pairs = [level[i : i + 2] for i in range(0, len(level), 2)]
        level = [content_hash("".join(pair).encode()) if len(pair) == 2 else pair[0] for pair in pairs]
    return level[0]


def file_identity(storage: Storage, path: str) -> dict[str, JsonValue]:
    """Size of a file and hash of its first and last 64 KiB: cheap enough for planning, and free of times and paths.

    A change in the middle that keeps the size and both ends is found later, when pack compares every image with the hash
    that scan took. A file that cannot be read has an identity too; scan decides what becomes of it.
    """
    try:
        size = storage.size(path)
        edges = storage.read_range(path, 0, min(size, EDGE_BYTES))
        if size > EDGE_BYTES:
            edges += storage.read_range(path, max(EDGE_BYTES, size - EDGE_BYTES), size)
    except OSError as error:
        return {"bytes": 0, "unreadable": type(error).__name__}
    return {"bytes": size, "edges": content_hash(edges)}
