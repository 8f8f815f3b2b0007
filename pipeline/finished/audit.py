"""Audit: trust nothing, add everything up again, read the shards back."""

from collections import Counter
from typing import Any

import pyarrow.compute as pc

from qvl.pipeline.base.errors import DataError, RecipeError
from qvl.pipeline.base.verdicts import KEEP
from qvl.pipeline.builders.pack import WINDOW_UNITS
from qvl.pipeline.commit.layout import Layout
from qvl.pipeline.commit.manifests import read_manifest
from qvl.pipeline.curate.measuring.manifests import ScanManifest
from qvl.pipeline.curate.selection.ledger import count_verdicts, ledger_units
from qvl.pipeline.finished.audit_shards import DiscrepancyError, Expected, audit_shards, found, require, require_bytes
from qvl.pipeline.shards.built_unit import BuiltUnitManifest
from qvl.pipeline.shards.manifests import DatasetManifest
from qvl.pipeline.shards.order import ShardPlan, Window, shard_plans, windows
from qvl.pipeline.shards.revoked import read_revoked
from qvl.pipeline.storage.arrow_files import read_parquet
from qvl.pipeline.storage.paths import AnyPath

AUDITED = ["id", "source", "verdict", "row", "image_hash"]


def audit(out: AnyPath) -> dict[str, Any]:
    """Counts, and ``discrepancy``: None, or one line with the first that was found.

    ``kept`` counts verdicts; ``revoked`` of the samples made of them were taken down since. Memory is that of one window.
    """
    layout = Layout(out.resolve())
    result: dict[str, Any] = {"rows": 0, "kept": 0, "dropped": 0, "shards": 0, "hash": None, "revoked": 0}
    try:
        dataset = read_manifest(layout.dataset, DatasetManifest)
        if dataset is None:
            raise RecipeError(f"{out}: there is no finished run here (no shards/dataset.json)")
        result |= {"shards": len(dataset.shards), "hash": dataset.hash}
        expected: _MadeRows | _KeptRows | _IndexedRows
        if "made" in dataset.lineage:
            verdicts, plans = _audit_made(layout, dataset)
            expected = _MadeRows(layout, dataset.pack["seed"])
        elif "foreign" in dataset.lineage:
            verdicts, plans = _count_foreign(dataset)
            expected = _IndexedRows(layout)
        else:
            verdicts, plans = _audit_ledger(layout, dataset)
            expected = _KeptRows(layout, dataset.recipe_pack["seed"])
        result |= {"rows": sum(verdicts.values()), "kept": verdicts[KEEP]}
        result["dropped"] = sum(verdicts.values()) - verdicts[KEEP]
        require(not layout.takedown.is_file(), "a takedown was interrupted; the same `qvl mix revoke` finishes it")
        left = _Left(expected, frozenset(read_revoked(layout.revoked)))
        audit_shards(layout, dataset, plans, left.of)
        stated = dataset.revoked
        require(left.revoked == stated, f"{left.revoked} samples were taken down, dataset.json says {stated}")
        result["revoked"] = stated
    except (DiscrepancyError, DataError) as error:
        return {**result, "discrepancy": str(error)}
    return {**result, "discrepancy": None}


def _audit_ledger(layout: Layout[AnyPath], dataset: DatasetManifest) -> tuple[Counter[str], list[ShardPlan]]:
    """Verdict counts over all units, and the shards that follow from them."""
    by_source: dict[str, Counter[str]] = {}
    kept: list[tuple[str, int]] = []
    for unit, stated in ledger_units(layout.out).items():
        scanned = found(
            read_manifest(layout.unit_manifest(unit), ScanManifest), f"{unit}: its scan manifest is missing"
        )
        require_bytes(layout.columns(unit), scanned.hash)
        require_bytes(layout.ledger(unit), stated.hash)
        table, rows = read_parquet(layout.ledger(unit), AUDITED), scanned.rows
        require(len(table) == rows, f"{unit}: {rows} rows were scanned, the ledger has {len(table)}")
        require(table["row"].to_pylist() == list(range(rows)), f"{unit}: row numbers are not 0..{rows - 1}")
        counts = count_verdicts(table["verdict"])
        require(counts == stated.verdicts, f"{unit}: the ledger says {counts}, its manifest {stated.verdicts}")
        by_source.setdefault(scanned.source, Counter()).update(counts)
        kept.append((unit, counts.get(KEEP, 0)))
    pack = dataset.recipe_pack
    order = windows(pack["seed"], pack["window_units"], kept)
    return _add_up(by_source, dataset), shard_plans(dataset.name, pack["shard_rows"], order)


def _audit_made(layout: Layout[AnyPath], dataset: DatasetManifest) -> tuple[Counter[str], list[ShardPlan]]:
    """The same over the units of a build, from their ledgers."""
    by_source: dict[str, Counter[str]] = {}
    made: list[tuple[str, int]] = []
    for unit in dataset.units:
        manifest = read_manifest(layout.unit_manifest(unit), BuiltUnitManifest)
        if manifest is None:
            raise DiscrepancyError(f"{unit}: its manifest is missing")
        require_bytes(layout.ledger(unit), manifest.ledger_hash)
        require_bytes(layout.made(unit), manifest.hash)
        table = read_parquet(layout.ledger(unit), ["verdict", "samples"])
        counts, samples = count_verdicts(table["verdict"]), pc.sum(table["samples"]).as_py() or 0
        require(counts == manifest.verdicts, f"{unit}: the ledger says {counts}, its manifest {manifest.verdicts}")
        require(samples == manifest.samples, f"{unit}: the ledger says {samples} samples, not {manifest.samples}")
        by_source.setdefault(manifest.source, Counter()).update(counts)
        made.append((unit, samples))
    pack = dataset.pack
    order = windows(pack["seed"], WINDOW_UNITS, made)
    return _add_up(by_source, dataset), shard_plans(dataset.name, pack["shard_rows"], order)


def _count_foreign(dataset: DatasetManifest) -> tuple[Counter[str], list[ShardPlan]]:
    """Of a dataset that `qvl mix index` converted: it has no ledger, its shards are read back against their indexes."""
    verdicts = Counter({KEEP: dataset.samples + dataset.revoked, **dataset.left_out})
    rows = dataset.rows
    require(verdicts.total() == rows, f"{rows} samples were read, {verdicts.total()} are accounted for")
    return verdicts, [ShardPlan(shard.shard, 0, shard.samples, ()) for shard in dataset.shards]


def _add_up(by_source: dict[str, Counter[str]], dataset: DatasetManifest) -> Counter[str]:
    """Verdicts over all sources. They are those of dataset.json."""
    found = {source: dict(sorted(counts.items())) for source, counts in sorted(by_source.items())}
    stated = dataset.verdicts
    require(found == stated, f"verdicts by source: the ledger says {found}, dataset.json says {stated}")
    total: Counter[str] = sum(by_source.values(), Counter())
    rows = dataset.rows
    require(sum(total.values()) == rows, f"{rows} rows went in, {sum(total.values())} have a verdict")
    return total


class _Left:
    """The samples that a shard must hold without those on record as taken down, which are counted."""

    def __init__(self, expected: "_KeptRows | _MadeRows | _IndexedRows", revoked: frozenset[str]) -> None:
        self._expected, self._names, self.revoked = expected, revoked, 0

    def of(self, plan: ShardPlan) -> list[Expected]:
        rows = self._expected.of(plan)
        left = [row for row in rows if row.key not in self._names]
        self.revoked += len(rows) - len(left)
        return left


class _KeptRows:
    """The rows that a shard of a curation must hold, in order, from the ledger."""

    def __init__(self, layout: Layout[AnyPath], seed: int) -> None:
        self.layout, self.seed = layout, seed

    def of(self, plan: ShardPlan) -> list[Expected]:
        return [row for window in plan.windows for row in self._window(window, plan)]

    def _window(self, window: Window, plan: ShardPlan) -> list[Expected]:
        tables = []
        for unit in window.units:
            table = read_parquet(self.layout.ledger(unit), ["id", "verdict", "image_hash", "caption"])
            good = table.filter(pc.equal(table["verdict"].cast("string"), KEEP))
            columns = (good[name].to_pylist() for name in ("id", "image_hash", "caption"))
            tables.append(list(zip(*columns, strict=True)))
        owner, rank = window.rows(self.seed, plan.first, plan.last)
        return [Expected(*tables[i][j]) for i, j in zip(owner.tolist(), rank.tolist(), strict=True)]


class _MadeRows:
    """The samples that a shard of a build must hold, in order, from the units' own indexes."""

    def __init__(self, layout: Layout[AnyPath], seed: int) -> None:
        self.layout, self.seed = layout, seed

    def of(self, plan: ShardPlan) -> list[Expected]:
        result = []
        for window in plan.windows:
            owner, rank = window.rows(self.seed, plan.first, plan.last)
            paths = [self.layout.made(unit).with_suffix(".parquet") for unit in window.units]
            keys = {i: read_parquet(paths[i], ["key"])["key"].to_pylist() for i in set(owner.tolist())}
            result += [Expected(keys[i][j]) for i, j in zip(owner.tolist(), rank.tolist(), strict=True)]
        return result


class _IndexedRows:
    """The samples of a converted shard by its own index, and those that were taken down from it."""

    def __init__(self, layout: Layout[AnyPath]) -> None:
        self.layout = layout

    def of(self, plan: ShardPlan) -> list[Expected]:
        gone = [key for key, record in read_revoked(self.layout.revoked).items() if record.shard == plan.name]
        return [
            Expected(key) for key in [*read_parquet(self.layout.index(plan.name), ["key"])["key"].to_pylist(), *gone]
        ]
