"""One pass over the ledger, unit by unit, for every count that the report shows. Memory does not grow with rows."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from qvl.pipeline.base.verdicts import KEEP
from qvl.pipeline.curate.selection.ledger import ledger_schema, read_ledger
from qvl.pipeline.recipe.recipe import Recipe
from qvl.pipeline.report.clusters import Clusters
from qvl.pipeline.report.nearest import Nearest, ranks
from qvl.pipeline.report.records import Bound, Side
from qvl.pipeline.report.thresholds import (
    JudgedColumns,
    NumberThreshold,
    SetThreshold,
    Span,
    Threshold,
    floats,
    thresholds,
)
from qvl.pipeline.storage.paths import AnyPath

ALWAYS = ("source", "verdict", "failed", "dup_of", "fault", "width", "height", "characters", "language")
RESOLUTION_EDGES = (200, 224, 448, 896, 1792)
RESOLUTIONS = ("under 200", "200–223", "224–447", "448–895", "896–1,791", "1,792 and more", "unknown")
LENGTH_EDGES = (6, 21, 51, 101, 201, 1001)
LENGTHS = ("0–5", "6–20", "21–50", "51–100", "101–200", "201–1,000", "over 1,000")
NO_LANGUAGE = "none"

BOUNDS: tuple[Bound, Bound] = ("minimum", "maximum")
BoundSide = tuple[Bound, Side]


@dataclass
class Tally:
    """What was counted for one threshold, by the sources that its filter judges.

    ``every`` holds readable rows by bin, ``alone`` those that no other filter drops, on which this threshold decides.
    ``unmeasured`` rows have no value; ``values`` counts (source, value) of a set, the empty value where not measured.
    ``near`` holds the rows nearest to each bound.
    """

    threshold: Threshold
    every: dict[str, np.ndarray] = field(default_factory=dict)
    alone: dict[str, np.ndarray] = field(default_factory=dict)
    unmeasured: Counter[str] = field(default_factory=Counter)
    rows: Counter[str] = field(default_factory=Counter)
    failed: Counter[str] = field(default_factory=Counter)
    values: Counter[tuple[str, str]] = field(default_factory=Counter)
    near: dict[BoundSide, Nearest] = field(default_factory=dict)


@dataclass
class Figures:
    """All counts. ``mix`` holds [resolution, caption length, dropped or kept] by source and language."""

    tallies: list[Tally]
    verdicts: dict[str, Counter[str]] = field(default_factory=dict)
    mix: dict[tuple[str, str], np.ndarray] = field(default_factory=dict)
    clusters: Clusters = field(default_factory=Clusters)
    source_of: dict[str, str] = field(default_factory=dict)

    @property
    def rows(self) -> int:
        return sum(counts.total() for counts in self.verdicts.values())

    @property
    def kept(self) -> int:
        return sum(counts[KEEP] for counts in self.verdicts.values())


def collect(out: AnyPath, recipe: Recipe, candidates: frozenset[str] | None, advance: Callable[[int], None]) -> Figures:
    """Read the ledger once. Only rows of units in ``candidates`` are picked for galleries (None: of all units)."""
    figures = Figures([Tally(threshold) for threshold in thresholds(recipe, judged_columns(out, recipe))])
    read = {name for tally in figures.tallies for name in _columns(tally.threshold)}
    for unit, table in read_ledger(out, sorted({*ALWAYS, *read})):
        if len(table):
            _unit(figures, unit, table, recipe.pack.seed, candidates is None or unit in candidates)
        advance(len(table))
    return figures


def judged_columns(out: AnyPath, recipe: Recipe) -> JudgedColumns:
    """Types of the columns that filters of the recipe judge, and the extremes of numbers, from the ledger."""
    if not recipe.filtered_columns:
        return JudgedColumns()
    schema = ledger_schema(out)
    bounded = [
        name
        for name in recipe.filtered_columns
        if pa.types.is_integer(schema.field(name).type) or pa.types.is_floating(schema.field(name).type)
    ]
    spans: dict[str, Span] = {}
    for _, table in read_ledger(out, bounded) if bounded else ():
        for name in bounded:
            values = floats(table[name])
            values = values[np.isfinite(values)]
            if len(values):
                low, high = spans.get(name, (np.inf, -np.inf))
                spans[name] = (min(low, float(values.min())), max(high, float(values.max())))
    return JudgedColumns(schema, spans)


def _columns(threshold: Threshold) -> tuple[str, ...]:
    return threshold.reads if isinstance(threshold, NumberThreshold) else (threshold.column,)


def _unit(figures: Figures, unit: str, table: pa.Table, seed: int, pick: bool) -> None:
    table = table.combine_chunks()
    source = figures.source_of[unit] = str(table["source"][0].as_py())
    counts = figures.verdicts.setdefault(source, Counter())
    for pair in pc.value_counts(table["verdict"].cast(pa.string())).to_pylist():
        counts[pair["values"]] += pair["counts"]
    _mix(figures, source, table)
    lost = table["dup_of"].is_valid()
    if pc.any(lost).as_py():
        losers = table.select(["verdict", "dup_of"]).filter(lost).combine_chunks()
        figures.clusters.offer(losers["verdict"].chunk(0), losers["dup_of"].chunk(0))
    readable = np.asarray(table["fault"].is_null().to_numpy(), bool)
    rows, rank = np.flatnonzero(readable), ranks(seed, unit, len(table))
    if len(rows) < len(table):
        table, rank = table.take(pa.array(rows)), rank[rows]
    if len(rows):
        batch = _Batch(unit, source, table, rows, rank, table["failed"].to_numpy(), pick)
        for tally in figures.tallies:
            if source in tally.threshold.judged:
                tally.rows[source] += len(rows)
                _count(tally, batch)


@dataclass(frozen=True)
class _Batch:
    """The readable rows of one unit."""

    unit: str
    source: str
    table: pa.Table
    rows: np.ndarray
    rank: np.ndarray
    failed: np.ndarray
    pick: bool


def _mix(figures: Figures, source: str, table: pa.Table) -> None:
    """Add the rows to the mix, dropped and kept rows separately."""
    side = np.minimum(floats(table["width"]), floats(table["height"]))
    resolution = np.searchsorted(RESOLUTION_EDGES, side, side="right")
    resolution[~(side >= 1)] = len(RESOLUTIONS) - 1
    length = np.searchsorted(LENGTH_EDGES, np.nan_to_num(floats(table["characters"])), side="right")
    kept = np.asarray(pc.equal(table["verdict"].cast(pa.string()), KEEP).to_numpy(), np.int64)
    language = pc.fill_null(table["language"].cast(pa.string()), NO_LANGUAGE).combine_chunks().dictionary_encode()
    languages = language.dictionary.to_pylist()
    shape = (len(languages), len(RESOLUTIONS), len(LENGTHS), 2)
    cell = np.ravel_multi_index((language.indices.to_numpy(), resolution, length, kept), shape)
    counts = np.bincount(cell, minlength=int(np.prod(shape))).reshape(shape)
    for name, part in zip(languages, counts, strict=True):
        held = figures.mix.get((source, name))
        figures.mix[source, name] = part if held is None else held + part


def _count(tally: Tally, batch: _Batch) -> None:
    if isinstance(tally.threshold, SetThreshold):
        _count_values(tally, tally.threshold, batch)
    else:
        _count_numbers(tally, tally.threshold, batch)


def _count_numbers(tally: Tally, threshold: NumberThreshold, batch: _Batch) -> None:
    values = threshold.values(batch.table)
    measured = ~np.isnan(values)
    bit = np.uint32(1 << threshold.bit)
    alone = (batch.failed & ~bit) == 0
    if threshold.allowed is not None:
        values_of_set = batch.table[threshold.reads[0]].cast(pa.string())
        inside = pc.is_in(values_of_set, pa.array(threshold.allowed.get(batch.source, ()), pa.string()))
        measured &= np.asarray(inside.to_numpy(), bool)
    tally.failed[batch.source] += int(np.count_nonzero(batch.failed & bit))
    tally.unmeasured[batch.source] += int(len(values) - measured.sum())
    bins = len(threshold.edges) + 1
    place = np.searchsorted(threshold.edges, values[measured], side="right" if threshold.closed == "left" else "left")
    both = np.bincount(place + bins * alone[measured], minlength=2 * bins).reshape(2, bins)
    for store, counts in ((tally.every, both[0] + both[1]), (tally.alone, both[1])):
        store[batch.source] = store.get(batch.source, 0) + counts
    if batch.pick:
        _offer_number(tally, threshold, batch, values, measured)


def _offer_number(
    tally: Tally, threshold: NumberThreshold, batch: _Batch, values: np.ndarray, measured: np.ndarray
) -> None:
    """Offer the rows on both sides of each bound of this source."""
    for bound, limit in zip(BOUNDS, threshold.limits(batch.source), strict=True):
        if limit is None:
            continue
        passes = values >= limit if bound == "minimum" else values <= limit
        masks: tuple[tuple[Side, np.ndarray], ...] = (("inside", measured & passes), ("outside", measured & ~passes))
        for side, mask in masks:
            at = np.flatnonzero(mask)
            if len(at):
                near = tally.near.setdefault((bound, side), Nearest())
                near.offer(
                    batch.unit, batch.rows[at], np.abs(values[at] - limit), batch.rank[at] ^ threshold.salt, values[at]
                )


def _count_values(tally: Tally, threshold: SetThreshold, batch: _Batch) -> None:
    encoded = threshold.values(batch.table)
    names = [*encoded.dictionary.to_pylist(), ""]
    codes = pc.fill_null(encoded.indices, len(names) - 1).to_numpy()
    failed = (batch.failed >> np.uint32(threshold.bit)) & np.uint32(1) == 1
    for name, number in zip(names, np.bincount(codes, minlength=len(names)), strict=True):
        if number:
            tally.values[batch.source, str(name)] += int(number)
    at = np.flatnonzero(failed)
    tally.failed[batch.source] += len(at)
    if batch.pick and len(at):
        near = tally.near.setdefault(("set", "outside"), Nearest(2 * Nearest.k))
        near.offer(
            batch.unit, batch.rows[at], np.zeros(len(at)), batch.rank[at] ^ threshold.salt, np.full(len(at), np.nan)
        )
