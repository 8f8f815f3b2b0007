"""Columns that plug-ins compute, after scan: one file and one manifest for each plug-in and unit.

They depend on the scanned columns of the unit and on the plug-in alone. A changed plug-in computes its own columns again;
the scan and the other plug-ins are not repeated.
"""

from collections import Counter
from dataclasses import dataclass, replace

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from qvl.pipeline.base.arrays import flags
from qvl.pipeline.base.pool import Pool
from qvl.pipeline.base.progress import RunProgress
from qvl.pipeline.commit.attempts import attempt, publish
from qvl.pipeline.commit.fingerprint import file_hash, fingerprint, merkle_root
from qvl.pipeline.commit.layout import Layout
from qvl.pipeline.commit.manifests import committed_manifest, create_manifest, read_committed
from qvl.pipeline.curate.measuring.added_columns import AddedColumns, ComputedColumns
from qvl.pipeline.curate.measuring.columns import CATEGORY, ROW_GROUP
from qvl.pipeline.curate.measuring.manifests import ComputedManifest, Parts, ScanManifest
from qvl.pipeline.curate.measuring.measured import read_measured
from qvl.pipeline.plugins.apply import apply_column, decoded
from qvl.pipeline.plugins.operators import ColumnPlugin, Plugins
from qvl.pipeline.storage.paths import AnyPath, map_concurrently, remove_tree


@dataclass(frozen=True)
class ComputeTask:
    """Everything that a worker needs to compute the columns of some plug-ins for one unit; ``scanned`` is its scan."""

    out: AnyPath
    unit: str
    source: str
    plugins: tuple[ColumnPlugin, ...]
    scanned: str
    carried: AddedColumns

    def parts(self, plugin: ColumnPlugin) -> Parts:
        """What the columns of a plug-in depend on, by name."""
        return {"columns": self.scanned, **plugin.identity}

    def committed(self, plugin: ColumnPlugin) -> ComputedManifest | None:
        """The manifest of columns that are computed already, or None."""
        layout = Layout(self.out)
        path, file = layout.computed_manifest(plugin.name, self.unit), layout.computed(plugin.name, self.unit)
        return read_committed(path, fingerprint(self.parts(plugin)), [file], ComputedManifest)


def compute_unit(task: ComputeTask) -> list[ComputedManifest]:
    """Compute and commit the columns of each plug-in of a task that are not there yet."""
    return [task.committed(plugin) or _compute(task, plugin) for plugin in task.plugins]


def _compute(task: ComputeTask, plugin: ColumnPlugin) -> ComputedManifest:
    layout = Layout(task.out)
    names = list(dict.fromkeys([*plugin.reads, "fault"]))
    table = read_measured(task.out, task.unit, names, None, task.carried)
    usable = flags(pc.is_null(table["fault"]))
    result = apply_column(plugin, decoded(table), usable)
    faults = Counter(fault for fault in result["fault"].to_pylist() if fault is not None)
    result = result.set_column(len(plugin.schema), pa.field("fault", CATEGORY), _encoded(result["fault"]))
    with attempt(task.out) as folder:
        written = folder / "computed.parquet"
        pq.write_table(result, written, compression="lz4", use_dictionary=["fault"], row_group_size=ROW_GROUP)
        digest = file_hash(written)
        publish(written, layout.computed(plugin.name, task.unit), digest)
    manifest = ComputedManifest(
        unit=task.unit,
        source=task.source,
        plugin=plugin.name,
        rows=len(result),
        faults=dict(sorted(faults.items())),
        hash=digest,
        parts=task.parts(plugin),
        fingerprint=fingerprint(task.parts(plugin)),
    )
    return create_manifest(layout.computed_manifest(plugin.name, task.unit), manifest)


def _encoded(faults: pa.ChunkedArray) -> pa.Array:
    return faults.combine_chunks().dictionary_encode().cast(CATEGORY)


def run_computed(
    out: AnyPath,
    plugins: Plugins,
    scanned: list[ScanManifest],
    carried: AddedColumns,
    pool: Pool,
    progress: RunProgress,
) -> list[ComputedManifest]:
    """Compute the columns of every plug-in and unit that are not there yet. Returns the manifests, unit by unit.

    Files of plug-ins that the recipe no longer names are removed.
    """
    layout = Layout(out)
    _remove_others(layout, plugins)
    if not plugins.columns:
        return []
    tasks = [ComputeTask(out, unit.unit, unit.source, plugins.columns, unit.hash, carried) for unit in scanned]
    done = map_concurrently(out, lambda task: all(task.committed(plugin) for plugin in task.plugins), tasks)
    todo = [task for task, is_done in zip(tasks, done, strict=True) if not is_done]
    progress.stage("compute", len(tasks), len(tasks) - len(todo))
    for _, manifests in pool.map(compute_unit, todo):
        faults: Counter[str] = Counter()
        for manifest in manifests:
            faults.update(manifest.faults)
        progress.advance(manifests[0].rows if manifests else 0, dict(faults))
    paths = [layout.computed_manifest(plugin.name, unit.unit) for unit in scanned for plugin in plugins.columns]
    return map_concurrently(out, lambda path: committed_manifest(path, ComputedManifest), paths)


def _remove_others(layout: Layout[AnyPath], plugins: Plugins) -> None:
    known = {plugin.name for plugin in plugins.all}
    for folder in (layout.out / "manifests" / "computed", layout.out / "computed"):
        others = [path for path in folder.glob("*") if path.name not in known] if folder.is_dir() else []
        for path in others:
            remove_tree(path)


def with_computed(carried: AddedColumns, plugins: Plugins, computed: list[ComputedManifest]) -> AddedColumns:
    """The added columns of a run, with those of its plug-ins."""
    root = merkle_root(f"{each.plugin} {each.unit} {each.hash}" for each in computed) if plugins.columns else None
    columns = tuple(ComputedColumns(each.name, each.schema) for each in plugins.columns)
    return replace(carried, computed=columns, identity=root)


def with_scorers(added: AddedColumns, plugins: Plugins) -> AddedColumns:
    """The added columns of a run, with those of its scorers, whose files stage score writes."""
    scored = tuple(ComputedColumns(each.name, each.schema, "score_state") for each in plugins.scorers)
    return replace(added, computed=(*added.computed, *scored))


def with_plugin_faults(scanned: list[ScanManifest], computed: list[ComputedManifest]) -> list[ScanManifest]:
    """Scan's manifests, whose faults now include the rows that made a plug-in fail."""
    found: dict[str, Counter[str]] = {}
    for each in computed:
        found.setdefault(each.unit, Counter()).update(each.faults)
    return [
        replace(unit, faults={**unit.faults, **found[unit.unit]}) if found.get(unit.unit) else unit for unit in scanned
    ]
