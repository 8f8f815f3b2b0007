"""Table files as records in the order of the file: Parquet, JSONL, TSV, CSV, and the JSON of SBU and COCO.

A line that cannot be parsed gives its fault (a string) instead of a record. A file that cannot be read to its end raises
OSError, pa.ArrowInvalid or orjson.JSONDecodeError.
"""

import csv
import io
import itertools
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import orjson
import pyarrow as pa

from qvl.pipeline.base.errors import RecipeError
from qvl.pipeline.sources.base import Bytes
from qvl.pipeline.sources.bounded_parquet import MAX_EXPANSION, ExpandsTooFar, bounded_parquet, cells, undecoded
from qvl.pipeline.sources.carried import arrow_cells, carried_type
from qvl.pipeline.sources.columns import Column, Columns

Format = Literal["parquet", "jsonl", "tsv", "csv", "sbu", "coco"]
Record = dict[Any, Any]

MAX_FIELD = 16 << 20
MAX_LINES = 256  # of one row
END: list[bytes] = []
CARRIED = object()  # key of a record: the values that are carried along as they are in the file
HOLDS_BYTES = (
    *(pa.types.is_binary, pa.types.is_large_binary, pa.types.is_fixed_size_binary),
    *(pa.types.is_string, pa.types.is_large_string, pa.types.is_null),
)
BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class Expectation:
    """What the recipe expects of a table.

    ``header``: whether the first line holds names (None: unless columns are positions). ``by_path``: images are files that
    the table names. ``required``: columns that the recipe itself names; those of a preset may be missing.
    ``max_expansion``: how many times its size a Parquet file may expand to.
    """

    columns: Columns
    header: bool | None
    by_path: bool
    required: tuple[Column, ...] = ()
    max_image_bytes: int = 100_000_000
    max_expansion: int = MAX_EXPANSION


def _parquet(path: Path, expected: Expectation) -> Iterator[Record | str]:
    image = expected.columns.image
    with bounded_parquet(path, expected.max_expansion) as file:
        _require_columns(path, expected, file.schema.names)
        _require_bytes(path, expected, file.schema)
        present = [name for name in expected.columns.named() if name in file.schema.names]
        used = [str(name) for name in expected.columns.used() if name in file.schema.names]
        extra = [str(carried.column) for carried in expected.columns.extra.values()]
        for batch in file.batches([str(name) for name in present]):
            most = {name: expected.max_image_bytes for name in used if name == image}
            values = [cells(batch[name], most.get(name)) for name in used]
            rows = (dict(zip(used, row, strict=True)) for row in zip(*values, strict=True))
            yield from _with_carried(rows, [batch[name] for name in extra]) if extra else rows


def _with_carried(rows: Iterator[Record], columns: list[pa.Array]) -> Iterator[Record]:
    for row, carried in zip(rows, zip(*map(arrow_cells, columns), strict=True), strict=True):
        yield {**row, CARRIED: carried}


def parquet_types(path: Path, columns: Sequence[Column]) -> list[pa.DataType]:
    """The types with which columns of a Parquet file are carried; null for a file that cannot be read."""
    try:
        with bounded_parquet(path, MAX_EXPANSION) as file:
            schema = file.schema
    except (OSError, ExpandsTooFar, pa.ArrowInvalid):
        return [pa.null()] * len(columns)
    return [carried_type(schema.field(name).type) if name in schema.names else pa.null() for name in columns]


def _require_columns(path: Path, expected: Expectation, present: Sequence[Column]) -> None:
    """Raise RecipeError if a column that the recipe names is missing: a typing error would leave it empty in every row.

    Of the columns of a preset only the caption and the image are required.
    """
    columns = expected.columns
    wanted = [columns.caption, columns.path if expected.by_path else columns.image, *expected.required]
    missing = [str(name) for name in wanted if name is not None and name not in present]
    if missing:
        raise RecipeError(f"{path.name}: no column {', '.join(missing)}; it has {', '.join(map(str, present))}")


def _require_bytes(path: Path, expected: Expectation, schema: pa.Schema) -> None:
    """Raise RecipeError if the image column holds something other than bytes."""
    column = None if expected.by_path and expected.columns.path is not None else expected.columns.image
    if column is None or column not in schema.names:
        return
    kind = schema.field(column).type
    if pa.types.is_struct(kind) and kind.get_field_index("bytes") >= 0:
        kind = kind.field("bytes").type
    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    if not any(fits(kind) for fits in HOLDS_BYTES):
        raise RecipeError(
            f"{path.name}: column {column} has type {kind}, which cannot hold image bytes; set `columns: {{image: ...}}`"
        )


def parquet_images(path: Path, column: str, wanted: set[int], max_expansion: int) -> Iterator[tuple[int, Bytes]]:
    """Row numbers with image bytes. Only the row groups that hold a wanted row are read."""
    with bounded_parquet(path, max_expansion) as file:
        start = 0
        for group in range(file.groups):
            rows = file.group_rows(group)
            if any(start <= row < start + rows for row in wanted):
                at = start
                for batch in file.group_batches(group, [column]):
                    values = undecoded(batch.column(0))
                    yield from ((at + i, values[i].as_py()) for i in range(len(batch)) if at + i in wanted)
                    at += len(batch)
            start += rows


def _jsonl(path: Path, expected: Expectation) -> Iterator[Record | str]:
    with path.open("rb") as file:
        for line in file:
            if not line.strip():
                continue
            try:
                record = orjson.loads(line.removeprefix(BOM))
            except orjson.JSONDecodeError:
                yield "invalid_utf8" if not _is_utf8(line) else "bad_json"
                continue
            yield record if isinstance(record, dict) else "bad_json"


def _is_utf8(line: bytes) -> bool:
    try:
        line.decode()
    except UnicodeDecodeError:
        return False
    return True


def _tsv(path: Path, expected: Expectation) -> Iterator[Record | str]:
    """Quotes have no special meaning: a caption may begin with one."""
    with path.open("rb") as file:
        lines = (line.removeprefix(BOM).rstrip(b"\r\n").split(b"\t") for line in file)
        yield from _records(path, (fields for fields in lines if fields != [b""]), expected)


def _csv(path: Path, expected: Expectation) -> Iterator[Record | str]:
    """Fields may be quoted and may contain line breaks."""
    csv.field_size_limit(MAX_FIELD)
    with io.TextIOWrapper(path.open("rb"), "utf-8-sig", errors="surrogateescape", newline="") as file:
        yield from _records(path, _csv_lines(file), expected)


def _csv_lines(file: io.TextIOWrapper) -> Iterator[list[bytes] | None]:
    """Rows as lists of fields, None for a line that is not a row.

    An unclosed quote would swallow the lines after it. Therefore, if a row of several lines has a different number of fields
    than the first row, is malformed, spans too many lines or reaches the end of the file, only its first line counts as bad,
    and the other lines are read again. Neither Python's nor Arrow's reader recovers from such a quote.
    """
    again: deque[str] = deque()
    taken: list[str] = []
    reader = csv.reader(_lines_for(file, again, taken), strict=True)
    width = -1
    while True:
        taken.clear()
        try:
            fields = next(reader, None)
        except csv.Error:
            fields = []
        if fields is None:
            return
        if not fields and len(taken) == 1 and not taken[0].strip("\r\n"):
            continue
        width = len(fields) if width < 0 else width
        if fields and (len(fields) == width or len(taken) == 1):
            yield [field.encode("utf-8", "surrogateescape") for field in fields]
            continue
        again.extendleft(reversed(taken[1:]))
        reader = csv.reader(_lines_for(file, again, taken), strict=True)
        yield None


def _lines_for(file: io.TextIOWrapper, again: deque[str], taken: list[str]) -> Iterator[str]:
    """Lines to read again, then the lines of the file; each is appended to ``taken``. Raises csv.Error after MAX_LINES."""
    while line := again.popleft() if again else file.readline():
        taken.append(line)
        if len(taken) > MAX_LINES:
            raise csv.Error("unclosed quote")
        yield line


def _records(path: Path, lines: Iterator[list[bytes] | None], expected: Expectation) -> Iterator[Record | str]:
    """Records by name or position; a line with a different number of fields than the first one is a fault."""
    by_position = any(isinstance(column, int) for column in expected.columns.named())
    has_header = not by_position if expected.header is None else expected.header
    bad, first = 0, next(lines, END)
    while first is None:
        bad, first = bad + 1, next(lines, END)
    if bad and has_header:
        raise pa.ArrowInvalid("the header cannot be read")
    yield from itertools.repeat("bad_line", bad)
    if first is END:
        return
    names: list[Column] = list(range(len(first)))
    if has_header and not by_position:
        names = [name.decode("utf-8", "replace") for name in first]
    _require_columns(path, expected, names)
    for fields in lines if has_header else itertools.chain([first], lines):
        if fields is None or len(fields) != len(names):
            yield "bad_line"
        else:
            yield dict(zip(names, fields, strict=True))


def _sbu(path: Path, expected: Expectation) -> Iterator[Record | str]:
    """One JSON object with parallel lists. Raises pa.ArrowInvalid if they differ in length."""
    content = orjson.loads(path.read_bytes())
    lists = content.items() if isinstance(content, dict) else ()
    columns = {name: values for name, values in lists if isinstance(values, list)}
    if len({len(values) for values in columns.values()}) != 1:
        raise pa.ArrowInvalid("lists of different lengths")
    _require_columns(path, expected, list(columns))
    for values in zip(*columns.values(), strict=True):
        yield dict(zip(columns, values, strict=True))


def _coco(path: Path, expected: Expectation) -> Iterator[Record | str]:
    """COCO captions: one row per annotation, with the fields of its image."""
    content = orjson.loads(path.read_bytes())
    try:
        images = {image["id"]: image for image in content["images"]}
        pairs = [(images.get(annotation["image_id"]), annotation) for annotation in content["annotations"]]
    except (KeyError, TypeError):
        raise pa.ArrowInvalid("no COCO images and annotations") from None
    whole = next(({**image, **annotation} for image, annotation in pairs if image is not None), None)
    if whole is not None:
        _require_columns(path, expected, list(whole))
    for image, annotation in pairs:
        yield {**image, **annotation} if image is not None else "no_image"


READERS: dict[Format, Callable[[Path, Expectation], Iterator[Record | str]]] = {
    "parquet": _parquet,
    "jsonl": _jsonl,
    "tsv": _tsv,
    "csv": _csv,
    "sbu": _sbu,
    "coco": _coco,
}
