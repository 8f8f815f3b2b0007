"""What a run would do, before it does it."""

from collections import defaultdict
from typing import Any

from rich.console import Console
from rich.table import Table

from qvl.pipeline.base.errors import StaleError
from qvl.pipeline.commit.layout import Layout
from qvl.pipeline.commit.manifests import read_manifest
from qvl.pipeline.curate.measuring.scan import ScanTask
from qvl.pipeline.curate.run import Curation
from qvl.pipeline.curate.stale import refuse_or_discard
from qvl.pipeline.recipe.recipe import Recipe
from qvl.pipeline.storage.paths import Place, map_concurrently


def make_plan(recipe: Recipe, out: Place) -> dict[str, Any]:
    """Units, bytes and known rows by source; reused and to be run by stage; ``stale``: what forbids the run, or None."""
    out = out.resolve()
    tasks, layout = Curation(recipe, out).scan_tasks(), Layout(out)
    stale = None
    try:
        refuse_or_discard(recipe, out, tasks, fresh=False)
    except StaleError as error:
        stale = str(error)
    done = {stage: read_manifest(layout.stage_manifest(stage)) is not None for stage in ("scan", "select")}
    return {
        "name": recipe.name,
        "sources": _by_source(tasks, layout),
        "stages": {**done, "pack": read_manifest(layout.dataset) is not None},
        "stale": stale,
    }


def _by_source(tasks: list[ScanTask], layout: Layout[Place]) -> dict[str, dict[str, int]]:
    sources: dict[str, dict[str, int]] = defaultdict(lambda: {"units": 0, "bytes": 0, "reused": 0, "rows": 0})
    manifests = map_concurrently(layout.out, lambda task: read_manifest(layout.unit_manifest(task.unit.id)), tasks)
    for task, manifest in zip(tasks, manifests, strict=True):
        entry = sources[task.unit.source]
        entry["units"] += 1
        entry["bytes"] += task.parts["input"]["bytes"]
        if manifest is not None:
            entry["reused"] += 1
            entry["rows"] += manifest["rows"]
    return dict(sources)


def print_plan(content: dict[str, Any]) -> None:
    """The plan as a table."""
    console = Console(markup=False, emoji=False)  # names are the user's
    table = Table(title=f"Plan of {content['name']}", title_justify="left")
    for name in ("source", "units", "bytes", "scanned already", "rows known"):
        table.add_column(name, justify="left" if name == "source" else "right")
    for name, entry in content["sources"].items():
        known = f"{entry['rows']:,}" if entry["reused"] else "after scan"
        table.add_row(name, f"{entry['units']:,}", f"{entry['bytes']:,}", f"{entry['reused']:,}", known)
    console.print(table)
    if content["stale"]:
        console.print(f"refused: {content['stale']}", style="bold red", markup=False)
        return
    for stage, done in content["stages"].items():
        console.print(f"{stage:<7} {'done, nothing to run' if done else 'runs'}")
