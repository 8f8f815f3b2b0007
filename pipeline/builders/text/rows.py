"""Rows of JSON-lines files and of JSON lists, one at a time."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import orjson

from qvl.pipeline.storage.reader import Storage

JsonObject = dict[str, Any]  # a row as its authors wrote it


@dataclass(frozen=True, slots=True)
class UnreadableRow:
    """A row that is not a JSON object. Its verdict is ``unreadable:<reason>``."""

    reason: str


def json_rows(path: str, storage: Storage) -> Iterator[JsonObject | UnreadableRow]:
    """The objects of a JSON-lines file, or of a ``.json`` file that holds one list (read whole). Blank lines are skipped."""
    with storage.local(path) as local, local.open("rb") as file:
        if local.suffix == ".json":
            yield from _listed(file.read())
            return
        for line in file:
            if line.strip():
                yield _object(line)


def _listed(data: bytes) -> Iterator[JsonObject | UnreadableRow]:
    try:
        rows = orjson.loads(data)
    except orjson.JSONDecodeError:
        yield UnreadableRow("json")
        return
    for row in rows if isinstance(rows, list) else [rows]:
        yield row if isinstance(row, dict) else UnreadableRow("no_object")


def _object(line: bytes) -> JsonObject | UnreadableRow:
    try:
        row = orjson.loads(line)
    except orjson.JSONDecodeError:
        return UnreadableRow("json")
    return row if isinstance(row, dict) else UnreadableRow("no_object")
