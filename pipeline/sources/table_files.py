"""Tables as files: parquet, JSONL, TSV, CSV, SBU's and COCO's JSON, each to records in the order of the file.

A line that cannot be parsed is a word in place of a record; a file that cannot be read further raises OSError,
pa.ArrowInvalid or orjson.JSONDecodeError.
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
import pyarrow.compute as pc
import pyarrow.parquet as pq

from qvl.pipeline.base.errors import RecipeError
from qvl.pipeline.sources.base import Bytes
from qvl.pipeline.sources.columns import Column, Columns

Format = Literal["parquet", "jsonl", "tsv", "csv", "sbu", "coco"]
Record = dict[Any, Any]

PARQUET_ROWS = 256
MAX_FIELD = 16 << 20
MAX_LINES = 256  # of one row
END: list[bytes] = []
HOLDS_BYTES = (
    *(pa.types.is_binary, pa.types.is_large_binary, pa.types.is_fixed_size_binary),
    *(pa.types.is_string, pa.types.is_large_string, pa.types.is_null),
)
BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True)
class Look:
    """What to look for: the columns, a line of names (None: unless columns are positions), images by path or inside.

    ``said``: columns that the recipe itself names; those of a preset may be missing.
    """

    columns: Columns
    header: bool | None
    by_path: bool
    said: tuple[Column, ...] = ()


def _parquet(path: Path, look: Look) -> Iterator[Record | str]:
    with pq.ParquetFile(path) as file:
        _require_columns(path, look, file.schema_arrow.names)
        _require_bytes(path, look, file.schema_arrow)
        present = [name for name in look.columns.named() if name in file.schema_arrow.names]
        for batch in file.iter_batches(batch_size=PARQUET_ROWS, columns=present, use_threads=False):
            values = [_undecoded(column).to_pylist() for column in batch.columns]
            for row in zip(*values, strict=True):
                yield dict(zip(batch.schema.names, row, strict=True))


def _undecoded(column: pa.Array) -> pa.Array:
    """Text as bytes, because nobody has checked that it is UTF-8; of a Hugging Face image only its bytes."""
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if pa.types.is_struct(column.type) and column.type.get_field_index("bytes") >= 0:
        return pc.struct_field(column, "bytes")
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        return column.cast(pa.large_binary() if pa.types.is_large_string(column.type) else pa.binary())
    return column


def _require_columns(path: Path, look: Look, present: Sequence[Column]) -> None:
    """Raise RecipeError where a column that the recipe names is not there: a typing error would empty every row.

    Of a preset only those columns must be there that no row can do without.
    """
    columns = look.columns
    wanted = [columns.caption, columns.path if look.by_path else columns.image, *look.said]
    missing = [str(name) for name in wanted if name is not None and name not in present]
    if missing:
        raise RecipeError(f"{path.name}: no column {', '.join(missing)}; it has {', '.join(map(str, present))}")


def _require_bytes(path: Path, look: Look, schema: pa.Schema) -> None:
    """Raise RecipeError where the column of images holds something else than bytes."""
    column = None if look.by_path and look.columns.path is not None else look.columns.image
    if column is None or column not in schema.names:
        return
    kind = schema.field(column).type
    if pa.types.is_struct(kind) and kind.get_field_index("bytes") >= 0:
        kind = kind.field("bytes").type
    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    if not any(fits(kind) for fits in HOLDS_BYTES):
        raise RecipeError(
            f"{path.name}: column {column} is {kind} and holds no image bytes; set `columns: {{image: ...}}`"
        )


def parquet_images(path: Path, column: str, wanted: set[int]) -> Iterator[tuple[int, Bytes]]:
    """Only the row groups that hold a wanted row are read."""
    with pq.ParquetFile(path) as file:
        start = 0
        for group in range(file.num_row_groups):
            rows = file.metadata.row_group(group).num_rows
            if any(start <= row < start + rows for row in wanted):
                at = start
                for batch in file.iter_batches(PARQUET_ROWS, [group], [column], use_threads=False):
                    for i in range(len(batch)):
                        if at + i in wanted:
                            value = batch.column(0)[i].as_py()
                            yield at + i, value["bytes"] if isinstance(value, dict) else value
                    at += len(batch)
            start += rows


def _jsonl(path: Path, look: Look) -> Iterator[Record | str]:
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


def _tsv(path: Path, look: Look) -> Iterator[Record | str]:
    """Quotes mean nothing: a caption may begin with one."""
    with path.open("rb") as file:
        lines = (line.removeprefix(BOM).rstrip(b"\r\n").split(b"\t") for line in file)
        yield from _records(path, (fields for fields in lines if fields != [b""]), look)


def _csv(path: Path, look: Look) -> Iterator[Record | str]:
    """Fields may be quoted and hold line breaks."""
    csv.field_size_limit(MAX_FIELD)
    with io.TextIOWrapper(path.open("rb"), "utf-8-sig", errors="surrogateescape", newline="") as file:
        yield from _records(path, _csv_lines(file), look)


def _csv_lines(file: io.TextIOWrapper) -> Iterator[list[bytes] | None]:
    """Rows as fields, None for a line that is none.

    A quote that nobody closes would swallow the lines behind it: where a row of several lines has another width than the
    first one, breaks a rule, spans too many lines or meets the end of the file, its first line alone is bad, and the
    others are read again.
    """
    again: deque[str] = deque()
    taken: list[str] = []
    reader = csv.reader(_fed(file, again, taken), strict=True)
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
        reader = csv.reader(_fed(file, again, taken), strict=True)
        yield None


def _fed(file: io.TextIOWrapper, again: deque[str], taken: list[str]) -> Iterator[str]:
    """Lines to be read again, then those of the file; each is noted in ``taken``, which may not grow too long."""
    while line := again.popleft() if again else file.readline():
        taken.append(line)
        if len(taken) > MAX_LINES:
            raise csv.Error("a quote that nobody closes")
        yield line


def _records(path: Path, lines: Iterator[list[bytes] | None], look: Look) -> Iterator[Record | str]:
    """Lines under their names or positions; one with another number of fields than the first is a fault."""
    by_position = any(isinstance(column, int) for column in look.columns.named())
    has_header = not by_position if look.header is None else look.header
    bad, first = 0, next(lines, END)
    while first is None:
        bad, first = bad + 1, next(lines, END)
    if bad and has_header:
        raise pa.ArrowInvalid("the line of names cannot be read")
    yield from itertools.repeat("bad_line", bad)
    if first is END:
        return
    names: list[Column] = list(range(len(first)))
    if has_header and not by_position:
        names = [name.decode("utf-8", "replace") for name in first]
    _require_columns(path, look, names)
    for fields in lines if has_header else itertools.chain([first], lines):
        if fields is None or len(fields) != len(names):
            yield "bad_line"
        else:
            yield dict(zip(names, fields, strict=True))


def _sbu(path: Path, look: Look) -> Iterator[Record | str]:
    """One JSON object of parallel lists; a list that is too short makes the table damaged."""
    content = orjson.loads(path.read_bytes())
    lists = content.items() if isinstance(content, dict) else ()
    columns = {name: values for name, values in lists if isinstance(values, list)}
    if len({len(values) for values in columns.values()}) != 1:
        raise pa.ArrowInvalid("lists of different lengths")
    _require_columns(path, look, list(columns))
    for values in zip(*columns.values(), strict=True):
        yield dict(zip(columns, values, strict=True))


def _coco(path: Path, look: Look) -> Iterator[Record | str]:
    """COCO captions: one row per annotation, with the fields of its image."""
    content = orjson.loads(path.read_bytes())
    try:
        images = {image["id"]: image for image in content["images"]}
        pairs = [(images.get(annotation["image_id"]), annotation) for annotation in content["annotations"]]
    except (KeyError, TypeError):
        raise pa.ArrowInvalid("no images and annotations of COCO") from None
    whole = next(({**image, **annotation} for image, annotation in pairs if image is not None), None)
    if whole is not None:
        _require_columns(path, look, list(whole))
    for image, annotation in pairs:
        yield {**image, **annotation} if image is not None else "no_image"


READERS: dict[Format, Callable[[Path, Look], Iterator[Record | str]]] = {
    "parquet": _parquet,
    "jsonl": _jsonl,
    "tsv": _tsv,
    "csv": _csv,
    "sbu": _sbu,
    "coco": _coco,
}
