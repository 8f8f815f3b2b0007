"""Audit: adds everything up again from the ledgers, and reads the shards back, without trusting any stated sum."""

from collections import Counter
from dataclasses import dataclass, replace
from typing import Any, cast

import pyarrow.compute as pc

from qvl.pipeline.base.errors import DataError, RecipeError
from qvl.pipeline.base.verdicts import KEEP
from qvl.pipeline.builders.pack import WINDOW_UNITS
from qvl.pipeline.commit.layout import Layout
from qvl.pipeline.commit.manifests import read_manifest
from qvl.pipeline.curate.measuring.manifests import ComputedManifest, ScanManifest
from qvl.pipeline.curate.measuring.texts import CAPTION_FROM
from qvl.pipeline.curate.selection.ledger import count_verdicts, ledger_units
from qvl.pipeline.curate.speaking.manifests import SpokenManifest
from qvl.pipeline.finished.audit_shards import DiscrepancyError, audit_shards, require, require_bytes, require_found
from qvl.pipeline.finished.consistent import consistent
from qvl.pipeline.finished.expected_samples import BuiltSamples, ExpectedSamples, IndexedSamples, KeptRows, SamplesLeft
from qvl.pipeline.shards.built_unit import BuiltUnitManifest
from qvl.pipeline.shards.manifests import DatasetManifest
from qvl.pipeline.shards.order import ShardPlan, shard_plans, windows
from qvl.pipeline.shards.revoked import read_revoked
from qvl.pipeline.storage.arrow_files import read_parquet
from qvl.pipeline.storage.paths import AnyPath

AUDITED = ["id", "source", "verdict", "row", "image_hash"]


@dataclass(frozen=True, slots=True)
class AuditResult:
    """What an audit counted, as far as it came, and the first ``discrepancy``, or None.

    ``kept`` counts verdicts; ``revoked`` of the samples made from them have been taken down since.
    """

    rows: int = 0
    kept: int = 0
    dropped: int = 0
    shards: int = 0
    hash: str | None = None
    revoked: int = 0
    discrepancy: str | None = None


@dataclass(frozen=True, slots=True)
class Expectation:
    """What follows from the ledgers: rows by verdict, the shards, and the samples of each shard."""

    verdicts: Counter[str]
    plans: list[ShardPlan]
    samples: ExpectedSamples


def audit(out: AnyPath) -> AuditResult:
    """Audit a finished output. Raises RecipeError where there is none. Memory is that of one window of units."""
    layout, result = Layout(out.resolve()), AuditResult()
    try:
        dataset = read_manifest(layout.dataset, DatasetManifest)
        if dataset is None:
            raise RecipeError(f"{out}: there is no finished run here (no shards/dataset.json)")
        result = replace(result, shards=len(dataset.shards), hash=dataset.hash)
        with consistent(out):
            return _recounted(layout, dataset, result)
    except (DiscrepancyError, DataError) as error:
        return replace(result, discrepancy=str(error))


def _recounted(layout: Layout[AnyPath], dataset: DatasetManifest, result: AuditResult) -> AuditResult:
    expected = _expectation(layout, dataset)
    rows, kept = expected.verdicts.total(), expected.verdicts[KEEP]
    result = replace(result, rows=rows, kept=kept, dropped=rows - kept)
    require(not layout.takedown.is_file(), "a takedown was interrupted; the same `qvl mix revoke` finishes it")
    left = SamplesLeft(expected.samples, frozenset(read_revoked(layout.revoked)))
    audit_shards(layout, dataset, expected.plans, left)
    stated = dataset.revoked
    require(left.revoked == stated, f"{left.revoked} samples were taken down, dataset.json says {stated}")
    return replace(result, revoked=stated)


def _expectation(layout: Layout[AnyPath], dataset: DatasetManifest) -> Expectation:
    if "made" in dataset.lineage:
        return _of_build(layout, dataset)
    if "foreign" in dataset.lineage:
        return _of_converted_tars(layout, dataset)
    return _of_curation(layout, dataset)


def _of_curation(layout: Layout[AnyPath], dataset: DatasetManifest) -> Expectation:
    """Verdicts of all units, counted from their ledgers, and the shards that follow from them."""
    by_source: dict[str, Counter[str]] = {}
    recipe = cast(dict[str, Any], dataset.lineage["recipe"])
    plugins, speakers = recipe.get("plugins", {}), [speaker["name"] for speaker in recipe.get("speakers", [])]
    kept: list[tuple[str, int]] = []
    for unit, stated in ledger_units(layout.out).items():
        manifest = read_manifest(layout.unit_manifest(unit), ScanManifest)
        scanned = require_found(manifest, f"{unit}: its scan manifest is missing")
        require_bytes(layout.columns(unit), scanned.hash)
        if scanned.texts is not None:
            require_bytes(layout.texts(unit), scanned.texts)
        require_bytes(layout.ledger(unit), stated.hash)
        for plugin in plugins:
            computed = read_manifest(layout.computed_manifest(plugin, unit), ComputedManifest)
            found = require_found(computed, f"{unit}: the manifest of what plug-in {plugin} computed is missing")
            require_bytes(layout.computed(plugin, unit), found.hash)
        for speaker in speakers:
            spoken = read_manifest(layout.spoken_manifest(speaker, unit), SpokenManifest)
            said = require_found(spoken, f"{unit}: the manifest of what speaker {speaker} said is missing")
            require_bytes(layout.spoken(speaker, unit), said.hash)
        table, rows = read_parquet(layout.ledger(unit), AUDITED, AUDITED), scanned.rows
        require(len(table) == rows, f"{unit}: {rows} rows were scanned, the ledger has {len(table)}")
        require(table["row"].to_pylist() == list(range(rows)), f"{unit}: row numbers are not 0..{rows - 1}")
        counts = count_verdicts(table["verdict"])
        require(counts == stated.verdicts, f"{unit}: the ledger says {counts}, its manifest {stated.verdicts}")
        by_source.setdefault(scanned.source, Counter()).update(counts)
        kept.append((unit, counts.get(KEEP, 0)))
    pack = dataset.recipe_pack
    order = windows(pack["seed"], pack["window_units"], kept)
    plans = shard_plans(dataset.name, pack["shard_rows"], order)
    return Expectation(_add_up(by_source, dataset), plans, KeptRows(layout, pack["seed"], _carried(dataset)))


def _carried(dataset: DatasetManifest) -> dict[str, tuple[str, ...]]:
    """What the samples of each source have in ``meta``, by the recipe in dataset.json."""
    sources: dict[str, Any] = cast(dict[str, Any], dataset.lineage["recipe"])["sources"]
    columns = {name: source["read"].get("columns", {}) for name, source in sources.items()}
    return {
        name: (*each.get("extra", ()), *([CAPTION_FROM] if each.get("captions") else []))
        for name, each in columns.items()
    }


def _of_build(layout: Layout[AnyPath], dataset: DatasetManifest) -> Expectation:
    """The same for the units of a build, whose ledgers also count the samples of each row."""
    by_source: dict[str, Counter[str]] = {}
    built: list[tuple[str, int]] = []
    for unit in dataset.units:
        found = read_manifest(layout.unit_manifest(unit), BuiltUnitManifest)
        manifest = require_found(found, f"{unit}: its manifest is missing")
        require_bytes(layout.ledger(unit), manifest.ledger_hash)
        require_bytes(layout.made(unit), manifest.hash)
        table = read_parquet(layout.ledger(unit), ["verdict", "samples"])
        counts, samples = count_verdicts(table["verdict"]), pc.sum(table["samples"]).as_py() or 0
        require(counts == manifest.verdicts, f"{unit}: the ledger says {counts}, its manifest {manifest.verdicts}")
        require(samples == manifest.samples, f"{unit}: the ledger says {samples} samples, not {manifest.samples}")
        by_source.setdefault(manifest.source, Counter()).update(counts)
        built.append((unit, samples))
    pack = dataset.pack
    plans = shard_plans(dataset.name, pack["shard_rows"], windows(pack["seed"], WINDOW_UNITS, built))
    return Expectation(_add_up(by_source, dataset), plans, BuiltSamples(layout, pack["seed"]))


def _of_converted_tars(layout: Layout[AnyPath], dataset: DatasetManifest) -> Expectation:
    """A dataset that `qvl mix index` converted has no ledger: its shards are read back against their own indexes."""
    verdicts = Counter({KEEP: dataset.samples + dataset.revoked, **dataset.left_out})
    require(verdicts.total() == dataset.rows, f"{dataset.rows} samples were read, {verdicts.total()} are accounted for")
    plans = [ShardPlan(shard.shard, 0, shard.samples, ()) for shard in dataset.shards]
    return Expectation(verdicts, plans, IndexedSamples(layout))


def _add_up(by_source: dict[str, Counter[str]], dataset: DatasetManifest) -> Counter[str]:
    """Rows by verdict over all sources, which must be those of dataset.json."""
    found = {source: dict(sorted(counts.items())) for source, counts in sorted(by_source.items())}
    stated = dataset.verdicts
    require(found == stated, f"verdicts by source: the ledger says {found}, dataset.json says {stated}")
    total: Counter[str] = sum(by_source.values(), Counter())
    require(total.total() == dataset.rows, f"{dataset.rows} rows went in, {total.total()} have a verdict")
    return total
