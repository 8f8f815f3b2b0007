"""Rows of JSON files, one at a time, in whatever of the usual layouts they come."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import orjson

from qvl.pipeline.storage.reader import Storage


@dataclass(frozen=True)
class Broken:
    """A row that is no JSON object: ``why`` goes behind ``unreadable:``."""

    why: str


def json_rows(path: str, storage: Storage) -> Iterator[dict[str, Any] | Broken]:
    """Objects of a JSON-lines file, or of a ``.json`` file that is one list (read whole). Blank lines are no rows."""
    with storage.local(path) as local, local.open("rb") as file:
        if local.suffix == ".json":
            yield from _listed(file.read())
            return
        for line in file:
            if line.strip():
                yield _object(line)


def _listed(data: bytes) -> Iterator[dict[str, Any] | Broken]:
    try:
        rows = orjson.loads(data)
    except orjson.JSONDecodeError:
        yield Broken("json")
        return
    for row in rows if isinstance(rows, list) else [rows]:
        yield row if isinstance(row, dict) else Broken("no_object")


def _object(line: bytes) -> dict[str, Any] | Broken:
    try:
        row = orjson.loads(line)
    except orjson.JSONDecodeError:
        return Broken("json")
    return row if isinstance(row, dict) else Broken("no_object")
