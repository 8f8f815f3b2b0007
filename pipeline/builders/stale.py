"""Whether an output was built from this recipe and these inputs; if not, what differs, or discarding it on request."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from qvl.pipeline.base.errors import SHOWN, DataError, StaleError
from qvl.pipeline.builders.make import MakeTask, unit_files
from qvl.pipeline.builders.pack import PackSettings
from qvl.pipeline.commit.fingerprint import fingerprint
from qvl.pipeline.commit.layout import Layout
from qvl.pipeline.commit.manifests import read_manifest
from qvl.pipeline.curate.discard import discard_shards
from qvl.pipeline.shards.built_unit import BuiltUnitManifest
from qvl.pipeline.shards.manifests import DatasetManifest
from qvl.pipeline.storage.paths import AnyPath, map_concurrently


@dataclass(frozen=True, slots=True)
class _ChangedUnit:
    id: str
    reason: str


def refuse_or_discard(tasks: Sequence[MakeTask], out: AnyPath, settings: PackSettings, fresh: bool) -> None:
    """Raise StaleError naming what changed; with ``fresh`` remove the units that changed, and the shards, instead."""
    layout = Layout(out)
    changed = _changed_units(tasks, layout)
    reasons = [unit.reason for unit in changed] + _dataset_changes(tasks, layout, settings)
    if not reasons:
        return
    if not fresh:
        raise StaleError.of_output(out, reasons, "unchanged units")
    known = {task.unit.id for task in tasks}
    removed = [path.stem for path in (out / "manifests" / "scan").glob("*.json") if path.stem not in known]
    _discard_units(layout, [*(unit.id for unit in changed), *removed])
    discard_shards(layout)


def refuse_changed_inputs(made: Sequence[MakeTask], out: AnyPath) -> None:
    """Raise DataError if an input of these units, which were just made, changed meanwhile; those units are discarded.

    ``made`` names the inputs as they are now: a builder's ``units()`` was called again.
    """
    layout = Layout(out)
    changed = _changed_units(made, layout)
    if changed:
        _discard_units(layout, [unit.id for unit in changed])
        reasons = "; ".join(unit.reason for unit in changed[:SHOWN])
        raise DataError(f"{reasons} while it was read; run the same command again when nothing writes to the inputs")


def _discard_units(layout: Layout[AnyPath], units: Iterable[str]) -> None:
    """Remove units: their manifests first, so that a kill leaves none without its files."""
    for unit in units:
        layout.unit_manifest(unit).unlink(missing_ok=True)
        for path in unit_files(layout, unit):
            path.unlink(missing_ok=True)


def _changed_units(tasks: Sequence[MakeTask], layout: Layout[AnyPath]) -> list[_ChangedUnit]:
    """The units that were made from something else, each with the names of the parts that differ."""

    def committed(task: MakeTask) -> BuiltUnitManifest | None:
        return read_manifest(layout.unit_manifest(task.unit.id), BuiltUnitManifest)

    changed = []
    for task, manifest in zip(tasks, map_concurrently(layout.out, committed, tasks), strict=True):
        parts = task.builder.parts(task.unit)
        if manifest is None or manifest.fingerprint == fingerprint(parts):
            continue
        before = manifest.parts
        names = [name for name in sorted({*parts, *before}) if before.get(name) != parts.get(name)]
        reason = f"{task.unit.source}/{task.unit.name}: {', '.join(names)} changed"
        changed.append(_ChangedUnit(task.unit.id, reason))
    return changed


def _dataset_changes(tasks: Sequence[MakeTask], layout: Layout[AnyPath], settings: PackSettings) -> list[str]:
    """What differs from the dataset that was packed before: its settings and the set of its units."""
    dataset = read_manifest(layout.dataset, DatasetManifest)
    if dataset is None:
        return []
    packed, units = dataset.pack, dataset.units
    current = {"shard_rows": settings.shard_rows, "seed": settings.seed}
    reasons = [f"{name}: {packed[name]} -> {value}" for name, value in current.items() if packed[name] != value]
    known = {task.unit.id for task in tasks}
    reasons += [f"{unit} is missing" for unit in units if unit not in known]
    new = known - set(units)
    return reasons + ([f"{len(new)} new units"] if new else [])
