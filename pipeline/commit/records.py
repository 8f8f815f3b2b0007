"""Typed records as JSON files: one encoder and one strict decoder for every manifest.

A record is a frozen, slotted dataclass. A field without a default is always written. A field with a default is written
only when its value differs from the default, so that a key that most files do not have costs them nothing. Keys are
sorted and the layout is fixed: equal records are equal bytes.
"""

import functools
from collections.abc import Hashable
from typing import Any, TypeVar, cast

import orjson
from pydantic import ConfigDict, JsonValue, TypeAdapter, ValidationError

from qvl.pipeline.base.errors import DataError

CANONICAL = orjson.OPT_SORT_KEYS | orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE
STRICT = ConfigDict(extra="forbid", strict=True)

Record = TypeVar("Record")


def encode(record: object) -> bytes:
    """The canonical JSON of a record."""
    content = _adapter(cast(Hashable, type(record))).dump_python(record, exclude_defaults=True)
    return orjson.dumps(content, option=CANONICAL)


def encode_line(record: object) -> bytes:
    """A record as one line of a JSONL file, with its fields in the order of the class."""
    content = _adapter(cast(Hashable, type(record))).dump_python(record, exclude_defaults=True)
    return orjson.dumps(content, option=orjson.OPT_APPEND_NEWLINE)


def plain(record: object) -> dict[str, JsonValue]:
    """A record as JSON values, for an answer that contains it."""
    return orjson.loads(encode(record))


def decode(kind: type[Record], data: bytes, name: str) -> Record:
    """The record in a file's bytes. ``name`` is the file, for errors.

    Raises DataError for bytes that are not JSON, for unknown or missing keys, and for values of another type.
    """
    try:
        return _adapter(cast(Hashable, kind)).validate_json(data)
    except ValidationError as error:
        raise DataError(f"{name}: {_problem(error)}") from None


def _problem(error: ValidationError) -> str:
    """The first problem of a file, in one line."""
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    key = ".".join(str(part) for part in first["loc"])
    known = {"missing": f"the key {key} is missing", "unexpected_keyword_argument": f"unknown key {key}"}
    return known.get(first["type"]) or (f"{key}: {first['msg']}" if key else first["msg"])


@functools.cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    kind.__pydantic_config__ = STRICT
    return TypeAdapter(kind)
