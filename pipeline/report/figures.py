"""One pass over the ledger, unit by unit: every count that the report shows. Memory does not grow with rows."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from qvl.pipeline.base.verdicts import KEEP
from qvl.pipeline.curate.selection.ledger import read_ledger
from qvl.pipeline.recipe.recipe import Recipe
from qvl.pipeline.report.clusters import Clusters
from qvl.pipeline.report.nearest import Nearest, ranks
from qvl.pipeline.report.thresholds import Gauge, NumberGauge, WordGauge, floats, gauges
from qvl.pipeline.storage.paths import Place

ALWAYS = ("source", "verdict", "failed", "dup_of", "fault", "width", "height", "characters", "language")
RESOLUTION_EDGES = (200, 224, 448, 896, 1792)
RESOLUTIONS = ("under 200", "200–223", "224–447", "448–895", "896–1,791", "1,792 and more", "unknown")
LENGTH_EDGES = (6, 21, 51, 101, 201, 1001)
LENGTHS = ("0–5", "6–20", "21–50", "51–100", "101–200", "201–1,000", "over 1,000")
NO_LANGUAGE = "none"

Side = tuple[str, str]  # (minimum | maximum, inside | outside), or (set, outside)


@dataclass
class Tally:
    """What was seen through one gauge. ``every`` counts rows that could be read, ``alone`` those that no other filter
    drops: the rows on which this threshold decides. By source, of those that the filter judges; numbers by bin."""

    gauge: Gauge
    every: dict[str, np.ndarray] = field(default_factory=dict)
    alone: dict[str, np.ndarray] = field(default_factory=dict)
    unmeasured: Counter[str] = field(default_factory=Counter)
    rows: Counter[str] = field(default_factory=Counter)
    failed: Counter[str] = field(default_factory=Counter)
    words: Counter[tuple[str, str]] = field(default_factory=Counter)
    near: dict[Side, Nearest] = field(default_factory=dict)


@dataclass
class Figures:
    """All counts. ``mix`` is [resolution, caption length, dropped|kept] by source and language."""

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


def collect(out: Place, recipe: Recipe, candidates: frozenset[str] | None, advance: Callable[[int], None]) -> Figures:
    """Read the ledger once. Only units in ``candidates`` may be picked for galleries (None: all of them)."""
    figures = Figures([Tally(gauge) for gauge in gauges(recipe)])
    read = {name for tally in figures.tallies for name in _columns(tally.gauge)}
    for unit, table in read_ledger(out, sorted({*ALWAYS, *read})):
        if len(table):
            _unit(figures, unit, table, recipe.pack.seed, candidates is None or unit in candidates)
        advance(len(table))
    return figures


def _columns(gauge: Gauge) -> tuple[str, ...]:
    return gauge.reads if isinstance(gauge, NumberGauge) else (gauge.column,)


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
            if source in tally.gauge.judged:
                tally.rows[source] += len(rows)
                (_word if isinstance(tally.gauge, WordGauge) else _number)(tally, batch)


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
    """Add the rows to the mix, dropped and kept ones apart."""
    side = np.minimum(floats(table["width"]), floats(table["height"]))
    resolution = np.searchsorted(RESOLUTION_EDGES, side, side="right")
    resolution[~(side >= 1)] = len(RESOLUTIONS) - 1
    length = np.searchsorted(LENGTH_EDGES, np.nan_to_num(floats(table["characters"])), side="right")
    kept = np.asarray(pc.equal(table["verdict"].cast(pa.string()), KEEP).to_numpy(), np.int64)
    language = pc.fill_null(table["language"].cast(pa.string()), NO_LANGUAGE).combine_chunks().dictionary_encode()
    words = language.dictionary.to_pylist()
    shape = (len(words), len(RESOLUTIONS), len(LENGTHS), 2)
    cell = np.ravel_multi_index((language.indices.to_numpy(), resolution, length, kept), shape)
    counts = np.bincount(cell, minlength=int(np.prod(shape))).reshape(shape)
    for word, part in zip(words, counts, strict=True):
        held = figures.mix.get((source, word))
        figures.mix[source, word] = part if held is None else held + part


def _number(tally: Tally, batch: _Batch) -> None:
    gauge = tally.gauge
    assert isinstance(gauge, NumberGauge)
    values = gauge.values(batch.table)
    measured = ~np.isnan(values)
    bit = np.uint32(1 << gauge.bit)
    alone = (batch.failed & ~bit) == 0
    if gauge.allowed is not None:
        words = batch.table[gauge.reads[0]].cast(pa.string())
        inside = pc.is_in(words, pa.array(gauge.allowed.get(batch.source, ()), pa.string()))
        measured &= np.asarray(inside.to_numpy(), bool)
    tally.failed[batch.source] += int(np.count_nonzero(batch.failed & bit))
    tally.unmeasured[batch.source] += int(len(values) - measured.sum())
    bins = len(gauge.edges) + 1
    place = np.searchsorted(gauge.edges, values[measured], side="right" if gauge.closed == "left" else "left")
    both = np.bincount(place + bins * alone[measured], minlength=2 * bins).reshape(2, bins)
    for store, counts in ((tally.every, both[0] + both[1]), (tally.alone, both[1])):
        store[batch.source] = store.get(batch.source, 0) + counts
    if batch.pick:
        _offer_number(tally, gauge, batch, values, measured)


def _offer_number(tally: Tally, gauge: NumberGauge, batch: _Batch, values: np.ndarray, measured: np.ndarray) -> None:
    """Offer the rows on both sides of each bound of this source."""
    for name, limit in zip(("minimum", "maximum"), gauge.limits(batch.source), strict=True):
        if limit is None:
            continue
        passes = values >= limit if name == "minimum" else values <= limit
        for side, mask in (("inside", measured & passes), ("outside", measured & ~passes)):
            at = np.flatnonzero(mask)
            if len(at):
                near = tally.near.setdefault((name, side), Nearest())
                near.offer(
                    batch.unit, batch.rows[at], np.abs(values[at] - limit), batch.rank[at] ^ gauge.salt, values[at]
                )


def _word(tally: Tally, batch: _Batch) -> None:
    gauge = tally.gauge
    assert isinstance(gauge, WordGauge)
    encoded = gauge.words(batch.table)
    names = [*encoded.dictionary.to_pylist(), ""]
    codes = pc.fill_null(encoded.indices, len(names) - 1).to_numpy()
    failed = (batch.failed >> np.uint32(gauge.bit)) & np.uint32(1) == 1
    for name, number in zip(names, np.bincount(codes, minlength=len(names)), strict=True):
        if number:
            tally.words[batch.source, str(name)] += int(number)
    at = np.flatnonzero(failed)
    tally.failed[batch.source] += len(at)
    if batch.pick and len(at):
        near = tally.near.setdefault(("set", "outside"), Nearest(2 * Nearest.k))
        near.offer(batch.unit, batch.rows[at], np.zeros(len(at)), batch.rank[at] ^ gauge.salt, np.full(len(at), np.nan))
