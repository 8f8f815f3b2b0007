"""Stage scan in the driver: which units are to be scanned, and what the workers returned."""

from qvl.pipeline.base.pool import Pool
from qvl.pipeline.base.progress import RunProgress
from qvl.pipeline.commit.fingerprint import fingerprint, merkle_root
from qvl.pipeline.commit.layout import Layout
from qvl.pipeline.commit.manifests import committed_manifest, restate_manifest
from qvl.pipeline.curate.measuring.added_columns import check_types
from qvl.pipeline.curate.measuring.manifests import ScanManifest, ScanSummary
from qvl.pipeline.curate.measuring.scan import ScanTask, scan_unit, scanned_unit
from qvl.pipeline.curate.measuring.scan_warnings import scan_warnings
from qvl.pipeline.curate.measuring.tolerance import check_tolerance, check_units, is_broken
from qvl.pipeline.recipe.recipe import Recipe
from qvl.pipeline.storage.paths import AnyPath, map_concurrently


def run_scan(
    recipe: Recipe, out: AnyPath, tasks: list[ScanTask], pool: Pool, progress: RunProgress
) -> list[ScanManifest]:
    """Scan every unit that is not scanned yet. Returns the manifests of all units, in order.

    Raises DataError as soon as more is unreadable than the recipe tolerates, or as a carried column has two types.
    """
    done = map_concurrently(out, scanned_unit, tasks)
    todo = [task for task, manifest in zip(tasks, done, strict=True) if manifest is None]
    progress.stage("scan", len(tasks), len(tasks) - len(todo))
    broken: list[ScanManifest] = []
    known: dict[str, ScanManifest] = {}
    for _, manifest in pool.map(scan_unit, todo):
        progress.advance(manifest.rows, manifest.faults)
        if is_broken(manifest):
            broken.append(manifest)
        check_units(recipe, broken, len(tasks))
        known = check_types([*known.values(), manifest])
    layout = Layout(out)
    paths = [layout.unit_manifest(task.unit.id) for task in tasks]
    manifests = map_concurrently(out, lambda path: committed_manifest(path, ScanManifest), paths)
    for line in scan_warnings(manifests):
        progress.warn(line)
    check_tolerance(recipe, manifests)
    summary = ScanSummary(
        units=len(manifests),
        rows=sum(unit.rows for unit in manifests),
        root=scan_root(manifests),
        fingerprint=fingerprint([unit.fingerprint for unit in manifests]),
    )
    restate_manifest(layout.stage_manifest("scan"), summary)
    return manifests


def scan_root(scanned: list[ScanManifest]) -> str:
    """The Merkle root of all scanned columns."""
    return merkle_root(" ".join([unit.unit, *unit.hashes()]) for unit in scanned)
