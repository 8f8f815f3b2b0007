"""What a finished small run left: its recipe, its scan and the tasks of its stage select."""

from pathlib import Path

from qvl.pipeline.commit.layout import Layout
from qvl.pipeline.commit.manifests import committed_manifest
from qvl.pipeline.curate.curation import Curation
from qvl.pipeline.curate.measuring.manifests import ScanManifest
from qvl.pipeline.curate.selection.ledger import read_select_summary
from qvl.pipeline.curate.selection.task import SelectTask
from qvl.pipeline.recipe.recipe import Recipe, load_recipe


def curation(data: Path, out: Path) -> Curation:
    """The recipe of the run and its output."""
    return Curation(load_recipe(data / "recipe.yaml"), out)


def scanned(bound: Curation) -> list[ScanManifest]:
    """The manifests of all units, in order."""
    layout = Layout(bound.out)
    return [committed_manifest(layout.unit_manifest(unit.id), ScanManifest) for unit in bound.units()]


def first_task(recipe: Recipe, out: Path) -> SelectTask:
    """A task over the first group of the finished run; ``recipe`` may have other duplicate rules."""
    summary = read_select_summary(out)
    assert summary is not None
    return SelectTask(out, recipe, summary.fingerprint, 0)
