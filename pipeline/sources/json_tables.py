"""JSON lines, JSON lists, and the JSON files of SBU and COCO as records."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa

from qvl.pipeline.base.errors import RecipeError
from qvl.pipeline.sources.delimited import BOM
from qvl.pipeline.sources.table_records import Expectation, Record, require_columns
from qvl.pipeline.sources.text_files import open_text


def parse_json(data: bytes | memoryview) -> Any:
    """A JSON value. Raises ValueError if it is none.

    Beyond the standard, NaN, infinities, lone surrogates and integers of any length are accepted: they cost the value in
    which they occur and not the record. A lone surrogate stays one, so that the text is not valid UTF-8.
    """
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError:
        pass
    try:
        return json.loads(bytes(data).decode("utf-8"), parse_int=_integer)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def parse_writable(data: bytes | memoryview) -> Any:
    """A JSON value as ``parse_json`` reads it, but null for a text with a lone surrogate, so that it can be written again.

    Raises ValueError if the data is no JSON.
    """
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError:
        pass
    try:
        return _writable(parse_json(data))
    except RecursionError:
        raise ValueError("nested too deeply") from None


def _writable(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _writable(inner) for key, inner in value.items() if _writable(key) is not None}
    if isinstance(value, list):
        return [_writable(inner) for inner in value]
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError:
            return None
    return value


def _integer(digits: str) -> int | float:
    return int(digits) if len(digits) < 20 else float(digits)


def read_json_lines(path: Path, expected: Expectation) -> Iterator[Record | str]:
    """A record for each line that is not blank, or, if the whole file is a JSON list, for each of its elements."""
    if _begins_as_list(path, expected):
        content = _whole(path, expected)
        if isinstance(content, list):
            yield from (record if isinstance(record, dict) else "bad_json" for record in content)
            return
    with open_text(path, expected.max_expansion, expected.encoding) as file:
        for line in file:
            if line.strip():
                yield _record(line.removeprefix(BOM))


def _begins_as_list(path: Path, expected: Expectation) -> bool:
    with open_text(path, expected.max_expansion, expected.encoding) as file:
        return file.peek(1).lstrip()[:1] == b"["


def _record(line: bytes) -> Record | str:
    try:
        record = parse_json(line)
    except UnicodeDecodeError:
        return "invalid_utf8"
    except ValueError:
        return "bad_json"
    return record if isinstance(record, dict) else "bad_json"


def read_json(path: Path, expected: Expectation) -> Iterator[Record | str]:
    """A file named .json: a list of records or JSON lines. Raises RecipeError for a single object, as COCO and SBU have."""
    for number, record in enumerate(read_json_lines(path, expected)):
        if number == 0 and record == "bad_json":
            content = _whole(path, expected)
            if isinstance(content, dict):
                named = "coco" if "annotations" in content else "sbu"
                raise RecipeError(
                    f"{path.name}: one JSON object; if it is like those of {named.upper()}: `format: {named}`"
                )
        yield record


def _whole(path: Path, expected: Expectation) -> Any:
    """The content of a file that is one JSON value, and None if it is not JSON."""
    with open_text(path, expected.max_expansion, expected.encoding) as file:
        data = file.read()
    try:
        return parse_json(data)
    except ValueError:
        return None


def read_sbu(path: Path, expected: Expectation) -> Iterator[Record | str]:
    """One JSON object with parallel lists. Raises pa.ArrowInvalid if they differ in length."""
    content = _whole(path, expected)
    _refuse_list(path, content)
    lists = content.items() if isinstance(content, dict) else ()
    columns = {name: values for name, values in lists if isinstance(values, list)}
    if len({len(values) for values in columns.values()}) != 1:
        raise pa.ArrowInvalid("lists of different lengths")
    require_columns(path, expected, list(columns))
    for values in zip(*columns.values(), strict=True):
        yield dict(zip(columns, values, strict=True))


def read_coco(path: Path, expected: Expectation) -> Iterator[Record | str]:
    """COCO captions: one row per annotation, with the fields of its image."""
    content = _whole(path, expected)
    _refuse_list(path, content)
    try:
        images = {image["id"]: image for image in content["images"]}
        pairs = [(images.get(annotation["image_id"]), annotation) for annotation in content["annotations"]]
    except (KeyError, TypeError):
        raise pa.ArrowInvalid("no COCO images and annotations") from None
    whole = next(({**image, **annotation} for image, annotation in pairs if image is not None), None)
    if whole is not None:
        require_columns(path, expected, list(whole))
    for image, annotation in pairs:
        yield {**image, **annotation} if image is not None else "no_image"


def _refuse_list(path: Path, content: object) -> None:
    if isinstance(content, list):
        raise RecipeError(f"{path.name}: a JSON list; set `format: json`")
