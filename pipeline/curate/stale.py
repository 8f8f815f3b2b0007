"""Is an output folder the work of this recipe and of these inputs? If not: say what differs, or discard it on request."""

from typing import Any

import orjson

from qvl.pipeline.base.errors import StaleError
from qvl.pipeline.commit.fingerprint import fingerprint
from qvl.pipeline.commit.layout import Layout
from qvl.pipeline.commit.manifests import read_manifest
from qvl.pipeline.curate.measuring.scan import ScanTask
from qvl.pipeline.curate.selection.decontaminate import benchmarks_identity
from qvl.pipeline.recipe.recipe import Recipe, reading
from qvl.pipeline.storage.atomic import replace_file
from qvl.pipeline.storage.paths import Place, map_concurrently, remove_tree

SHOWN = 5
# not the paths of weights: their hashes are in the scores' manifests
WEIGHT_FILES = {"clip": {"english": {"model", "pretrained"}, "chinese": {"model", "pretrained"}}}


def portable(recipe: Recipe) -> dict[str, Any]:
    """What of a recipe alters data: no folders, no tolerances, no notes; sources by name, each with all its filters."""
    content = recipe.model_dump(
        mode="json",
        exclude={"filters": True, "tolerance": True, "sources": True, "score": WEIGHT_FILES, "decontaminate": True},
    )
    content["sources"] = {
        source.name: {
            **source.model_dump(mode="json", exclude={"name", "read", "table2"}),
            "read": reading(source),
            "filters": recipe.filters_of(source.name).model_dump(mode="json", exclude_none=True),
        }
        for source in recipe.sources
    }
    content["decontaminate"] = benchmarks_identity(recipe)
    return content


def remember_recipe(recipe: Recipe, out: Place) -> None:
    """Leave the recipe beside its results, for the comparison of the next run and for readers."""
    data = orjson.dumps(portable(recipe), option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS)
    replace_file(Layout(out).recipe, data)


def refuse_or_discard(recipe: Recipe, out: Place, tasks: list[ScanTask], fresh: bool) -> None:
    """Raise StaleError that names the differences; with ``fresh`` remove exactly what they invalidate instead."""
    layout = Layout(out)
    stale_units, gone = stale_scans(layout, tasks)
    before = read_manifest(layout.recipe)
    changes = differences(before, portable(recipe)) if before is not None else []
    if before is None and (layout.out / "manifests").is_dir():
        changes = ["recipe.json is missing, so nobody knows of what recipe this is the work"]
    if not (stale_units or gone or changes):
        return
    if not fresh:
        reasons = [*changes, *stale_units.values(), *(f"input {name} is gone" for name in gone.values())]
        more = f" and {len(reasons) - SHOWN} more" if len(reasons) > SHOWN else ""
        raise StaleError(
            f"{out} holds other work: {'; '.join(reasons[:SHOWN])}{more}. Choose another --output, or run with --fresh to "
            "discard what this changes (scanned units that did not change are kept)"
        )
    discard(layout, [*stale_units, *gone], ledger=True)


def stale_scans(layout: Layout[Place], tasks: list[ScanTask]) -> tuple[dict[str, str], dict[str, str]]:
    """Unit id -> why its columns are out of date; unit id -> name of committed units that the recipe has no longer."""
    stale = {}
    committed = {path.stem for path in (layout.out / "manifests" / "scan").glob("*.json")}
    new = []
    manifests = map_concurrently(layout.out, lambda task: read_manifest(layout.unit_manifest(task.unit.id)), tasks)
    for task, manifest in zip(tasks, manifests, strict=True):
        if manifest is None:
            new.append(task.unit)
        elif manifest["fingerprint"] != fingerprint(task.parts):
            parts = [name for name, value in task.parts.items() if manifest["parts"].get(name) != value]
            stale[task.unit.id] = f"{task.unit.source}/{task.unit.name}: {', '.join(parts)} changed"
    if read_manifest(layout.stage_manifest("scan")) is not None:
        stale |= {unit.id: f"{unit.source}/{unit.name}: new input" for unit in new}
    gone = committed - {task.unit.id for task in tasks}
    return stale, {unit: (read_manifest(layout.unit_manifest(unit)) or {"name": unit})["name"] for unit in sorted(gone)}


def differences(before: Any, after: Any, place: str = "") -> list[str]:
    """Leaves that differ, as ``place: before -> after``."""
    if isinstance(before, dict) and isinstance(after, dict):
        keys = sorted({*before, *after})
        return [line for key in keys for line in differences(before.get(key), after.get(key), f"{place}{key}.")]
    return [] if before == after else [f"{place.rstrip('.')}: {_short(before)} -> {_short(after)}"]


def _short(value: Any) -> str:
    text = orjson.dumps(value).decode()
    return text if len(text) <= 60 else text[:57] + "..."


def discard(layout: Layout[Place], units: list[str], ledger: bool) -> None:
    """Remove all shards, what select made (with ``ledger``), and units: the last stage first.

    A kill in between leaves stages that are done and nothing that looks done and is not.
    """
    layout.dataset.unlink(missing_ok=True)
    layout.report.unlink(missing_ok=True)
    layout.report.with_suffix(".json").unlink(missing_ok=True)
    for folder in ("manifests/pack", "shards"):
        remove_tree(layout.out / folder)
    for stage in ("select", "score", "scan"):
        layout.stage_manifest(stage).unlink(missing_ok=True)
    for folder in ("manifests/select", "select", *(["ledger"] if ledger else []), "manifests/score"):
        remove_tree(layout.out / folder)

    def forget(unit: str) -> None:
        for path in (layout.unit_manifest(unit), layout.columns(unit), layout.scores(unit), layout.embeddings(unit)):
            path.unlink(missing_ok=True)

    map_concurrently(layout.out, forget, units)
