"""What a run would do, before it does it."""

from dataclasses import dataclass

from rich.table import Table

from qvl.pipeline.base.errors import StaleError
from qvl.pipeline.base.screen import Screen
from qvl.pipeline.commit.layout import Layout
from qvl.pipeline.commit.manifests import read_manifest
from qvl.pipeline.curate.curation import Curation
from qvl.pipeline.curate.measuring.manifests import ScanManifest
from qvl.pipeline.curate.measuring.scan import ScanTask
from qvl.pipeline.curate.stale import refuse_stale
from qvl.pipeline.recipe.recipe import Recipe
from qvl.pipeline.storage.paths import AnyPath, map_concurrently


@dataclass(frozen=True, slots=True)
class SourcePlan:
    """A source's units and input bytes, the units that are scanned already, and the rows of these."""

    units: int
    bytes: int
    reused: int
    rows: int


@dataclass(frozen=True, slots=True)
class StagesDone:
    """The stages that have finished and would be reused as a whole."""

    scan: bool
    select: bool
    pack: bool


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run would do, by source and by stage. ``stale`` says why it would be refused, or is None."""

    name: str
    sources: dict[str, SourcePlan]
    stages: StagesDone
    stale: str | None


def make_plan(recipe: Recipe, out: AnyPath) -> Plan:
    """Compare the recipe and its input files with what ``out`` holds. Nothing is written."""
    out = out.resolve()
    curation, layout = Curation.open(recipe, out), Layout(out)
    tasks = curation.scan_tasks()
    stages = StagesDone(
        scan=layout.stage_manifest("scan").is_file(),
        select=layout.stage_manifest("select").is_file(),
        pack=layout.dataset.is_file(),
    )
    return Plan(recipe.name, _by_source(tasks, layout), stages, _why_refused(curation, tasks))


def _why_refused(curation: Curation, tasks: list[ScanTask]) -> str | None:
    try:
        refuse_stale(curation.recipe, curation.out, tasks, curation.plugins)
    except StaleError as error:
        return str(error)
    return None


def _by_source(tasks: list[ScanTask], layout: Layout[AnyPath]) -> dict[str, SourcePlan]:
    paths = [layout.unit_manifest(task.unit.id) for task in tasks]
    manifests = map_concurrently(layout.out, lambda path: read_manifest(path, ScanManifest), paths)
    sources: dict[str, list[tuple[ScanTask, ScanManifest | None]]] = {}
    for task, manifest in zip(tasks, manifests, strict=True):
        sources.setdefault(task.unit.source, []).append((task, manifest))
    return {
        source: SourcePlan(
            units=len(units),
            bytes=sum(task.input_bytes for task, _ in units),
            reused=sum(manifest is not None for _, manifest in units),
            rows=sum(manifest.rows for _, manifest in units if manifest is not None),
        )
        for source, units in sources.items()
    }


def print_plan(plan: Plan) -> None:
    """Print the plan as a table, and a line for each stage."""
    console = Screen()
    table = Table(title=f"Plan of {plan.name}", title_justify="left")
    for name in ("source", "units", "bytes", "scanned already", "rows known"):
        table.add_column(name, justify="left" if name == "source" else "right")
    for name, source in plan.sources.items():
        known = f"{source.rows:,}" if source.reused else "after scan"
        table.add_row(name, f"{source.units:,}", f"{source.bytes:,}", f"{source.reused:,}", known)
    console.print(table)
    if plan.stale:
        console.print(f"refused: {plan.stale}", style="bold red")
        return
    for stage in ("scan", "select", "pack"):
        console.print(f"{stage:<7} {'done, nothing to run' if getattr(plan.stages, stage) else 'runs'}")
