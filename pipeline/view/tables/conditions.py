"""The app's filters, which its address holds as ``column:operator:value``, turned into SQL with parameters.

Conditions of one column with ``is`` are alternatives; all others must hold together.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from qvl.pipeline.base.errors import QvlError
from qvl.pipeline.view.tables.columns import Column, Kind
from qvl.pipeline.view.tables.tables import Table

NUMBERS: tuple[str, ...] = ("in", "is", "not", "none", "some")
OPERATORS: dict[Kind, tuple[str, ...]] = {
    "word": ("is", "not", "has", "starts", "none", "some"),
    "text": ("has", "is", "not", "starts", "none", "some"),
    "hash": ("is", "not", "starts", "none", "some"),
    "flag": ("is", "not", "none", "some"),
    "number": NUMBERS,
    "numbers": NUMBERS,
    "words": ("is", "not", "none", "some"),
    "bits": ("is", "not", "none", "some"),
}
MAX_CONDITIONS, MAX_VALUE = 64, 2_000


class BadQuery(QvlError):
    """The address asks for something that does not exist or is not allowed."""


@dataclass(frozen=True)
class Condition:
    """An SQL condition and its parameters. ``slow``: it searches a text in every row."""

    sql: str = "true"
    values: tuple[Any, ...] = ()
    slow: bool = False


def combined(table: Table, texts: Iterable[str]) -> Condition:
    """All filters combined into one condition. Raises BadQuery with a message for the reader of the page."""
    listed = list(texts)
    if len(listed) > MAX_CONDITIONS:
        raise BadQuery(f"more than {MAX_CONDITIONS} filters")
    alternatives: dict[str, list[Condition]] = {}
    slow = False
    for number, text in enumerate(listed):
        name, operator, value = [*text.split(":", 2), "", ""][:3]
        if not table.has(name):
            raise BadQuery(f"{table.name} has no column {name[:80]}")
        column = table.column(name)
        if operator not in OPERATORS[column.kind]:
            raise BadQuery(
                f"{name}: the operator {operator[:20]} does not exist; choose from {', '.join(OPERATORS[column.kind])}"
            )
        if len(value) > MAX_VALUE:
            raise BadQuery(f"{name}: the value is longer than {MAX_VALUE} characters")
        slow |= column.kind == "text" and operator in ("has", "starts")
        group = name if operator == "is" else f"{name}:{number}"
        alternatives.setdefault(group, []).append(_condition(column, operator, value))
    joined = [f"({' OR '.join(one.sql for one in group)})" for group in alternatives.values()]
    values = [value for group in alternatives.values() for one in group for value in one.values]
    return Condition(" AND ".join(joined) or "true", tuple(values), slow)


def _condition(column: Column, operator: str, value: str) -> Condition:
    sql, kind = column.sql, column.kind
    if operator in ("none", "some"):
        empty = f"coalesce(len({sql}), 0) = 0" if kind in ("words", "numbers") else f"{sql} IS NULL"
        empty = f"{sql} = 0" if kind == "bits" else empty
        return Condition(empty if operator == "none" else f"NOT ({empty})")
    if operator == "in":
        return _range(column, value)
    if operator == "has":
        return _contains(sql, value)
    if operator == "starts":
        return Condition(f"starts_with({sql}, ?)", (value,))
    return _equal(column, operator == "not", value)


def _equal(column: Column, negated: bool, value: str) -> Condition:
    sql, kind = column.sql, column.kind
    prefix = "NOT " if negated else ""
    if kind == "bits":
        if value not in column.bits:
            raise BadQuery(f"{column.name}: there is no value {value[:80]}")
        return Condition(f"{prefix}(({sql} >> {column.bits.index(value)}) & 1 = 1)")
    parameter: Any = value
    if kind in ("number", "numbers"):
        parameter = _number(column, value)
    if kind == "flag":
        if value not in ("true", "false"):
            raise BadQuery(f"{column.name} is true or false")
        parameter = value == "true"
    if kind in ("words", "numbers"):
        return Condition(f"{prefix}coalesce(list_contains({sql}, ?), false)", (parameter,))
    if kind == "hash":
        parameter = value.lower()
    return Condition(f"{sql} IS DISTINCT FROM ?" if negated else f"{sql} = ?", (parameter,))


def _range(column: Column, value: str) -> Condition:
    """``low..high``: low <= value < high; a side may be left out. For a list: some element lies in the range."""
    low, dots, high = value.partition("..")
    if not dots or not (low or high):
        raise BadQuery(f"{column.name}: a range is LOW..HIGH, of which one side may be left out")
    name = "x" if column.kind == "numbers" else column.sql
    bounds = [(f"{name} >= ?", low), (f"{name} < ?", high)]
    sql = " AND ".join(part for part, side in bounds if side)
    values = tuple(_number(column, side) for _, side in bounds if side)
    return Condition(
        f"len(list_filter({column.sql}, lambda x: {sql})) > 0" if column.kind == "numbers" else sql, values
    )


def _contains(sql: str, value: str) -> Condition:
    """Case matters only if the text to find contains capitals."""
    if value != value.lower() or value == value.upper():  # has capitals, or letters without case
        return Condition(f"contains({sql}, ?)", (value,))
    escaped = re.sub(r"([\\.+*?()|\[\]{}^$])", r"\\\1", value)
    return Condition(f"regexp_matches({sql}, ?, 'i')", (escaped,))


def _number(column: Column, text: str) -> float | int:
    try:
        value = float(text)
    except ValueError:
        raise BadQuery(f"{column.name}: {text[:40]} is not a number") from None
    if value - value != 0:
        raise BadQuery(f"{column.name}: {text[:40]} is not a finite number")
    return int(value) if value == int(value) and abs(value) < 2**53 else value
