"""A curation from start to end: scan, score, speak, select and pack, one after the other, each resumed by its manifests."""

from qvl.pipeline.base.pool import GuardedPool, Pool
from qvl.pipeline.base.progress import RunProgress
from qvl.pipeline.commit.attempts import clear_attempts
from qvl.pipeline.commit.lock import output_lock
from qvl.pipeline.curate.curation import Curation
from qvl.pipeline.curate.discard import discard_results
from qvl.pipeline.curate.measuring.added_columns import added_columns, check_filters
from qvl.pipeline.curate.measuring.computed import run_computed, with_computed, with_plugin_faults, with_scorers
from qvl.pipeline.curate.measuring.scan import ScanTask
from qvl.pipeline.curate.measuring.scan_stage import run_scan
from qvl.pipeline.curate.measuring.score_stage import run_score, score_tasks, scores_are_outdated, with_pixel_faults
from qvl.pipeline.curate.measuring.tolerance import check_tolerance
from qvl.pipeline.curate.pack_stage import pack_tasks, run_pack
from qvl.pipeline.curate.recipe_note import write_recipe_note
from qvl.pipeline.curate.selection.select_stage import run_select
from qvl.pipeline.curate.speaking.speak_stage import run_speak, with_speakers
from qvl.pipeline.curate.stale import discard_stale, refuse_stale
from qvl.pipeline.recipe.recipe import Recipe
from qvl.pipeline.shards.manifests import DatasetManifest
from qvl.pipeline.storage.paths import AnyPath
from qvl.pipeline.takedown.journal import finish_takedown


def run(recipe: Recipe, out: AnyPath, pool: Pool, progress: RunProgress, fresh: bool = False) -> DatasetManifest:
    """Run whatever is not done yet. Returns ``dataset.json``.

    Raises StaleError if ``out`` was built from a different recipe (``fresh`` discards what the change invalidates),
    DataError if more is unreadable than the recipe tolerates, QvlError if another run holds ``out``.
    """
    out = out.resolve()
    curation = Curation.open(recipe, out)
    recipe, plugins = curation.recipe, curation.plugins
    with output_lock(out) as check:
        finish_takedown(out)
        tasks = curation.scan_tasks()
        check_stale = discard_stale if fresh else refuse_stale
        check_stale(recipe, out, tasks, plugins)
        write_recipe_note(recipe, out, plugins)
        clear_attempts(out)
        return _run_stages(curation, tasks, GuardedPool(pool, check), progress, fresh)


def _run_stages(
    curation: Curation, tasks: list[ScanTask], pool: Pool, progress: RunProgress, fresh: bool
) -> DatasetManifest:
    recipe, out, units = curation.recipe, curation.out, [task.unit for task in tasks]
    scanned = run_scan(recipe, out, tasks, pool, progress)
    carried = added_columns(recipe, out, scanned)
    computed = run_computed(out, curation.plugins, scanned, carried, pool, progress)
    check_tolerance(recipe, with_plugin_faults(scanned, computed))
    added = with_computed(carried, curation.plugins, computed)
    with_scored = with_scorers(added, curation.plugins)
    check_filters(recipe, with_speakers(with_scored, recipe))
    scoring = score_tasks(recipe, out, units, scanned, added, curation.plugins.scorers)
    if scores_are_outdated(scoring, fresh):
        discard_results(curation.layout)
        scanned = run_scan(recipe, out, tasks, pool, progress)
    scored = run_score(scoring, pool, progress)
    readable = with_pixel_faults(with_plugin_faults(scanned, computed), scored)
    check_tolerance(recipe, readable)
    inputs = (
        scanned,
        [*computed, *(each for unit in scored for each in unit.scorers)],
        [unit.scores for unit in scored],
    )
    added, spoken = run_speak(recipe, out, units, inputs, with_scored, pool, progress)
    check_tolerance(recipe, spoken.with_faults(readable))
    selected, ledgers = run_select(recipe, out, scanned, scoring, added, pool, progress)
    packing = pack_tasks(curation, units, ledgers, selected.fingerprint)
    return run_pack(curation, scanned, selected, packing, pool, progress)
