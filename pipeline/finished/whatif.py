"""What another threshold would keep: exact counts from stored columns, duplicate rules run again, no image read.

Rows that the change lets pass and that stage score never looked at are counted as ``unscored``, neither kept nor lost.
"""

import threading
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from qvl.pipeline.base.arrays import flags
from qvl.pipeline.base.errors import RecipeError
from qvl.pipeline.base.verdicts import KEEP
from qvl.pipeline.curate.selection.judge import first_failed, scored_bits
from qvl.pipeline.curate.selection.near_steps import near_losers as losers_among_pairs
from qvl.pipeline.curate.selection.semantic_steps import losers_among
from qvl.pipeline.curate.selection.task import SelectTask
from qvl.pipeline.duplicates.rules import duplicate_rules
from qvl.pipeline.filters import FILTER_NAMES, Filters
from qvl.pipeline.finished.stored import DuplicateCandidates, Stored
from qvl.pipeline.images.score_images import BAD
from qvl.pipeline.recipe.recipe import Recipe

UNSCORED = "unscored"
DARK = f"{BAD}bad_pixels"
# which states of a row count as what: 1 kept before, 2 kept after, 4 unscored after
PARTS = {
    "rows": range(8),
    "kept_before": (1, 3, 5, 7),
    "kept_after": (2, 3),
    "gained": (2,),
    "lost": (1,),
    "unscored": (4, 5),
}


@dataclass
class Words:
    """Verdict words by code, growing as words are met. Keep is 0, filters follow in their order."""

    known: dict[str, int] = field(default_factory=lambda: {KEEP: 0, **{w: i for i, w in enumerate(FILTER_NAMES, 1)}})
    lock: threading.Lock = field(default_factory=threading.Lock)

    def code(self, word: str) -> int:
        with self.lock:
            return self.known.setdefault(word, len(self.known))

    def codes(self, column: pa.DictionaryArray) -> np.ndarray:
        """Codes (uint16) of a dictionary column without nulls."""
        table = np.array([self.code(word) for word in column.dictionary.to_pylist()], np.uint16)
        result: np.ndarray = table[column.indices.to_numpy()]
        return result

    def name(self, code: int) -> str:
        return list(self.known)[code]


@dataclass
class Answer:
    """Codes of all rows before and after, and each row's cell of the asked dimensions."""

    words: Words
    before: np.ndarray
    after: np.ndarray
    cells: np.ndarray
    names: list[tuple[str, ...]]  # of the cells
    sources: np.ndarray
    source_names: list[str]
    missing: int  # rows without a value that a changed filter asks for
    uncompared: int  # rows let in that were never compared with the benchmarks

    @property
    def kept(self) -> int:
        return int((self.after == 0).sum())

    def kept_of(self, source: str) -> tuple[int, int]:
        """Rows kept after, and rows, of a source."""
        mine = self.sources == self.source_names.index(source)
        return int((self.after[mine] == 0).sum()), int(mine.sum())

    def funnel(self, codes: np.ndarray) -> dict[str, dict[str, int]]:
        """Rows by source and verdict."""
        width = len(self.words.known)
        counts = np.bincount(self.sources * width + codes, minlength=len(self.source_names) * width)
        table = counts.reshape(len(self.source_names), width).tolist()
        words = list(self.words.known)
        return {
            source: {word: n for word, n in sorted(zip(words, row, strict=True)) if n}
            for source, row in zip(self.source_names, table, strict=True)
        }

    def content(self) -> dict[str, Any]:
        """The answer for JSON and for printing."""
        state = (self.before == 0).astype(np.int32)
        state += 2 * (self.after == 0).astype(np.int32) + 4 * (self.after == self.words.code(UNSCORED))
        counts = np.bincount(self.cells * 8 + state, minlength=8 * len(self.names)).reshape(-1, 8)
        by = {name: counts[:, list(states)].sum(axis=1).tolist() for name, states in PARTS.items()}
        return {
            **{name: sum(numbers) for name, numbers in by.items()},
            "missing": self.missing,
            "uncompared": self.uncompared,
            "before": self.funnel(self.before),
            "after": self.funnel(self.after),
            "by": [
                {"cell": list(self.names[i]), **{name: by[name][i] for name in PARTS}}
                for i in sorted(range(len(self.names)), key=self.names.__getitem__)
            ],
        }


def whatif(stored: Stored, changed: Recipe, by: Iterable[str] = ("source",)) -> Answer:
    """What ``changed`` (sources and scores as stored) would keep."""
    dimensions = tuple(by)
    words, cells = Words(), Cells(dimensions)
    columns = {"verdict", "failed", *(name for name in dimensions if name != "source")}
    if stored.recipe.score is not None:
        columns.add("score_state")
    for source in {source for _, source in stored.units}:
        columns |= {name for _, _, chosen in _changed(stored.recipe, changed, source) for name in chosen.reads}

    def one(source: str, table: pa.Table) -> tuple[_Judged, np.ndarray, np.ndarray]:
        judged = _judge(table, source, stored.recipe, changed, words)
        return judged, cells.of(table, source), cells.source(source, len(table))

    parts = list(stored.over_units(columns, one))
    before, after = (np.concatenate([getattr(p[0], name) for p in parts]) for name in ("before", "after"))
    cell, sources = (np.concatenate([p[i] for p in parts]) for i in (1, 2))
    missing, uncompared = sum(p[0].missing for p in parts), sum(p[0].uncompared for p in parts)
    run_rules(stored, changed, words, after)
    names = list(cells.known)
    return Answer(words, before, after, cell, names, sources, list(cells.sources), missing, uncompared)


@dataclass
class Cells:
    """Numbers for the combinations of the asked dimensions."""

    dimensions: tuple[str, ...]
    known: dict[tuple[str, ...], int] = field(default_factory=dict)
    sources: dict[str, int] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def source(self, name: str, rows: int) -> np.ndarray:
        with self.lock:
            number = self.sources.setdefault(name, len(self.sources))
        return np.full(rows, number, np.int32)

    def of(self, table: pa.Table, source: str) -> np.ndarray:
        """The cell of each row of a unit."""
        codes = np.zeros(len(table), np.int32)
        combinations: list[tuple[str, ...]] = [()]
        for name in self.dimensions:
            values, labels = (np.zeros(len(table), np.int32), [source]) if name == "source" else _labels(table[name])
            codes = codes * len(labels) + values
            combinations = [(*before, label) for before in combinations for label in labels]
        present = np.flatnonzero(np.bincount(codes, minlength=len(combinations)))
        numbers = np.zeros(len(combinations), np.int32)
        with self.lock:
            numbers[present] = [self.known.setdefault(combinations[i], len(self.known)) for i in present.tolist()]
        result: np.ndarray = numbers[codes]
        return result


def _labels(column: pa.ChunkedArray) -> tuple[np.ndarray, list[str]]:
    array = column.combine_chunks()
    if not pa.types.is_dictionary(array.type):
        array = array.cast(pa.string()).dictionary_encode()
    labels = [str(word) for word in array.dictionary.to_pylist()]
    return array.indices.fill_null(len(labels)).to_numpy().astype(np.int32), [*labels, "unknown"]


def _changed(old: Recipe, new: Recipe, source: str) -> list[tuple[int, str, Any]]:
    """The active filters of a source that are not as they were."""
    before = {word: chosen for _, word, chosen in old.filters_of(source).active()}
    return [entry for entry in new.filters_of(source).active() if before.get(entry[1]) != entry[2]]


@dataclass(frozen=True)
class _Judged:
    before: np.ndarray
    after: np.ndarray
    missing: int
    uncompared: int


def _judge(table: pa.Table, source: str, old: Recipe, new: Recipe, words: Words) -> _Judged:
    """A unit's verdicts before, and after the changed filters (duplicate rules not yet run)."""
    verdicts = table["verdict"].combine_chunks()
    before = words.codes(verdicts)
    failed, missing = _failed(table, source, old, new)
    fault = _among(verdicts, lambda word: ":" in word and not word.startswith("benchmark:"))
    fault &= np.asarray(table["failed"].to_numpy()) == 0
    after = first_failed(failed).astype(np.uint16)
    if new.score is not None:
        cheap = failed & ~scored_bits(new.filters_of(source), new.score) == 0
        states = table["score_state"].combine_chunks()
        dark = _among(states, lambda word: word.startswith(BAD))
        fault &= ~dark
        after[dark & cheap] = words.code(DARK)
        if _asks_scores(new, source):
            after[_among(states, lambda word: word.startswith("not_scored:")) & cheap] = words.code(UNSCORED)
    after[fault] = before[fault]
    contaminated = _among(verdicts, lambda word: word.startswith("benchmark:")) & (after == 0)
    after[contaminated] = before[contaminated]
    new_rows = (after == 0) & (before > 0) & (before <= len(FILTER_NAMES)) if new.decontaminate else np.zeros(1, bool)
    return _Judged(before, after, int((missing & ~fault).sum()), int(new_rows.sum()))


def _failed(table: pa.Table, source: str, old: Recipe, new: Recipe) -> tuple[np.ndarray, np.ndarray]:
    """Failed bits under the new filters; true for rows that a changed filter drops because nothing was measured."""
    failed = np.array(table["failed"].to_numpy(), np.uint32)
    active = np.uint32(sum(1 << bit for bit, _, _ in new.filters_of(source).active()))
    failed &= active
    missing = np.zeros(len(table), bool)
    for bit, _, chosen in _changed(old, new, source):
        passed = chosen.keep(table)
        missing |= flags(pc.is_null(passed))
        mask = np.uint32(1 << bit)
        failed = (failed & ~mask) | np.where(flags(pc.fill_null(passed, False)), np.uint32(0), mask)
    return failed, missing


def _asks_scores(recipe: Recipe, source: str) -> bool:
    """Does a verdict of this source need what stage score measures?"""
    filters: Filters = recipe.filters_of(source)
    looks = recipe.dedup.near_duplicate is not None or any(b.radius is not None for b in recipe.decontaminate)
    return looks or bool(scored_bits(filters, recipe.score))


def _among(column: pa.DictionaryArray, wanted: Any) -> np.ndarray:
    """True where a dictionary column's word is wanted."""
    table = np.array([wanted(word) for word in column.dictionary.to_pylist()], bool)
    result: np.ndarray = table[column.indices.to_numpy()] if len(table) else np.zeros(len(column), bool)
    return result


def run_rules(stored: Stored, recipe: Recipe, words: Words, codes: np.ndarray) -> None:
    """The duplicate rules over all rows, into ``codes``."""
    for number, rule in enumerate(duplicate_rules(recipe)):
        if rule.semantic is not None:
            codes[semantic_losers(stored, recipe, number, codes)] = words.code(rule.reason)
            continue
        twins = stored.twins(recipe, number)
        code = words.code(rule.reason)
        alive = codes[twins.rows] == 0
        lost = beaten(twins.runs[alive], rule.allowed)
        codes[twins.rows[alive][lost]] = code
        if rule.near is not None:
            near = near_losers(stored, twins, twins.keys[alive][~lost], rule.near.tint)
            codes[near] = code


def beaten(runs: np.ndarray, allowed: int) -> np.ndarray:
    """True for all but the first ``allowed`` of each run."""
    index = np.arange(len(runs))
    first = np.ones(len(runs), bool)
    first[1:] = runs[1:] != runs[:-1]
    result: np.ndarray = index - np.maximum.accumulate(np.where(first, index, 0)) >= allowed
    return result


def near_losers(stored: Stored, twins: DuplicateCandidates, keys: np.ndarray, tint: int) -> np.ndarray:
    """Row numbers that lose to a near row."""
    lost = losers_among_pairs(keys, twins.pairs, tint)
    result: np.ndarray = stored.starts[lost["group"]] + lost["row"]
    return result


def semantic_losers(stored: Stored, recipe: Recipe, number: int, codes: np.ndarray) -> np.ndarray:
    """Row numbers that lose to a row with a near vector. Raises RecipeError where the run has no such cells."""
    old, new = stored.recipe.dedup.semantic_duplicate, recipe.dedup.semantic_duplicate
    if old is None or new is None or (old.cells, old.seed) != (new.cells, new.seed):
        raise RecipeError("dedup.semantic_duplicate: this run has no such cells; only `similarity` can change here")
    lost = losers_among(SelectTask(stored.out, recipe, stored.fingerprint, 0, number), codes)
    result: np.ndarray = stored.starts[lost["group"]] + lost["row"]
    return result


def verdict_totals(funnel: dict[str, dict[str, int]]) -> Counter[str]:
    """Rows by verdict over all sources."""
    total: Counter[str] = Counter()
    for counts in funnel.values():
        total.update(counts)
    return total
