"""Searches in a text, which read every row: some files at a time, and files without a hit only once.

An incomplete answer says how to continue (``next``) and which share of the bytes has been searched.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import accumulate
from time import monotonic
from typing import Any

from qvl.pipeline.view.tables.columns import FILE_COLUMN, Column, quoted
from qvl.pipeline.view.tables.conditions import BadQuery, Condition
from qvl.pipeline.view.tables.queries import PAGE, Query, RowCount, facets
from qvl.pipeline.view.tables.tables import Table

AT_ONCE = 48 << 20  # bytes of files that one statement reads
SECONDS = 0.4  # after which the answer so far is returned


@dataclass(frozen=True, slots=True)
class Progress:
    """How a search goes on: at ``next``, None if it is over. ``share``: the part of the bytes that has been searched."""

    next: str | None
    share: float


WHOLE = Progress(None, 1.0)


@dataclass(frozen=True, slots=True)
class PartialFacets:
    """``Facets`` of the files searched by one request, and how the search goes on (see ``Progress``)."""

    total: RowCount
    counts: dict[str, list[list[Any]]]
    next: str | None
    share: float


@dataclass
class Search:
    """The state of one search: the numbers of the files searched so far, and of those with hits."""

    table: Table
    covered: set[int] = field(default_factory=set)
    hits: set[int] = field(default_factory=set)

    @cached_property
    def ends(self) -> list[int]:
        """For each file, the bytes of all files up to its end."""
        return list(accumulate(path.stat().st_size for path in self.table.files))

    def narrowed(self, query: Query) -> Query:
        """The query over only those files that may have hits."""
        if self.covered <= self.hits:
            return query
        return replace(query, files=tuple(self.table.files[n] for n in self._open(0)) or self.table.files[:1])

    def facets(self, query: Query, by: list[Column], position: str) -> PartialFacets:
        """``queries.facets`` over the files from a position on (``FILE:0``, or empty), as many as ``SECONDS`` allow."""
        start, _ = _parsed(position)
        began, total, at = monotonic(), RowCount(0, 0), start
        every = {column.name: (Counter[Any](), Counter[Any]()) for column in by}
        for numbers in self._parts(start):
            found = facets(self._of(query, numbers), by)
            # before `covered`: a concurrent query skips files that are covered and have no hit
            self.hits |= set(numbers) if found.total.rows else set()
            self.covered |= set(numbers)
            total = RowCount(total.rows + found.total.rows, total.kept + found.total.kept)
            for name, cells in found.counts.items():
                for word, rows, kept in cells:
                    every[name][0][word] += rows
                    every[name][1][word] += kept
            at = numbers[-1] + 1
            if monotonic() - began > SECONDS:
                break
        else:
            at = len(self.table.files)
        counts = {
            name: [[word, n, kept[word]] for word, n in rows.most_common()] for name, (rows, kept) in every.items()
        }
        progress = self._continue_at(at, 0)
        return PartialFacets(total, counts, progress.next, progress.share)

    def keys(self, query: Query, position: str) -> tuple[list[str], Progress]:
        """Keys of at most one page of rows after a position (``FILE:ROW``, or empty), in file order."""
        start, row = _parsed(position)
        began, found, key = monotonic(), list[str](), query.table.column(query.table.key).sql
        file, row_column = quoted(FILE_COLUMN), quoted(query.table.row_column)
        for numbers in self._parts(start):
            part = self._of(query, numbers)
            if row and numbers[0] == start:
                first = str(self.table.files[start])
                behind = f"({part.condition.sql}) AND NOT ({file} = ? AND {row_column} < ?)"
                part = replace(part, condition=Condition(behind, (*part.condition.values, first, row)))
            room = PAGE - len(found)
            listed = part.run(f"SELECT {key}, {file}, {row_column} FROM {{table}} WHERE {{where}} LIMIT {room}")
            at = {str(self.table.files[n]): n for n in numbers}
            found += [str(each[0]) for each in listed]
            self.hits |= {at[each[1]] for each in listed}
            if len(listed) == room:
                return found, self._continue_at(at[listed[-1][1]], listed[-1][2] + 1)
            if not (row and numbers[0] == start):
                self.covered |= set(numbers)
            if monotonic() - began > SECONDS:
                return found, self._continue_at(numbers[-1] + 1, 0)
        return found, self._continue_at(len(self.table.files), 0)

    def _of(self, query: Query, numbers: list[int]) -> Query:
        return replace(query, files=tuple(self.table.files[n] for n in numbers))

    def _open(self, start: int) -> list[int]:
        """Files from ``start`` on that have hits or may have some."""
        return [n for n in range(start, len(self.table.files)) if n in self.hits or n not in self.covered]

    def _parts(self, start: int) -> Iterator[list[int]]:
        """Numbers of the files to search, grouped by what one statement reads."""
        part: list[int] = []
        size = 0
        for number in self._open(start):
            part.append(number)
            size += self.ends[number] - (self.ends[number - 1] if number else 0)
            if size >= AT_ONCE:
                yield part
                part, size = [], 0
        if part:
            yield part

    def _continue_at(self, number: int, row: int) -> Progress:
        """The position to go on at, and the share of the bytes before it."""
        if number >= len(self.table.files):
            return WHOLE
        before = self.ends[number - 1] if number else 0
        return Progress(f"{number}:{row}", round(before / max(1, self.ends[-1]), 3))


def _parsed(text: str) -> tuple[int, int]:
    numbers = text.split(":") if text else ["0", "0"]
    if len(numbers) != 2 or not all(each.isdigit() and len(each) < 10 for each in numbers):
        raise BadQuery(f"{text[:40]} is not a position in a table")
    return int(numbers[0]), int(numbers[1])
