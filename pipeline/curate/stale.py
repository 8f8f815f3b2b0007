"""Was an output built from this recipe and these inputs? If not, say what differs, or discard it on request."""

from dataclasses import dataclass

from qvl.pipeline.base.differences import json_differences
from qvl.pipeline.base.errors import StaleError
from qvl.pipeline.commit.fingerprint import fingerprint
from qvl.pipeline.commit.layout import Layout
from qvl.pipeline.commit.manifests import read_manifest
from qvl.pipeline.curate.discard import discard_results, discard_units
from qvl.pipeline.curate.measuring.manifests import ScanManifest
from qvl.pipeline.curate.measuring.scan import ScanTask
from qvl.pipeline.curate.recipe_note import read_recipe_note, recipe_note
from qvl.pipeline.plugins.operators import NO_PLUGINS, Plugins
from qvl.pipeline.recipe.recipe import Recipe
from qvl.pipeline.storage.paths import AnyPath, map_concurrently

PART_NAMES = {"beside": "side files"}
"""Names for people of the parts of a scan task, where they differ from those in manifests."""


@dataclass(frozen=True, slots=True)
class Staleness:
    """What an output disagrees with: lines about the recipe, the reason for each outdated unit, the names of gone ones.

    Units are named by id.
    """

    recipe: list[str]
    outdated: dict[str, str]
    gone: dict[str, str]

    def reasons(self) -> list[str]:
        """One line for each disagreement; none where the output is up to date."""
        gone = (f"input {name} no longer exists" for name in self.gone.values())
        return [*self.recipe, *self.outdated.values(), *gone]


def refuse_stale(recipe: Recipe, out: AnyPath, tasks: list[ScanTask], plugins: Plugins = NO_PLUGINS) -> None:
    """Raise StaleError, which names the differences, if the output was built from another recipe or other inputs."""
    reasons = staleness(recipe, out, tasks, plugins).reasons()
    if reasons:
        raise StaleError.of_output(out, reasons, "unchanged scanned units")


def discard_stale(recipe: Recipe, out: AnyPath, tasks: list[ScanTask], plugins: Plugins = NO_PLUGINS) -> None:
    """Remove exactly what differences of recipe and inputs invalidate."""
    found = staleness(recipe, out, tasks, plugins)
    if found.reasons():
        discard_results(Layout(out))
        discard_units(Layout(out), [*found.outdated, *found.gone])


def staleness(recipe: Recipe, out: AnyPath, tasks: list[ScanTask], plugins: Plugins = NO_PLUGINS) -> Staleness:
    """What the output disagrees with."""
    before = read_recipe_note(out)
    if before is not None:
        changes = json_differences(before, recipe_note(recipe, plugins))
    elif (out / "manifests").is_dir():
        changes = ["recipe.json is missing, so the recipe that it was built from is unknown"]
    else:
        changes = []
    layout = Layout(out)
    return Staleness(changes, outdated_units(layout, tasks), gone_units(layout, tasks))


def outdated_units(layout: Layout[AnyPath], tasks: list[ScanTask]) -> dict[str, str]:
    """For each unit whose columns are out of date, by id, the reason. After a whole scan a new unit is such a unit too."""
    paths = [layout.unit_manifest(task.unit.id) for task in tasks]
    manifests = map_concurrently(layout.out, lambda path: read_manifest(path, ScanManifest), paths)
    changed, new = {}, {}
    for task, manifest in zip(tasks, manifests, strict=True):
        name = f"{task.unit.source}/{task.unit.name}"
        if manifest is None:
            new[task.unit.id] = f"{name}: new input"
        elif manifest.fingerprint != fingerprint(task.parts):
            parts = [
                PART_NAMES.get(part, part) for part, value in task.parts.items() if manifest.parts.get(part) != value
            ]
            changed[task.unit.id] = f"{name}: {', '.join(parts)} changed"
    scan_is_complete = layout.stage_manifest("scan").is_file()
    return {**changed, **(new if scan_is_complete else {})}


def gone_units(layout: Layout[AnyPath], tasks: list[ScanTask]) -> dict[str, str]:
    """The name of each committed unit, by id, that the recipe no longer has."""
    committed = {path.stem for path in (layout.out / "manifests" / "scan").glob("*.json")}
    gone = sorted(committed - {task.unit.id for task in tasks})
    manifests = {unit: read_manifest(layout.unit_manifest(unit), ScanManifest) for unit in gone}
    return {unit: manifest.name if manifest else unit for unit, manifest in manifests.items()}
