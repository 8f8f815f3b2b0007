"""What each address of the app answers, as data. The output is opened anew when a run has changed it."""

import threading
from pathlib import Path
from typing import Any, ClassVar

import duckdb
from starlette.requests import Request

from pipeline.recipe import Recipe
from pipeline.view import detail, samples
from pipeline.view.conditions import BadQuery
from pipeline.view.output import Output
from pipeline.view.pictures import picture
from pipeline.view.queries import PAGE, Query, counts, facets, histogram, keys, records, total
from pipeline.view.whatif import WhatIf, dedup_rules, knobs

CARD = (
    "verdict", "source", "language", "width", "height", "caption", "fails", "kind", "task", "images", "text_length",
    "samples", "regions", "lines",
)  # fmt: skip
CACHED = 512


class Answers:
    """One output's answers. Each method takes a cursor and a request; its name is its address below ``/api/``."""

    NAMES: ClassVar[tuple[str, ...]] = (
        "output", "total", "counts", "facets", "histogram", "rows", "row", "clusters", "knobs", "whatif",
    )  # fmt: skip
    Interrupted = duckdb.InterruptException

    def __init__(self, out: Path, recipe: Recipe | None = None) -> None:
        self._out, self._recipe, self._lock = out, recipe, threading.Lock()
        self._open()

    def _open(self) -> None:
        self._output = Output.open(self._out, self._recipe)
        self._mark = self._output.written()
        self._whatif = WhatIf(self._output)
        self._cache: dict[tuple[str, str], Any] = {}

    def cursor(self) -> Any:
        """A cursor over the output as it is now."""
        with self._lock:
            if self._output.written() != self._mark:
                self._open()
            return self._output.database.cursor()

    def _query(self, cursor: Any, request: Request) -> Query:
        asked = request.query_params
        return self._output.query(cursor, asked.get("table", "rows"), asked.getlist("f"))

    def output(self, cursor: Any, request: Request) -> dict[str, Any]:
        """Name, tables and columns: what the pages must know first."""
        return self._remembered(request, lambda: self._output.content(cursor))

    def total(self, cursor: Any, request: Request) -> dict[str, int]:
        """Rows under the filters (``f``), and how many of them went on."""
        return self._remembered(request, lambda: total(self._query(cursor, request)))

    def counts(self, cursor: Any, request: Request) -> list[list[Any]]:
        """Rows by the words of one or two columns (``by``)."""

        def counted() -> list[list[Any]]:
            query = self._query(cursor, request)
            return counts(query, [query.table.column(name) for name in request.query_params.getlist("by")])

        return self._remembered(request, counted)

    def facets(self, cursor: Any, request: Request) -> dict[str, Any]:
        """The total and the counts of several columns (``by``), from one reading."""

        def counted() -> dict[str, Any]:
            query = self._query(cursor, request)
            return facets(query, [query.table.column(name) for name in request.query_params.getlist("by")])

        return self._remembered(request, counted)

    def histogram(self, cursor: Any, request: Request) -> dict[str, Any]:
        """Rows in bins of one column (``column``)."""

        def drawn() -> dict[str, Any]:
            query = self._query(cursor, request)
            return histogram(query, query.table.column(request.query_params.get("column", "")))

        return self._remembered(request, drawn)

    def rows(self, cursor: Any, request: Request) -> dict[str, Any]:
        """A page of rows: the columns of a card, and those that are asked for."""
        query, asked = self._query(cursor, request), request.query_params
        table, sort = query.table, asked.get("sort", "")
        order = table.column(sort.removeprefix("-")) if sort else None
        offset = _whole(asked.get("offset", "0"))
        found = keys(query, order, sort.startswith("-"), offset)
        names = [name for name in CARD if table.has(name)]
        names += [name for name in asked.getlist("column") if name not in names]
        if len(names) == 0:
            names = [column.name for column in table.columns]
        listed = records(query, found, [table.column(name) for name in names])
        if table.name == "samples":
            previews = samples.previews(self._output.layout, cursor, found)
            listed = [{**row, **previews.get(row["_key"], {})} for row in listed]
        return {"rows": listed, "more": len(found) == PAGE, "offset": offset}

    def row(self, cursor: Any, request: Request) -> dict[str, Any]:
        """Everything about one row (``table``, ``key``)."""
        asked = request.query_params
        return detail.row(self._output, cursor, asked.get("table", "rows"), asked.get("key", ""))

    def clusters(self, cursor: Any, request: Request) -> dict[str, Any]:
        """The largest duplicate clusters of a rule (``rule``, ``offset``)."""
        asked = request.query_params
        return detail.clusters(self._query(cursor, request), asked.get("rule", ""), _whole(asked.get("offset", "0")))

    def knobs(self, cursor: Any, request: Request) -> dict[str, Any]:
        """Thresholds that can be moved; what they will need is looked up while the page is drawn."""
        recipe = self._output.stored
        if recipe is None:
            raise BadQuery("only a curation has thresholds that can be moved")
        threading.Thread(target=self._whatif.warm, daemon=True).start()
        return {"filters": knobs(recipe), "dedup": dedup_rules(recipe), "sources": [s.name for s in recipe.sources]}

    def whatif(self, cursor: Any, request: Request) -> dict[str, Any]:
        """What changes (``w``) would keep, let in and put out."""
        query = self._output.query(cursor, "rows", [])
        return self._whatif.ask(query, request.query_params.getlist("w"), request.state.gone)

    def picture(self, cursor: Any, request: Request) -> bytes:
        """A WebP of a row (``table``, ``key``, ``n``, ``side``). Raises DataError with the reason why there is none."""
        asked = request.query_params
        number, side = _whole(asked.get("n", "0")), _whole(asked.get("side", "320"))
        return picture(self._output, cursor, asked.get("table", "rows"), asked.get("key", ""), number, side)

    def _remembered(self, request: Request, make: Any) -> Any:
        """The answer to the same address again, while the output stays as it is."""
        key = (request.url.path, request.url.query)
        cache = self._cache
        if key not in cache:
            content = make()
            with self._lock:
                while len(cache) >= CACHED:
                    cache.pop(next(iter(cache)))
                cache[key] = content
            return content
        return cache[key]


def _whole(text: str) -> int:
    if not text.isdigit() or len(text) > 9:
        raise BadQuery(f"{text[:40]} is no whole number")
    return int(text)
