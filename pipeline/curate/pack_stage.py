"""Stage pack in the driver: which shards the dataset has, which of them are still to be packed, and the dataset itself."""

from typing import cast

from pydantic import JsonValue

from qvl.pipeline.base.pool import Pool
from qvl.pipeline.base.progress import RunProgress
from qvl.pipeline.base.verdicts import KEEP
from qvl.pipeline.commit.fingerprint import fingerprint
from qvl.pipeline.curate.curation import Curation
from qvl.pipeline.curate.measuring.manifests import ScanManifest
from qvl.pipeline.curate.measuring.scan_stage import scan_root
from qvl.pipeline.curate.measuring.texts import CAPTION_FROM
from qvl.pipeline.curate.pack import PackTask, pack_shard
from qvl.pipeline.curate.recipe_note import recipe_note
from qvl.pipeline.curate.selection.manifests import LedgerManifest, SelectSummary
from qvl.pipeline.recipe.recipe import Recipe
from qvl.pipeline.shards.dataset import committed_shard, finish
from qvl.pipeline.shards.manifests import DatasetManifest
from qvl.pipeline.shards.order import ShardPlan, shard_plans, windows
from qvl.pipeline.sources.base import Source, Unit
from qvl.pipeline.storage.paths import map_concurrently

PACK_VERSION = 1


def plan_shards(curation: Curation, ledgers: list[LedgerManifest], units: list[Unit]) -> list[ShardPlan]:
    """Every shard of the dataset, from the number of kept rows of each unit."""
    kept = {name: unit.verdicts.get(KEEP, 0) for ledger in ledgers for name, unit in ledger.units.items()}
    pack = curation.recipe.pack
    order = windows(pack.seed, pack.window_units, [(unit.id, kept.get(unit.id, 0)) for unit in units])
    return shard_plans(curation.recipe.name, pack.shard_rows, order)


def meta_names(recipe: Recipe, source: str) -> tuple[str, ...]:
    """What the samples of a source have in ``meta``, by name."""
    columns = recipe.source(source).read.columns
    return (*columns.extra, *([CAPTION_FROM] if columns.captions else []))


def pack_tasks(
    curation: Curation, units: list[Unit], ledgers: list[LedgerManifest], select_fingerprint: str
) -> list[PackTask]:
    """A task for each shard, with only the units and sources that it needs.

    The fingerprint of a task covers the verdicts and the order that the shards were planned from.
    """
    recipe = curation.recipe
    stage = fingerprint(
        {
            "version": PACK_VERSION,
            "select": select_fingerprint,
            "name": recipe.name,
            "pack": recipe.pack.model_dump(),
        }
    )
    by_id = {unit.id: unit for unit in units}
    readers: dict[str, Source] = {source.name: source.read for source in recipe.sources}
    tasks = []
    for plan in plan_shards(curation, ledgers, units):
        needed = {name: by_id[name] for window in plan.windows for name in window.units}
        sources = {unit.source: readers[unit.source] for unit in needed.values()}
        carried = {name: meta_names(recipe, name) for name in sources}
        tasks.append(PackTask(curation.out, plan, needed, sources, carried, recipe.pack.seed, plan.fingerprint(stage)))
    return tasks


def run_pack(
    curation: Curation,
    scanned: list[ScanManifest],
    selected: SelectSummary,
    tasks: list[PackTask],
    pool: Pool,
    progress: RunProgress,
) -> DatasetManifest:
    """Pack every shard that is not packed yet, then write the dataset. Returns ``dataset.json``."""
    done = map_concurrently(curation.out, lambda task: committed_shard(task.out, task.plan, task.fingerprint), tasks)
    todo = [task for task, manifest in zip(tasks, done, strict=True) if manifest is None]
    progress.stage("pack", len(tasks), len(tasks) - len(todo))
    for _, manifest in pool.map(pack_shard, todo):
        progress.advance(manifest.samples)
    lineage: dict[str, JsonValue] = {
        "scan": scan_root(scanned),
        "select": selected.fingerprint,
        "recipe": recipe_note(curation.recipe, curation.plugins),
        "rows": selected.rows,
        "verdicts": cast(JsonValue, selected.verdicts),
    }
    kept = sum(counts.get(KEEP, 0) for counts in selected.verdicts.values())
    return finish(curation.recipe.name, curation.out, [task.plan for task in tasks], kept, lineage)
