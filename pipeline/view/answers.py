"""The answer to each address of the app, as data. The output is opened again when a run has changed it."""

import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import duckdb
from cachetools import LRUCache
from pydantic import JsonValue
from starlette.requests import Request

from qvl.pipeline.base.errors import QvlError
from qvl.pipeline.curate.selection.ledger import ledger_schema
from qvl.pipeline.report.thresholds import JudgedColumns
from qvl.pipeline.view import detail, predictions, samples
from qvl.pipeline.view.output import Output, OutputContent, UserInputs
from qvl.pipeline.view.pictures import picture
from qvl.pipeline.view.tables.conditions import BadQuery
from qvl.pipeline.view.tables.queries import (
    PAGE,
    BinnedRows,
    Query,
    Record,
    RowCount,
    counts,
    facets,
    histogram,
    keys,
    records,
    total,
)
from qvl.pipeline.view.tables.search import WHOLE, PartialFacets, Progress, Search
from qvl.pipeline.view.whatif import FilterThresholds, WhatIf, WhatIfAnswer, dedup_rules, filter_thresholds

CARD = (
    "verdict", "source", "language", "width", "height", "caption", "fails", "kind", "task", "images", "text_length",
    "samples", "regions", "lines", "dataset", "model", "set", "group",
)  # fmt: skip
CACHED, SEARCHES = 512, 64
Content = TypeVar("Content")


@dataclass(frozen=True, slots=True)
class RowsPage:
    """A page of rows, and how the list goes on (see ``Progress``)."""

    rows: list[Record]
    next: str | None
    share: float


@dataclass(frozen=True, slots=True)
class Thresholds:
    """The thresholds of a curation that can be changed, and the names of its sources."""

    filters: list[FilterThresholds]
    dedup: dict[str, JsonValue]
    sources: list[str]


@dataclass(frozen=True, slots=True)
class Searching:
    """The finished ``share`` of the search for duplicates that what-if needs; None when it is over."""

    share: float | None


class Answers:
    """One output's answers. Each method listed in ``NAMES`` takes a cursor and a request, and answers ``/api/NAME``."""

    NAMES: ClassVar[tuple[str, ...]] = (
        "output", "total", "counts", "facets", "histogram", "rows", "row", "clusters", "thresholds", "whatif", "searching",
        "scores",
    )  # fmt: skip
    Interrupted = duckdb.InterruptException

    def __init__(self, out: Path, inputs: UserInputs | None = None) -> None:
        self._out, self._inputs, self._lock = out, inputs or UserInputs(), threading.Lock()
        self._open()

    def _open(self) -> None:
        self._output = Output.open(self._out, self._inputs)
        self._written = self._output.written()
        self._whatif = WhatIf(self._output)
        self._cache: LRUCache[tuple[str, str], Any] = LRUCache(CACHED)
        self._searches: LRUCache[tuple[str, ...], Search] = LRUCache(SEARCHES)

    def cursor(self) -> Any:
        """A cursor over the current output."""
        with self._lock:
            if self._output.written() != self._written:
                self._open()
            return self._output.database.cursor()

    def warm(self) -> None:
        """Read what the first page will need while the browser starts: footers, and two columns."""
        with suppress(QvlError):  # a run is changing the output, or verdicts cannot be counted: the page will say so
            content = self._output.content(self.cursor())
            table = self._output.table(content.tables[0].name)
            by = [table.column(name) for name in ("verdict", "source") if table.has(name)]
            if by:
                counts(self._output.query(self.cursor(), table.name, []), by)

    def _query(self, cursor: Any, request: Request) -> Query:
        parameters = request.query_params
        query = self._output.query(cursor, parameters.get("table", "rows"), parameters.getlist("f"))
        return self._search(query, request).narrowed(query) if query.condition.slow else query

    def _search(self, query: Query, request: Request) -> Search:
        """The state of a search in a text; the latest ``SEARCHES`` are kept."""
        key = (query.table.name, *sorted(request.query_params.getlist("f")))
        with self._lock:
            return self._searches.setdefault(key, Search(query.table))

    def output(self, cursor: Any, request: Request) -> OutputContent:
        """Name, tables and columns: what the pages need first."""
        return self._cached(request, lambda: self._output.content(cursor))

    def total(self, cursor: Any, request: Request) -> RowCount:
        """Rows under the filters (``f``), and how many of them were kept."""
        return self._cached(request, lambda: total(self._query(cursor, request)))

    def counts(self, cursor: Any, request: Request) -> list[list[Any]]:
        """Rows by the values of one or two columns (``by``)."""

        def counted() -> list[list[Any]]:
            query = self._query(cursor, request)
            return counts(query, [query.table.column(name) for name in request.query_params.getlist("by")])

        return self._cached(request, counted)

    def facets(self, cursor: Any, request: Request) -> PartialFacets:
        """The total and the counts of several columns (``by``), in one pass.

        A search in a text is counted in parts that add up: ``next`` is the ``from`` of the following part.
        """

        def counted() -> PartialFacets:
            query, parameters = self._query(cursor, request), request.query_params
            by = [query.table.column(name) for name in parameters.getlist("by")]
            if query.condition.slow:
                return self._search(query, request).facets(query, by, parameters.get("from", ""))
            found = facets(query, by)
            return PartialFacets(found.total, found.counts, WHOLE.next, WHOLE.share)

        return self._cached(request, counted)

    def histogram(self, cursor: Any, request: Request) -> BinnedRows:
        """Rows in bins of one column (``column``)."""

        def binned() -> BinnedRows:
            query = self._query(cursor, request)
            return histogram(query, query.table.column(request.query_params.get("column", "")))

        return self._cached(request, binned)

    def rows(self, cursor: Any, request: Request) -> RowsPage:
        """A page of rows: the columns of a card, and requested ones (``column``). ``next`` is the following ``from``."""
        query, parameters = self._query(cursor, request), request.query_params
        table, sort, position = query.table, parameters.get("sort", ""), parameters.get("from", "")
        if query.condition.slow and not sort:
            found, following = self._search(query, request).keys(query, position)
        else:
            order = table.column(sort.removeprefix("-")) if sort else None
            offset = _integer(position or "0")
            found = keys(query, order, sort.startswith("-"), offset)
            following = Progress(str(offset + PAGE), 1.0) if len(found) == PAGE else WHOLE
        names = [name for name in CARD if table.has(name)]
        names += [name for name in parameters.getlist("column") if name not in names]
        columns = [table.column(name) for name in names] or list(table.columns)
        listed = self._with_previews(query, found, records(query, found, columns))
        return RowsPage(listed, following.next, following.share)

    def _with_previews(self, query: Query, found: list[str], listed: list[Record]) -> list[Record]:
        """Rows with what their cards show next to columns: texts, outlines, origins."""
        if query.table.name == "rows" and self._output.stored is None:
            return detail.build_cards(self._output, query.cursor, listed)
        if query.table.name == "samples":
            previews = samples.previews(query.cursor, found)
        elif query.table.predicted:
            previews = predictions.previews(query, found)
        else:
            return listed
        return [{**row, **previews.get(row["_key"], {})} for row in listed]

    def row(self, cursor: Any, request: Request) -> detail.RowDetail:
        """Everything about one row (``table``, ``key``)."""
        parameters = request.query_params
        return detail.row(self._output, cursor, parameters.get("table", "rows"), parameters.get("key", ""))

    def scores(self, cursor: Any, request: Request) -> list[list[Any]]:
        """Mean scores of predictions by set and model."""
        query = self._query(cursor, request)
        if not query.table.predicted:
            raise BadQuery(f"{query.table.name} does not hold predictions")
        return self._cached(request, lambda: predictions.scores(query))

    def clusters(self, cursor: Any, request: Request) -> detail.Clusters:
        """The largest duplicate clusters of a rule (``rule``, ``offset``)."""
        parameters = request.query_params
        offset = _integer(parameters.get("offset", "0"))
        return detail.clusters(self._query(cursor, request), parameters.get("rule", ""), offset)

    def thresholds(self, cursor: Any, request: Request) -> Thresholds:
        """Thresholds that can be changed."""
        recipe = self._output.stored
        if recipe is None:
            raise BadQuery("only a curation has thresholds that can be changed")
        judged = JudgedColumns(ledger_schema(self._output.layout.out))
        found = filter_thresholds(recipe, judged)
        return Thresholds(found, dedup_rules(recipe), [source.name for source in recipe.sources])

    def whatif(self, cursor: Any, request: Request) -> WhatIfAnswer:
        """What changes (``w``) of the thresholds would keep, add and remove."""
        query = self._output.query(cursor, "rows", [])
        return self._whatif.ask(query, request.query_params.getlist("w"), request.state.gone)

    def searching(self, cursor: Any, request: Request) -> Searching:
        """How far the search for duplicates has come."""
        return Searching(self._whatif.searching())

    def picture(self, cursor: Any, request: Request) -> bytes:
        """A WebP of a row (``table``, ``key``, ``n``, ``side``). Raises DataError with the reason why there is none."""
        parameters = request.query_params
        number, side = _integer(parameters.get("n", "0")), _integer(parameters.get("side", "320"))
        return picture(self._output, cursor, parameters.get("table", "rows"), parameters.get("key", ""), number, side)

    def _cached(self, request: Request, compute: Callable[[], Content]) -> Content:
        """The answer to an address, computed once for each state of the output."""
        key, cache = (request.url.path, request.url.query), self._cache
        with self._lock:
            if key in cache:
                known: Content = cache[key]
                return known
        content = compute()
        with self._lock:
            cache[key] = content
        return content


def _integer(text: str) -> int:
    if not text.isdigit() or len(text) > 9:
        raise BadQuery(f"{text[:40]} is not a whole number")
    return int(text)
