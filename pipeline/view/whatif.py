"""What-if for the app: which thresholds can be moved, what they would keep, and rows that would enter and leave.

The counts are those of ``qvl.pipeline.finished.whatif``: exact, duplicate rules run again, no image read. Nothing is
written: which rows can meet in a duplicate rule is kept in memory, not in the output.
"""

import os
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa

from qvl.pipeline.base.errors import DataError, QvlError
from qvl.pipeline.base.verdicts import KEEP
from qvl.pipeline.curate.measuring.columns import sample_id
from qvl.pipeline.curate.selection.groups import Group
from qvl.pipeline.curate.selection.task import SelectTask
from qvl.pipeline.duplicates.near import PAIR
from qvl.pipeline.duplicates.rules import KEY, duplicate_rules
from qvl.pipeline.finished.changes import apply_changes
from qvl.pipeline.finished.stored_columns import THREADS, DuplicateCandidates, Result, StoredColumns
from qvl.pipeline.finished.verdict_index import UNSCORED
from qvl.pipeline.finished.whatif import Answer, whatif
from qvl.pipeline.recipe.recipe import Recipe
from qvl.pipeline.report.thresholds import DERIVED, NumberThreshold, chosen_filters, purpose, thresholds
from qvl.pipeline.view.output import Output
from qvl.pipeline.view.tables.queries import Query, counts, records

SHOWN = 18
KEPT_ROWS = 50_000_000
BEHIND = 15  # the search's priority, as `nice` counts
PATIENCE = 0.25  # seconds that an answer waits for the search, so that of few rows it is exact at once
REMEMBERED = 3
DERIVED_COLUMNS = {"image_size": "shorter_side", "image_pixels": "pixels", "aspect_ratio": "aspect_ratio"}
CARD = ("verdict", "source", "language", "width", "height", "caption")
SPREAD = np.uint64(0x9E3779B97F4A7C15)


class Remembering(StoredColumns):
    """A finished run whose twins are kept in memory, unless its cache has them: the app writes nothing."""

    @cached_property
    def known(self) -> dict[str, DuplicateCandidates]:
        """DuplicateCandidates by the name of their file in the cache."""
        return {}

    @cached_property
    def steps(self) -> list[int]:
        """Groups of rows looked through so far, one number for each."""
        return []

    @cached_property
    def tables(self) -> dict[tuple[str, ...], list[pa.Table]]:
        """The columns of all units that the last question read: while a slider moves, the next one reads the same."""
        return {}

    def over_units(self, columns: Iterable[str], function: Callable[[str, pa.Table], Result]) -> Iterator[Result]:
        """As it is, but columns are read once; not of more rows than ``KEPT_ROWS``."""
        if self.rows > KEPT_ROWS:
            yield from super().over_units(columns, function)
            return
        names = tuple(sorted(set(columns)))
        if names not in self.tables:
            self.tables.clear()
            self.tables[names] = list(super().over_units(names, lambda _, table: table))
        sources = (source for _, source in self.units)
        with ThreadPoolExecutor(THREADS) as threads:
            yield from threads.map(function, sources, self.tables[names])

    def missing(self, recipe: Recipe) -> list[int]:
        """Rules whose twins nobody has looked for yet."""
        numbers = [number for number, rule in enumerate(duplicate_rules(recipe)) if rule.semantic is None]
        files = {number: self.candidate_files(recipe, number) for number in numbers}
        return [n for n, f in files.items() if str(f[0]) not in self.known and not all(path.is_file() for path in f)]

    def duplicate_candidates(self, recipe: Recipe, rule: int) -> DuplicateCandidates:
        """Of the cache in the output where they are there, else found here and kept in memory."""
        files = self.candidate_files(recipe, rule)
        if str(files[0]) not in self.known:
            kept = all(path.is_file() for path in files)
            self.known[str(files[0])] = (
                super().duplicate_candidates(recipe, rule) if kept else self.find_candidates(recipe, rule)
            )
        return self.known[str(files[0])]

    def _keys(self, task: SelectTask, group: Group) -> np.ndarray:
        found = super()._keys(task, group)
        self.steps.append(group.number)
        return found


@dataclass(frozen=True)
class WithoutTwins(StoredColumns):
    """A run as if no two rows could meet in a duplicate rule."""

    run: StoredColumns

    def over_units(self, columns: Iterable[str], function: Callable[[str, pa.Table], Result]) -> Iterator[Result]:
        """Of the run."""
        yield from self.run.over_units(columns, function)

    def duplicate_candidates(self, recipe: Recipe, rule: int) -> DuplicateCandidates:
        """None."""
        return DuplicateCandidates(np.empty(0, np.int64), np.empty(0, np.int32), np.empty(0, KEY), np.empty(0, PAIR))


@dataclass
class WhatIf:
    """Questions to one output, one at a time; the last answers are remembered.

    Which rows can meet in a duplicate rule is looked for in the background. Until that is known, an answer leaves rows
    that the run dropped as duplicates where they are, takes rows that enter for no duplicates, and says so.
    """

    output: Output
    lock: threading.Lock = field(default_factory=threading.Lock)
    answers: dict[tuple[str, ...], Answer] = field(default_factory=dict)
    stored: Remembering | None = None
    search: Future[None] | None = None
    wanted: int = 0

    def ask(self, query: Query, changes: list[str], gone: threading.Event) -> dict[str, Any]:
        """Counts before and after, by source and verdict, and rows that the changes let in and put out.

        ``searching``: the share of the search for duplicates that is done; None where the answer is exact. ``gone`` is set
        when nobody waits for the answer any more. Raises RecipeError for a change that makes no recipe.
        """
        if not changes:
            return _as_it_is(query)
        with self.lock:
            if gone.is_set():
                raise DataError("nobody waits for this answer")
            stored = self._stored()
            changed = apply_changes(stored.recipe, changes)
            searching = self._searching(stored, changed)
            answer = self._answer(stored, changed, tuple(changes), searching is None)
        content = asdict(answer.counts())
        content.pop("by")
        after = answer.after == 0
        before = answer.before == 0
        galleries = {
            "entering": np.flatnonzero(after & ~before),
            "leaving": np.flatnonzero(before & ~after),
            "waiting": np.flatnonzero(answer.after == answer.verdicts.code(UNSCORED)),
        }
        return content | _cards(query, stored, answer, galleries) | {"searching": searching}

    def searching(self) -> float | None:
        """The share of the search for duplicates that is done; the first call begins it. None when it is over."""
        with self.lock:
            stored = self._stored()
            if self.search is None:
                return self._searching(stored, stored.recipe)
            return None if self.search.done() else self._share(stored)

    def _searching(self, stored: Remembering, recipe: Recipe) -> float | None:
        """Begin to look for what the recipe's rules need, unless it is known or looked for already."""
        if self.search is not None and self.search.done():
            over, self.search = self.search, None
            over.result()  # raises what ended it: told once, then the search may begin again
        rules = stored.missing(recipe)
        if not rules:
            return None
        if self.search is None:
            stored.steps.clear()
            self.wanted = len(rules) * (len(stored.groups) + 1)  # and one to put them in order
            self.search = Future()
            threading.Thread(target=_look, args=(self.search, stored, recipe, rules), daemon=True).start()
        wait([self.search], PATIENCE)
        return self._share(stored) if stored.missing(recipe) else None

    def _share(self, stored: Remembering) -> float:
        return round(min(0.99, len(stored.steps) / max(1, self.wanted)), 2)

    def _stored(self) -> Remembering:
        if self.output.stored is None:
            raise DataError("only a curation can be asked what other thresholds would keep")
        if self.stored is None:
            found = StoredColumns.open(self.output.layout.out)
            self.stored = Remembering(found.out, found.recipe, found.fingerprint)
        return self.stored

    def _answer(self, stored: Remembering, recipe: Recipe, changes: tuple[str, ...], exact: bool) -> Answer:
        if not exact:
            return _without_search(stored, recipe)
        if changes not in self.answers:
            answer = whatif(stored, recipe)
            while len(self.answers) >= REMEMBERED:
                self.answers.pop(next(iter(self.answers)))
            self.answers[changes] = answer
        return self.answers[changes]


def _cards(query: Query, stored: StoredColumns, answer: Answer, galleries: dict[str, np.ndarray]) -> dict[str, Any]:
    """Cards of some rows of each gallery: the same ones while a slider moves, so that they do not flicker."""
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


def _look(search: Future[None], stored: Remembering, recipe: Recipe, rules: list[int]) -> None:
    """Find the twins of these rules, behind whoever asks meanwhile; what goes wrong is told to whoever asks next."""
    with suppress(OSError):  # a thread has a priority of its own on Linux alone
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), BEHIND)
    try:
        for rule in rules:
            stored.duplicate_candidates(recipe, rule)
    except (QvlError, OSError) as error:
        search.set_exception(error)
    else:
        search.set_result(None)
    finally:
        if not search.done():  # else the page would wait for ever
            search.set_exception(DataError("the search for duplicates broke off; what ended it stands in the terminal"))


def _without_search(stored: StoredColumns, recipe: Recipe) -> Answer:
    """The answer of the filters; rows that a rule in force dropped stay dropped."""
    answer = whatif(WithoutTwins(stored.out, stored.recipe, stored.fingerprint, stored), recipe)
    codes = [answer.verdicts.code(rule.reason) for rule in duplicate_rules(recipe)]
    held = np.isin(answer.before, codes) & (answer.after == 0)
    answer.after[held] = answer.before[held]
    return answer


def _as_it_is(query: Query) -> dict[str, Any]:
    """The answer without a change, from the verdicts."""
    funnel: dict[str, dict[str, int]] = {}
    for source, verdict, rows, _ in counts(query, [query.table.column("source"), query.table.column("verdict")]):
        funnel.setdefault(source, {})[verdict] = rows
    every, kept = (sum(sum(f.values()) for f in funnel.values()), sum(f.get(KEEP, 0) for f in funnel.values()))
    nothing: dict[str, Any] = dict.fromkeys(("gained", "lost", "unscored", "missing", "uncompared"), 0)
    empty: dict[str, Any] = {name: [] for name in ("entering", "leaving", "waiting")}
    return {
        "rows": every,
        "kept_before": kept,
        "kept_after": kept,
        "before": funnel,
        "after": funnel,
        "searching": None,
        **nothing,
        **empty,
    }


def knobs(recipe: Recipe) -> list[dict[str, Any]]:
    """Every filter of a recipe with the thresholds that can be moved, in the order in which they judge."""
    numbers = {
        threshold.reason: threshold for threshold in thresholds(recipe) if isinstance(threshold, NumberThreshold)
    }
    result = []
    for word, chosen in chosen_filters(recipe).items():
        first, threshold = next(iter(chosen.values())), numbers.get(word)
        bounds = [name for name in type(first).model_fields if name.startswith(("minimum", "maximum"))]
        column = DERIVED_COLUMNS[word] if word in DERIVED else first.reads[-1]
        result.append(
            {
                "word": word,
                "about": purpose(first),
                "label": threshold.label if threshold is not None else "",
                "column": column if threshold is not None else None,
                "bounds": bounds if threshold is not None else [],
                "values": {s: each.model_dump(mode="json", exclude_none=True) for s, each in chosen.items()},
            }
        )
    return result


def dedup_rules(recipe: Recipe) -> dict[str, Any]:
    """The duplicate rules as the recipe has them."""
    dumped: dict[str, Any] = recipe.dedup.model_dump(mode="json")
    return dumped
