"""What-if for the app: the thresholds that can be changed, what they would keep, and rows that would be added or removed.

The counts are those of ``qvl.pipeline.finished.whatif``: exact, with duplicate rules run again and no image read. Nothing
is written: candidate duplicates are kept in memory instead of in the output.
"""

import os
import threading
from concurrent.futures import Future, wait
from contextlib import suppress
from dataclasses import dataclass, field

import numpy as np
from cachetools import LRUCache
from pydantic import JsonValue

from qvl.pipeline.base.errors import DataError, QvlError
from qvl.pipeline.base.verdicts import KEEP
from qvl.pipeline.curate.measuring.columns import sample_id
from qvl.pipeline.duplicates.rules import duplicate_rules
from qvl.pipeline.filters.base import Filter
from qvl.pipeline.filters.column import ColumnFilter
from qvl.pipeline.finished.changes import apply_changes
from qvl.pipeline.finished.stored_columns import StoredColumns
from qvl.pipeline.finished.verdict_index import UNSCORED
from qvl.pipeline.finished.whatif import Answer, Funnel, WhatIfCounts, whatif
from qvl.pipeline.recipe.recipe import Recipe
from qvl.pipeline.report.thresholds import (
    COLUMNS_OF_SCAN,
    DERIVED,
    JudgedColumns,
    NumberThreshold,
    chosen_filters,
    purpose,
    thresholds,
)
from qvl.pipeline.view.cached_run import CachedRun, RunWithoutDuplicates
from qvl.pipeline.view.output import Output
from qvl.pipeline.view.tables.queries import Query, Record, counts, records

SHOWN = 18
NICENESS = 15  # of the search, as `nice` counts
WAIT_SECONDS = 0.25  # an answer waits this long for the search, so that it is exact at once for few rows
CACHED = 3
DERIVED_COLUMNS = {"image_size": "shorter_side", "image_pixels": "pixels", "aspect_ratio": "aspect_ratio"}
CARD = ("verdict", "source", "language", "width", "height", "caption")
SPREAD = np.uint64(0x9E3779B97F4A7C15)


@dataclass(frozen=True, slots=True)
class WhatIfAnswer:
    """Counts before and after a change (see ``WhatIfCounts``), and cards of rows whose verdict changes.

    ``entering`` are rows that the change adds, ``leaving`` those it drops, ``waiting`` those that have no score yet.
    ``searching`` is the finished share of the search for duplicates, None if the answer is exact.
    """

    rows: int
    kept_before: int
    kept_after: int
    before: Funnel
    after: Funnel
    gained: int = 0
    lost: int = 0
    unscored: int = 0
    missing: int = 0
    uncompared: int = 0
    entering: list[Record] = field(default_factory=list)
    leaving: list[Record] = field(default_factory=list)
    waiting: list[Record] = field(default_factory=list)
    searching: float | None = None


@dataclass
class WhatIf:
    """Questions to one output, one at a time; the latest answers are cached.

    Candidate duplicates are searched in the background. Until they are known, an answer keeps the run's duplicates
    dropped, treats added rows as not duplicated, and says so.
    """

    output: Output
    lock: threading.Lock = field(default_factory=threading.Lock)
    answers: LRUCache[tuple[str, ...], Answer] = field(default_factory=lambda: LRUCache(CACHED))
    stored: CachedRun | None = None
    search: Future[None] | None = None
    wanted: int = 0

    def ask(self, query: Query, changes: list[str], gone: threading.Event) -> WhatIfAnswer:
        """Counts before and after, by source and verdict, and rows that the changes add and remove.

        ``searching`` is the finished share of the search for duplicates, None if the answer is exact. ``gone`` is set when
        the browser no longer waits. Raises RecipeError for an invalid change.
        """
        if not changes:
            return _unchanged(query)
        with self.lock:
            if gone.is_set():
                raise DataError("the browser no longer waits for this answer")
            stored = self._stored()
            changed = apply_changes(stored.recipe, changes)
            searching = self._searching(stored, changed)
            answer = self._answer(stored, changed, tuple(changes), searching is None)
        after = answer.after == 0
        before = answer.before == 0
        galleries = {
            "entering": np.flatnonzero(after & ~before),
            "leaving": np.flatnonzero(before & ~after),
            "waiting": np.flatnonzero(answer.after == answer.verdicts.code(UNSCORED)),
        }
        return _with_cards(answer.counts(), _cards(query, stored, answer, galleries), searching)

    def searching(self) -> float | None:
        """The finished share of the search for duplicates, which the first call starts; None when it is over."""
        with self.lock:
            stored = self._stored()
            if self.search is None:
                return self._searching(stored, stored.recipe)
            return None if self.search.done() else self._share(stored)

    def _searching(self, stored: CachedRun, recipe: Recipe) -> float | None:
        """Start the search for the candidates that the recipe's rules need, unless they are known or it is running."""
        if self.search is not None and self.search.done():
            over, self.search = self.search, None
            over.result()  # raises the error that ended it, once; then the search may start again
        rules = stored.missing(recipe)
        if not rules:
            return None
        if self.search is None:
            stored.steps.clear()
            self.wanted = len(rules) * (len(stored.groups) + 1)  # and one step to sort them
            self.search = Future()
            threading.Thread(target=_search, args=(self.search, stored, recipe, rules), daemon=True).start()
        wait([self.search], WAIT_SECONDS)
        return self._share(stored) if stored.missing(recipe) else None

    def _share(self, stored: CachedRun) -> float:
        return round(min(0.99, len(stored.steps) / max(1, self.wanted)), 2)

    def _stored(self) -> CachedRun:
        if self.output.stored is None:
            raise DataError("what-if needs the output of a curation")
        if self.stored is None:
            found = StoredColumns.open(self.output.layout.out)
            self.stored = CachedRun(found.out, found.recipe, found.fingerprint)
        return self.stored

    def _answer(self, stored: CachedRun, recipe: Recipe, changes: tuple[str, ...], exact: bool) -> Answer:
        if not exact:
            return _without_search(stored, recipe)
        if changes not in self.answers:
            self.answers[changes] = whatif(stored, recipe)
        return self.answers[changes]


def _cards(
    query: Query, stored: StoredColumns, answer: Answer, galleries: dict[str, np.ndarray]
) -> dict[str, list[Record]]:
    """Cards of some rows of each gallery: the same rows while a slider moves, so that they do not flicker."""
    starts = np.concatenate([[0], np.cumsum([rows for group in stored.groups for rows in group.rows])])
    chosen = {}
    for name, numbers in galleries.items():
        rank = numbers.astype(np.uint64) * SPREAD
        some = numbers[np.argpartition(rank, SHOWN)[:SHOWN]] if len(numbers) > SHOWN else numbers
        owner = np.searchsorted(starts, some, side="right") - 1
        chosen[name] = {
            sample_id(stored.units[unit][0], int(number - starts[unit])): answer.verdicts.name(
                int(answer.after[number])
            )
            for unit, number in zip(owner.tolist(), some.tolist(), strict=True)
        }
    wanted = [key for keys in chosen.values() for key in keys]
    found = {card["_key"]: card for card in records(query, wanted, [query.table.column(name) for name in CARD])}
    return {
        name: [found[key] | {"after": after} for key, after in keys.items() if key in found]
        for name, keys in chosen.items()
    }


def _with_cards(counts: WhatIfCounts, cards: dict[str, list[Record]], searching: float | None) -> WhatIfAnswer:
    return WhatIfAnswer(
        counts.rows, counts.kept_before, counts.kept_after, counts.before, counts.after, counts.gained, counts.lost,
        counts.unscored, counts.missing, counts.uncompared, **cards, searching=searching,
    )  # fmt: skip


def _search(search: Future[None], stored: CachedRun, recipe: Recipe, rules: list[int]) -> None:
    """Find the candidates of these rules at a low priority. The next question raises the error of a failed search."""
    with suppress(OSError):  # only Linux has priorities of threads
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)
    try:
        for rule in rules:
            stored.duplicate_candidates(recipe, rule)
    except (QvlError, OSError) as error:
        search.set_exception(error)
    else:
        search.set_result(None)
    finally:
        if not search.done():  # otherwise the page would wait forever
            search.set_exception(DataError("the search for duplicates failed; the terminal shows the error"))


def _without_search(stored: StoredColumns, recipe: Recipe) -> Answer:
    """The answer of the filters alone. Rows that an active duplicate rule or step of balance dropped stay dropped."""
    unbalanced = recipe.model_copy(update={"balance": ()})
    answer = whatif(RunWithoutDuplicates(stored.out, stored.recipe, stored.fingerprint, stored), unbalanced)
    reasons = [*(rule.reason for rule in duplicate_rules(recipe)), *(step.reason for step in recipe.balance)]
    codes = [answer.verdicts.code(reason) for reason in reasons]
    held = np.isin(answer.before, codes) & (answer.after == 0)
    answer.after[held] = answer.before[held]
    return answer


def _unchanged(query: Query) -> WhatIfAnswer:
    """The answer without changes, from the verdicts."""
    funnel: dict[str, dict[str, int]] = {}
    for source, verdict, rows, _ in counts(query, [query.table.column("source"), query.table.column("verdict")]):
        funnel.setdefault(source, {})[verdict] = rows
    every, kept = (sum(sum(f.values()) for f in funnel.values()), sum(f.get(KEEP, 0) for f in funnel.values()))
    return WhatIfAnswer(every, kept, kept, funnel, funnel)


@dataclass(frozen=True, slots=True)
class FilterThresholds:
    """A filter of the recipe: purpose, label and column of its number, the names of its bounds, its values by source."""

    word: str
    about: str
    label: str
    column: str | None
    bounds: list[str]
    values: dict[str, dict[str, JsonValue]]


def filter_thresholds(recipe: Recipe, judged: JudgedColumns = COLUMNS_OF_SCAN) -> list[FilterThresholds]:
    """Every filter with the thresholds that can be changed, in the order in which they judge."""
    numbers = {each.reason: each for each in thresholds(recipe, judged) if isinstance(each, NumberThreshold)}
    return [_filter(reason, chosen, numbers.get(reason)) for reason, chosen in chosen_filters(recipe).items()]


def _filter(reason: str, chosen: dict[str, Filter], threshold: NumberThreshold | None) -> FilterThresholds:
    first = next(iter(chosen.values()))
    values = {source: each.model_dump(mode="json", exclude_none=True) for source, each in chosen.items()}
    if threshold is None:
        return FilterThresholds(reason, purpose(first), "", None, [], values)
    column = DERIVED_COLUMNS[reason] if reason in DERIVED else first.judged_columns[-1]
    bounds = [name for name in type(first).model_fields if name.startswith(("minimum", "maximum"))]
    if isinstance(first, ColumnFilter):  # of which either bound may be left out
        bounds = [name for name in bounds if any(name in own for own in values.values())]
    return FilterThresholds(reason, purpose(first), threshold.label, column, bounds, values)


def dedup_rules(recipe: Recipe) -> dict[str, JsonValue]:
    """The duplicate rules of the recipe."""
    return recipe.duplicate_settings()
