"""TSV and CSV: rows as lists of fields, and the dialect, which the file itself decides unless the recipe names it."""

import csv
import io
import itertools
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from qvl.pipeline.sources.columns import Column
from qvl.pipeline.sources.table_records import Expectation, Format, Record, has_column, require_columns
from qvl.pipeline.sources.text_files import open_text

MAX_FIELD = 16 << 20
MAX_LINES = 256  # of one row
HEAD = 64 << 10  # bytes from which the dialect is decided
DELIMITERS = (",", "\t", ";", "|")
END: list[bytes] = []
BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class Dialect:
    """How fields are divided, and whether a field that begins with a quotation mark ends with one."""

    delimiter: str
    quoted: bool


PLAIN: dict[str, Dialect] = {"tsv": Dialect("\t", quoted=False), "csv": Dialect(",", quoted=True)}


def dialect_of(path: Path, expected: Expectation, kind: Format) -> Dialect:
    """The dialect of a file. What the recipe names is used; for the rest the first 64 KiB decide.

    The delimiter is that under which the first line has the columns that the recipe names, and else a comma in CSV and a
    tabulator in TSV. Fields of TSV are quoted if the file says so (``_shows_quotes``), and those of CSV always are.
    """
    usual = PLAIN[kind]
    with open_text(path, expected.max_expansion, expected.encoding) as file:
        head = file.read(HEAD)
    delimiter = expected.delimiter or _delimiter(head, expected, usual.delimiter)
    if expected.quote is not None:
        return Dialect(delimiter, expected.quote)
    return Dialect(delimiter, usual.quoted or _shows_quotes(head, delimiter))


def _delimiter(head: bytes, expected: Expectation, usual: str) -> str:
    if any(isinstance(column, int) for column in expected.wanted):
        return usual
    first = head.partition(b"\n")[0].decode("utf-8", "replace").rstrip("\r")
    for delimiter in dict.fromkeys((usual, *DELIMITERS)):
        names = next(csv.reader([first], delimiter=delimiter), [])
        if all(has_column(names, column) for column in expected.wanted):
            return delimiter
    return usual


def _shows_quotes(head: bytes, delimiter: str) -> bool:
    """Whether a file is written with quotation marks around fields.

    It is if all of its rows have the width of the first one when they are read so, and at least one field could not have
    been written otherwise: it holds the delimiter, a line break or a doubled quotation mark. A caption of a file without
    such quoting that merely begins with a quotation mark fails the first test or gives no evidence for the second.
    """
    text = head.decode("utf-8", "surrogateescape")
    if len(head) == HEAD:
        text = text[: text.rfind("\n") + 1]
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    rows: list[list[str]] = []
    whole = True
    try:
        rows.extend(reader)
    except csv.Error:
        whole = len(head) == HEAD and reader.line_num >= text.count("\n")  # a quote that is closed after the head
    widths = {len(row) for row in rows if row}
    evidence = any(mark in field for row in rows for field in row for mark in (delimiter, "\n", '"'))
    return whole and len(widths) == 1 and evidence


def read_delimited(path: Path, expected: Expectation, kind: Format) -> Iterator[Record | str]:
    """All rows as records. Quoted fields may contain line breaks; without quotes a quotation mark is a character."""
    dialect = dialect_of(path, expected, kind)
    with open_text(path, expected.max_expansion, expected.encoding) as file:
        if not dialect.quoted:
            delimiter = dialect.delimiter.encode()
            lines = (line.removeprefix(BOM).rstrip(b"\r\n").split(delimiter) for line in file)
            yield from _records(path, (fields for fields in lines if fields != [b""]), expected)
            return
        csv.field_size_limit(MAX_FIELD)
        text = io.TextIOWrapper(file, "utf-8-sig", errors="surrogateescape", newline="")
        yield from _records(path, _quoted_rows(text, dialect.delimiter), expected)


def _quoted_rows(file: io.TextIOWrapper, delimiter: str) -> Iterator[list[bytes] | None]:
    """Rows as lists of fields, None for a line that is not a row.

    An unclosed quote would swallow the lines after it. Therefore, if a row of several lines has a different number of fields
    than the first row, is malformed, spans too many lines or reaches the end of the file, only its first line counts as bad,
    and the other lines are read again. Neither Python's nor Arrow's reader recovers from such a quote.
    """
    again: deque[str] = deque()
    taken: list[str] = []
    reader = csv.reader(_lines_for(file, again, taken), delimiter=delimiter, strict=True)
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
        reader = csv.reader(_lines_for(file, again, taken), delimiter=delimiter, strict=True)
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
    require_columns(path, expected, names, "; set `delimiter:` if fields are divided by something else")
    for fields in lines if has_header else itertools.chain([first], lines):
        if fields is None or len(fields) != len(names):
            yield "bad_line"
        else:
            yield dict(zip(names, fields, strict=True))
