"""Searches in a text, which must look at every row: some files at a time, and never again at files without a hit.

An answer that is not complete says how to go on (``next``) and which share of the bytes has been looked through.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import accumulate
from time import monotonic
from typing import Any

from qvl.pipeline.view.tables.conditions import BadQuery, Where
from qvl.pipeline.view.tables.queries import PAGE, Query, facets
from qvl.pipeline.view.tables.tables import Column, Table

AT_ONCE = 48 << 20  # bytes of files that one statement reads
SECONDS = 0.4  # after which an answer is given as it is


@dataclass
class Search:
    """What is known of one search: the files looked through (by number), and those of them with hits."""

    table: Table
    covered: set[int] = field(default_factory=set)
    hits: set[int] = field(default_factory=set)

    @cached_property
    def ends(self) -> list[int]:
        """Bytes of all files up to each one's end."""
        return list(accumulate(path.stat().st_size for path in self.table.files))

    def narrowed(self, query: Query) -> Query:
        """The question to the files alone that may have hits."""
        if self.covered <= self.hits:
            return query
        return replace(query, files=tuple(self.table.files[n] for n in self._open(0)) or self.table.files[:1])

    def facets(self, query: Query, by: list[Column], place: str) -> dict[str, Any]:
        """``queries.facets`` of the files from a place on (``FILE:0``, or nothing), as many as a moment allows."""
        start, _ = _parsed(place)
        began, total, at = monotonic(), Counter[str](rows=0, kept=0), start
        every = {column.name: (Counter[Any](), Counter[Any]()) for column in by}
        for numbers in self._parts(start):
            found = facets(self._of(query, numbers), by)
            # before `covered`: a question in between skips what is covered and has no hit
            self.hits |= set(numbers) if found["total"]["rows"] else set()
            self.covered |= set(numbers)
            total.update(found["total"])
            for name, cells in found["counts"].items():
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
        return {"total": dict(total), "counts": counts, **self._place(at, 0)}

    def keys(self, query: Query, place: str) -> tuple[list[str], dict[str, Any]]:
        """Keys of at most a page of rows behind a place (``FILE:ROW``, or nothing), in the order of the files."""
        start, row = _parsed(place)
        began, found, key = monotonic(), list[str](), query.table.column(query.table.key).sql
        for numbers in self._parts(start):
            part = self._of(query, numbers)
            if row and numbers[0] == start:
                first = str(self.table.files[start])
                behind = f"({part.where.sql}) AND NOT (filename = ? AND file_row_number < ?)"
                part = replace(part, where=Where(behind, (*part.where.values, first, row)))
            asked = PAGE - len(found)
            listed = part.run(f"SELECT {key}, filename, file_row_number FROM {{table}} WHERE {{where}} LIMIT {asked}")
            at = {str(self.table.files[n]): n for n in numbers}
            found += [str(each[0]) for each in listed]
            self.hits |= {at[each[1]] for each in listed}
            if len(listed) == asked:
                return found, self._place(at[listed[-1][1]], listed[-1][2] + 1)
            if not (row and numbers[0] == start):
                self.covered |= set(numbers)
            if monotonic() - began > SECONDS:
                return found, self._place(numbers[-1] + 1, 0)
        return found, self._place(len(self.table.files), 0)

    def _of(self, query: Query, numbers: list[int]) -> Query:
        return replace(query, files=tuple(self.table.files[n] for n in numbers))

    def _open(self, start: int) -> list[int]:
        """Files from ``start`` on that have hits, or may have some."""
        return [n for n in range(start, len(self.table.files)) if n in self.hits or n not in self.covered]

    def _parts(self, start: int) -> Iterator[list[int]]:
        """Numbers of open files, as many together as one statement reads."""
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

    def _place(self, number: int, row: int) -> dict[str, Any]:
        """Where to go on, and the share of the bytes before it."""
        if number >= len(self.table.files):
            return {"next": None, "share": 1.0}
        before = self.ends[number - 1] if number else 0
        return {"next": f"{number}:{row}", "share": round(before / max(1, self.ends[-1]), 3)}


def _parsed(place: str) -> tuple[int, int]:
    numbers = place.split(":") if place else ["0", "0"]
    if len(numbers) != 2 or not all(each.isdigit() and len(each) < 10 for each in numbers):
        raise BadQuery(f"{place[:40]} is no place in a table")
    return int(numbers[0]), int(numbers[1])
