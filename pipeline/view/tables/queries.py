"""Questions of the pages: counts by value, histograms, pages of rows. Each reads one table under one condition."""

import math
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from qvl.pipeline.view.tables.columns import Column, quoted
from qvl.pipeline.view.tables.conditions import BadQuery, Condition
from qvl.pipeline.view.tables.database import reading, rows
from qvl.pipeline.view.tables.histogram import Axis, axis_of
from qvl.pipeline.view.tables.tables import Table

GROUPS = 2_000
PAGE, MAX_OFFSET = 60, 1_000_000
TEXT_SHOWN, LIST_SHOWN = 300, 8
FEW_VALUES = 20_000

Record = dict[str, Any]
"""A row as JSON: values by the names of its columns; ``_key`` and other names with ``_`` are added by the app."""

ALL_ROWS = Condition()
Span = tuple[float | None, float | None]


@dataclass(frozen=True)
class Query:
    """A table under a condition. ``cursor`` is DuckDB's; ``spans`` caches the extremes of columns.

    ``files``: the table's files to read; all of them if empty.
    """

    cursor: Any
    table: Table
    condition: Condition = ALL_ROWS
    spans: dict[tuple[str, str], Span] = field(default_factory=dict)
    files: tuple[Path, ...] = ()

    def run(self, statement: str, values: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
        """Run ``statement`` with ``{table}`` and ``{where}`` filled in; ``values`` precede those of the condition."""
        table = reading(self.table, self.files) if self.files else quoted(self.table.name)
        filled = statement.replace("{table}", table).replace("{where}", self.condition.sql)
        return rows(self.cursor, filled, (*values, *self.condition.values))


@dataclass(frozen=True, slots=True)
class RowCount:
    """Rows, and how many of them were kept."""

    rows: int
    kept: int


@dataclass(frozen=True, slots=True)
class Facets:
    """The total, and the cells of each column by its name: value, rows, kept rows."""

    total: RowCount
    counts: dict[str, list[list[Any]]]


def total(query: Query) -> RowCount:
    """Rows under the condition, and how many of them were kept."""
    found = query.run(f"SELECT count(*), count(*) FILTER ({query.table.kept}) FROM {{table}} WHERE {{where}}")
    return RowCount(*found[0])


def counts(query: Query, by: list[Column]) -> list[list[Any]]:
    """Rows by the values of one or two columns: values, rows, kept rows; the largest group first."""
    if not 1 <= len(by) <= 2:
        raise BadQuery("rows are counted by one or two columns")
    if [column.kind for column in by] == ["bits"]:
        return _bits(query, by[0])
    inner, names = [], [f"w{i}" for i in range(len(by))]
    for name, column in zip(names, by, strict=True):
        if column.kind not in ("word", "flag", "words", "text"):
            raise BadQuery(f"{column.name} cannot be counted by value; ask for its histogram")
        inner.append(f"{f'unnest({column.sql})' if column.kind == 'words' else column.sql} AS {name}")
    found = query.run(
        f"SELECT {', '.join(names)}, count(*) AS n, count(*) FILTER (kept) FROM (SELECT {', '.join(inner)}, "
        f"{query.table.kept} AS kept FROM {{table}} WHERE {{where}}) GROUP BY ALL ORDER BY n DESC, {', '.join(names)} "
        f"LIMIT {GROUPS}"
    )
    return [[*(_word(word) for word in row[: len(by)]), *row[len(by) :]] for row in found]


def facets(query: Query, by: list[Column]) -> Facets:
    """``total``, and ``counts`` of each column, in one pass over the rows: a text is searched once for all of them."""
    if not all(column.kind in ("word", "flag", "text", "bits") for column in by):
        raise BadQuery("facets need columns with one value per row")
    names = [f"w{i}" for i in range(len(by))]
    inner = "".join(f"{column.sql} AS {name}, " for name, column in zip(names, by, strict=True))
    sets = ", ".join([*(f"({name})" for name in names), "()"])
    grouped = f"GROUPING({', '.join(names)})" if names else "0"
    found = query.run(
        f"SELECT {grouped}, {''.join(f'{name}, ' for name in names)}count(*) AS n, count(*) FILTER (kept) FROM "
        f"(SELECT {inner}{query.table.kept} AS kept FROM {{table}} WHERE {{where}}) GROUP BY GROUPING SETS ({sets}) "
        "ORDER BY n DESC"
    )
    every = 2 ** len(by) - 1
    cells: dict[str, list[list[Any]]] = {column.name: [] for column in by}
    total_found = RowCount(0, 0)
    for mask, *words, rows_, kept in found:
        if mask == every:
            total_found = RowCount(rows_, kept)
            continue
        at = (every ^ mask).bit_length()
        column = by[len(by) - at]
        cells[column.name].append([_word(words[len(by) - at]), rows_, kept])
    return Facets(total_found, {column.name: _faceted(column, cells[column.name]) for column in by})


def _faceted(column: Column, cells: list[list[Any]]) -> list[list[Any]]:
    return _by_bit(column, cells) if column.kind == "bits" else cells[:GROUPS]


def _word(value: Any) -> Any:
    return str(value).lower() if isinstance(value, bool) else value


def _bits(query: Query, column: Column) -> list[list[Any]]:
    """Rows by each of their set bits."""
    return _by_bit(
        column,
        query.run(
            f"SELECT {column.sql} AS w, count(*), count(*) FILTER ({query.table.kept}) FROM {{table}} WHERE {{where}} "
            "GROUP BY w"
        ),
    )


def _by_bit(column: Column, cells: Iterable[Sequence[Any]]) -> list[list[Any]]:
    """Rows by bit, from rows by value."""
    every: Counter[str] = Counter()
    kept: Counter[str] = Counter()
    for value, number, kept_number in cells:
        for bit, word in enumerate(column.bits):
            if value is not None and value >> bit & 1:
                every[word] += number
                kept[word] += kept_number
    return [[word, number, kept[word]] for word, number in every.most_common()]


@dataclass(frozen=True, slots=True)
class BinnedRows:
    """Rows in bins: ``edges`` (one more than bins), ``every`` and ``kept`` by bin, ``missing`` rows without a value."""

    edges: list[float]
    every: list[int]
    kept: list[int]
    missing: int
    log: bool


def histogram(query: Query, column: Column) -> BinnedRows:
    """Rows by the value of a column, and those of them that were kept.

    The axis is that of the whole table, so that filters do not move it. The last bin includes its upper edge.
    """
    if column.kind not in ("number", "numbers"):
        raise BadQuery(f"{column.name} does not hold numbers; ask for its counts")
    least, most = _span(query, column)
    if least is None or most is None:
        return BinnedRows([], [], [], total(query).rows, False)
    axis = axis_of(least, most, column.integer)
    if column.integer and column.kind == "number" and most - least <= FEW_VALUES:
        return _filled(axis, _by_value(query, column, axis))
    return _filled(
        axis,
        query.run(
            f"SELECT kept, histogram(x, ?::DOUBLE[]), count(*) FILTER (x IS NULL) FROM (SELECT {_value(column)} AS x, "
            f"{query.table.kept} AS kept FROM {{table}} WHERE {{where}}) GROUP BY kept",
            (axis.uppers,),
        ),
    )


def _value(column: Column) -> str:
    return f"(unnest({column.sql}))::DOUBLE" if column.kind == "numbers" else f"({column.sql})::DOUBLE"


def _span(query: Query, column: Column) -> Span:
    """Smallest and largest value in the whole table; looked up once."""
    name = (query.table.name, column.name)
    if name not in query.spans:
        if column.integer and column.kind == "number":
            statement = f"SELECT min({column.sql}), max({column.sql}) FROM {quoted(query.table.name)}"
        else:
            inner = f"SELECT {_value(column)} AS x FROM {quoted(query.table.name)}"
            statement = f"SELECT min(x), max(x) FROM ({inner}) WHERE isfinite(x)"
        least, most = rows(query.cursor, statement)[0]
        query.spans[name] = (least, most)
    return query.spans[name]


def _by_value(query: Query, column: Column, axis: Axis) -> list[tuple[Any, ...]]:
    """Counts by value, binned here: three times as fast for a column with few different integers."""
    found = query.run(f"SELECT {query.table.kept}, {column.sql}, count(*) FROM {{table}} WHERE {{where}} GROUP BY ALL")
    bins: dict[bool, Counter[float]] = {True: Counter(), False: Counter()}
    missing = Counter[bool]()
    for kept, value, number in found:
        if value is None:
            missing[bool(kept)] += number
        else:
            at = min(bisect_right(axis.edges, value), len(axis.uppers)) - 1
            bins[bool(kept)][axis.uppers[at]] += number
    return [(kept, counted, missing[kept]) for kept, counted in bins.items()]


def _filled(axis: Axis, found: list[tuple[Any, ...]]) -> BinnedRows:
    every, kept = [0] * len(axis.uppers), [0] * len(axis.uppers)
    place = {upper: i for i, upper in enumerate(axis.uppers)}
    missing = 0
    for is_kept, bins, without in found:
        missing += without
        for upper, number in (bins or {}).items():
            at = place.get(upper, len(axis.uppers) - 1)
            every[at] += number
            kept[at] += number if is_kept else 0
    return BinnedRows(axis.edges, every, kept, missing, axis.log)


def keys(query: Query, order: Column | None, descending: bool, offset: int) -> list[str]:
    """Keys of one page of rows, in file order or by a column; rows without a value come last."""
    if not 0 <= offset <= MAX_OFFSET:
        raise BadQuery(f"only the first {MAX_OFFSET:,} rows can be paged through; use filters to see others")
    by = ""
    if order is not None:  # ties in file order, so that pages follow each other
        by = f"ORDER BY {order.sql} {'DESC' if descending else 'ASC'} NULLS LAST, {query.table.position}"
    key = query.table.column(query.table.key).sql
    found = query.run(f"SELECT {key} FROM {{table}} WHERE {{where}} {by} LIMIT {PAGE} OFFSET {offset}")
    return [str(row[0]) for row in found]


def records(query: Query, wanted: list[str], columns: list[Column], text: int = TEXT_SHOWN) -> list[Record]:
    """Rows by key, in the order of ``wanted``; texts are cut to ``text`` characters and lists to a few elements."""
    if not wanted:
        return []
    key = query.table.column(query.table.key).sql
    shown = ", ".join(_shown(column, text) for column in columns)
    places = ", ".join("?" for _ in wanted)
    found = rows(
        query.cursor,
        f"SELECT {key}, {shown} FROM {quoted(query.table.name)} WHERE {key} IN ({places})",
        tuple(wanted),
    )
    names = [column.name for column in columns]
    by_key = {
        str(row[0]): {name: _plain(value, column) for name, value, column in zip(names, row[1:], columns, strict=True)}
        for row in found
    }
    return [{"_key": key, **by_key[key]} for key in wanted if key in by_key]


def _shown(column: Column, text: int) -> str:
    if column.kind in ("text", "word"):
        return f"left({column.sql}, {text})"
    return f"{column.sql}[1:{max(LIST_SHOWN, text // 4)}]" if column.kind in ("words", "numbers") else column.sql


def _plain(value: Any, column: Column) -> Any:
    """A value that JSON can hold."""
    if column.kind == "bits":
        return [word for bit, word in enumerate(column.bits) if value is not None and value >> bit & 1]
    if isinstance(value, float):
        return round(value, 6) if math.isfinite(value) else None
    if isinstance(value, list):
        return [round(each, 6) if isinstance(each, float) and math.isfinite(each) else each for each in value]
    return value
