"""What each address of the app answers, as data. The output is opened anew when a run has changed it."""

import threading
from contextlib import suppress
from pathlib import Path
from typing import Any, ClassVar

import duckdb
from starlette.requests import Request

from qvl.pipeline.base.errors import QvlError
from qvl.pipeline.view import detail, predictions, samples
from qvl.pipeline.view.output import Given, Output
from qvl.pipeline.view.pictures import picture
from qvl.pipeline.view.tables.conditions import BadQuery
from qvl.pipeline.view.tables.queries import PAGE, Query, counts, facets, histogram, keys, records, total
from qvl.pipeline.view.tables.search import Search
from qvl.pipeline.view.whatif import WhatIf, dedup_rules, knobs

CARD = (
    "verdict", "source", "language", "width", "height", "caption", "fails", "kind", "task", "images", "text_length",
    "samples", "regions", "lines", "dataset", "model", "set", "group",
)  # fmt: skip
CACHED, SEARCHES = 512, 64


class Answers:
    """One output's answers. Each method takes a cursor and a request; its name is its address below ``/api/``."""

    NAMES: ClassVar[tuple[str, ...]] = (
        "output", "total", "counts", "facets", "histogram", "rows", "row", "clusters", "knobs", "whatif", "searching",
        "scores",
    )  # fmt: skip
    Interrupted = duckdb.InterruptException

    def __init__(self, out: Path, given: Given | None = None) -> None:
        self._out, self._given, self._lock = out, given or Given(), threading.Lock()
        self._open()

    def _open(self) -> None:
        self._output = Output.open(self._out, self._given)
        self._mark = self._output.written()
        self._whatif = WhatIf(self._output)
        self._cache: dict[tuple[str, str], Any] = {}
        self._searches: dict[tuple[str, ...], Search] = {}

    def cursor(self) -> Any:
        """A cursor over the output as it is now."""
        with self._lock:
            if self._output.written() != self._mark:
                self._open()
            return self._output.database.cursor()

    def warm(self) -> None:
        """Read what the first page will ask for, while the browser is being opened: footers, and two columns."""
        with suppress(QvlError):  # a run is changing the output, or verdicts are no words: the page will say so
            content = self._output.content(self.cursor())
            table = self._output.table(content["tables"][0]["name"])
            by = [table.column(name) for name in ("verdict", "source") if table.has(name)]
            if by:
                counts(self._output.query(self.cursor(), table.name, []), by)

    def _query(self, cursor: Any, request: Request) -> Query:
        asked = request.query_params
        query = self._output.query(cursor, asked.get("table", "rows"), asked.getlist("f"))
        return self._search(query, request).narrowed(query) if query.where.slow else query

    def _search(self, query: Query, request: Request) -> Search:
        """What is known of a search in a text; of the last ones asked for."""
        key = (query.table.name, *sorted(request.query_params.getlist("f")))
        with self._lock:
            found = self._searches.pop(key, None) or Search(query.table)
            while len(self._searches) >= SEARCHES:
                self._searches.pop(next(iter(self._searches)))
            self._searches[key] = found
        return found

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
        """The total and the counts of several columns (``by``), from one reading.

        A search in a text is counted in parts: ``next`` is what to ask for ``from`` then; the parts add up.
        """

        def counted() -> dict[str, Any]:
            query, asked = self._query(cursor, request), request.query_params
            by = [query.table.column(name) for name in asked.getlist("by")]
            if query.where.slow:
                return self._search(query, request).facets(query, by, asked.get("from", ""))
            return facets(query, by) | {"next": None, "share": 1.0}

        return self._remembered(request, counted)

    def histogram(self, cursor: Any, request: Request) -> dict[str, Any]:
        """Rows in bins of one column (``column``)."""

        def drawn() -> dict[str, Any]:
            query = self._query(cursor, request)
            return histogram(query, query.table.column(request.query_params.get("column", "")))

        return self._remembered(request, drawn)

    def rows(self, cursor: Any, request: Request) -> dict[str, Any]:
        """A page of rows: the columns of a card, and those that are asked for. ``next`` is what to ask for ``from`` then."""
        query, asked = self._query(cursor, request), request.query_params
        table, sort, place = query.table, asked.get("sort", ""), asked.get("from", "")
        if query.where.slow and not sort:
            found, then = self._search(query, request).keys(query, place)
        else:
            order = table.column(sort.removeprefix("-")) if sort else None
            found = keys(query, order, sort.startswith("-"), _whole(place or "0"))
            then = {"next": str(_whole(place or "0") + PAGE) if len(found) == PAGE else None, "share": 1.0}
        names = [name for name in CARD if table.has(name)]
        names += [name for name in asked.getlist("column") if name not in names]
        if len(names) == 0:
            names = [column.name for column in table.columns]
        listed = records(query, found, [table.column(name) for name in names])
        if table.name == "samples":
            previews = samples.previews(cursor, found)
            listed = [{**row, **previews.get(row["_key"], {})} for row in listed]
        elif table.name == "rows" and self._output.stored is None:
            listed = detail.build_cards(self._output, cursor, listed)
        elif table.predicted:
            previews = predictions.previews(query, found)
            listed = [{**row, **previews.get(row["_key"], {})} for row in listed]
        return {"rows": listed, **then}

    def row(self, cursor: Any, request: Request) -> dict[str, Any]:
        """Everything about one row (``table``, ``key``)."""
        asked = request.query_params
        return detail.row(self._output, cursor, asked.get("table", "rows"), asked.get("key", ""))

    def scores(self, cursor: Any, request: Request) -> list[list[Any]]:
        """Mean scores of predictions by set and model."""
        query = self._query(cursor, request)
        if not query.table.predicted:
            raise BadQuery(f"{query.table.name} holds no predictions")
        return self._remembered(request, lambda: predictions.scores(query))

    def clusters(self, cursor: Any, request: Request) -> dict[str, Any]:
        """The largest duplicate clusters of a rule (``rule``, ``offset``)."""
        asked = request.query_params
        return detail.clusters(self._query(cursor, request), asked.get("rule", ""), _whole(asked.get("offset", "0")))

    def knobs(self, cursor: Any, request: Request) -> dict[str, Any]:
        """Thresholds that can be moved."""
        recipe = self._output.stored
        if recipe is None:
            raise BadQuery("only a curation has thresholds that can be moved")
        return {"filters": knobs(recipe), "dedup": dedup_rules(recipe), "sources": [s.name for s in recipe.sources]}

    def whatif(self, cursor: Any, request: Request) -> dict[str, Any]:
        """What changes (``w``) would keep, let in and put out."""
        query = self._output.query(cursor, "rows", [])
        return self._whatif.ask(query, request.query_params.getlist("w"), request.state.gone)

    def searching(self, cursor: Any, request: Request) -> dict[str, float | None]:
        """How much of the search for duplicates is done that what-if needs (``share``); null when it is over."""
        return {"share": self._whatif.searching()}

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
