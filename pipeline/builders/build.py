"""Build a dataset from samples that are made rather than filtered (text, OCR pages, grounding).

A builder (``qvl.pipeline.builders.builder``) turns a unit, which is a range of seeds, a document or an annotation file, into
verdicts and samples. Each unit commits its samples, its ledger and its sums once; its samples are then packed into shards.
Equal recipes and inputs give equal bytes with any number of workers and after any kill.
"""

from qvl.pipeline.base.pool import GuardedPool, Pool
from qvl.pipeline.base.progress import RunProgress
from qvl.pipeline.base.verdicts import KEEP
from qvl.pipeline.builders.builder import Builder
from qvl.pipeline.builders.make import MakeTask, made_unit, make_unit
from qvl.pipeline.builders.pack import PackSettings, pack
from qvl.pipeline.builders.stale import refuse_changed_inputs, refuse_or_discard
from qvl.pipeline.commit.attempts import clear_attempts
from qvl.pipeline.commit.layout import Layout
from qvl.pipeline.commit.lock import output_lock
from qvl.pipeline.commit.manifests import committed_manifest
from qvl.pipeline.shards.built_unit import BuiltUnitManifest
from qvl.pipeline.shards.manifests import DatasetManifest
from qvl.pipeline.storage.paths import AnyPath, map_concurrently
from qvl.pipeline.takedown.journal import finish_takedown


def build(
    builder: Builder,
    out: AnyPath,
    pool: Pool,
    progress: RunProgress,
    *,
    shard_rows: int,
    seed: int,
    fresh: bool = False,
) -> DatasetManifest:
    """Make the units that are not made yet, and pack all. Returns ``dataset.json``; raises what ``curate.run`` raises."""
    out, settings = out.resolve(), PackSettings(shard_rows, seed)
    with output_lock(out) as check:
        finish_takedown(out)
        pool = GuardedPool(pool, check)
        tasks = [MakeTask(out, builder, unit) for unit in builder.units()]
        refuse_or_discard(tasks, out, settings, fresh)
        clear_attempts(out)
        made = _make_units(tasks, out, pool, progress)
        if made:
            again = [MakeTask(out, builder, unit) for unit in builder.units() if unit.id in made]
            refuse_changed_inputs(again, out)
        return pack(builder.name, out, _committed_units(tasks, out), settings, pool, progress)


def _make_units(tasks: list[MakeTask], out: AnyPath, pool: Pool, progress: RunProgress) -> frozenset[str]:
    """Make the units that are not made yet. Returns their ids."""
    done = map_concurrently(out, made_unit, tasks)
    todo = [task for task, manifest in zip(tasks, done, strict=True) if manifest is None]
    progress.stage("make", len(tasks), len(tasks) - len(todo))
    for _, manifest in pool.map(make_unit, todo):
        drops = {reason: rows for reason, rows in manifest.verdicts.items() if reason != KEEP}
        progress.advance(manifest.rows, drops)
    return frozenset(task.unit.id for task in todo)


def _committed_units(tasks: list[MakeTask], out: AnyPath) -> list[BuiltUnitManifest]:
    layout = Layout(out)
    paths = [layout.unit_manifest(task.unit.id) for task in tasks]
    return map_concurrently(out, lambda path: committed_manifest(path, BuiltUnitManifest), paths)
