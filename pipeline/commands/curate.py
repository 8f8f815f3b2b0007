"""``qvl curate``: the command line of the curation. Wiring only; heavy imports stay inside the commands."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from qvl.pipeline.commands.thresholds import hash_images, solve, whatif

if TYPE_CHECKING:
    from qvl.pipeline.base.pool import Pool
    from qvl.pipeline.base.progress import RunProgress
    from qvl.pipeline.storage.paths import AnyPath

    Make = Callable[[AnyPath, Pool, RunProgress], tuple[dict[str, Any], AnyPath]]

app = typer.Typer(no_args_is_help=True, help="Filter and deduplicate image-text pairs into WebDataset shards.")

RecipeFile = Annotated[Path, typer.Argument(metavar="RECIPE", help="YAML recipe", show_default=False)]
Output = Annotated[Path, typer.Option("--output", "-o", help="Folder that the results go to")]
Destination = Annotated[str, typer.Option("--output", "-o", help="Folder or URL (s3://...) that the results go to")]
Finished = Annotated[str, typer.Argument(metavar="OUT", help="Output of a run: folder or URL", show_default=False)]
Workers = Annotated[str, typer.Option(help="serial: this process; ray: all cores, or a cluster")]
Address = Annotated[str | None, typer.Option(help="Ray cluster to join, e.g. auto or HOST:6379")]
Fresh = Annotated[bool, typer.Option("--fresh", help="Discard what a changed recipe or input invalidates")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of tables")]


def open_pool(workers: str, address: str | None) -> "Pool":
    """The pool that the flags ask for. Raises RecipeError for an unknown word."""
    from qvl.pipeline.base.errors import RecipeError
    from qvl.pipeline.base.pool import RayPool, SerialPool

    if workers == "serial":
        return SerialPool()
    if workers == "ray":
        return RayPool(address)
    raise RecipeError(f"--workers {workers}: choose serial or ray")


def make_output(output: str, workers: str, address: str | None, as_json: bool, make: "Make") -> None:
    """Make an output by ``make(folder, pool, progress)``, which returns its dataset and report; then print them."""
    from qvl.pipeline.base.progress import RunProgress
    from qvl.pipeline.commands.summary import print_summary
    from qvl.pipeline.storage.paths import parse_path
    from qvl.pipeline.storage.system_errors import resumable

    out = parse_path(output)
    with resumable(out), RunProgress() as progress:
        dataset, report = make(out, open_pool(workers, address), progress)
    if as_json:
        typer.echo(json.dumps({"dataset": dataset, "report": str(report)}))
    else:
        print_summary(out, dataset, report)


@app.command()
def run(
    recipe: RecipeFile,
    output: Destination,
    workers: Workers = "serial",
    address: Address = None,
    fresh: Fresh = False,
    as_json: Json = False,
) -> None:
    """Scan, score, select and pack; resumes by itself. Ends with the funnel, the mix and the report."""
    from qvl.pipeline.curate.run import run as run_curation
    from qvl.pipeline.recipe.recipe import check_output, load_recipe
    from qvl.pipeline.report.page import write_report
    from qvl.pipeline.storage.paths import parse_path

    loaded = load_recipe(recipe)
    check_output(loaded, parse_path(output))

    def make(out: "AnyPath", pool: "Pool", progress: "RunProgress") -> tuple[dict[str, Any], "AnyPath"]:
        dataset = run_curation(loaded, out, pool, progress, fresh)
        return dataset, write_report(out, progress, loaded)

    make_output(output, workers, address, as_json, make)


@app.command()
def plan(
    recipe: RecipeFile,
    output: Destination,
    measured: Annotated[bool, typer.Option("--measure", help="Price it at this machine's rates")] = False,
    rate: Annotated[
        list[str] | None, typer.Option(help="Price it at STAGE=ROWS_PER_SECOND (scan, score, clip); repeatable")
    ] = None,
    as_json: Json = False,
) -> None:
    """What a run would do: units and bytes by source, what is reused, what runs, what stands in the way, what it costs."""
    from dataclasses import asdict

    from qvl.pipeline.curate.curation import Curation
    from qvl.pipeline.curate.plan import make_plan, print_plan
    from qvl.pipeline.curate.price import price, price_lines
    from qvl.pipeline.curate.rates import measure_rates, parse_rates
    from qvl.pipeline.recipe.recipe import check_output, load_recipe
    from qvl.pipeline.storage.paths import parse_path

    loaded, out = load_recipe(recipe), parse_path(output)
    check_output(loaded, out)
    planned = make_plan(loaded, out)
    rates = parse_rates(rate or [])
    if measured:
        found = measure_rates(loaded, Curation(loaded, out.resolve()).scan_tasks())
        clip_on = "gpu" if "clip" in rates.per_second else found.clip_on
        rates = replace(found, per_second={**found.per_second, **rates.per_second}, clip_on=clip_on)
    priced = price(loaded, planned.sources, rates) if rates.per_second else None
    if as_json:
        typer.echo(json.dumps({**asdict(planned), **({"price": asdict(priced)} if priced else {})}))
        return
    print_plan(planned)
    for line in price_lines(priced) if priced else ():
        typer.echo(line)


@app.command()
def audit(out: Finished, as_json: Json = False) -> None:
    """Add everything up again and read the shards back. Exit 1 with the first discrepancy."""
    from qvl.pipeline.finished.audit import audit as audit_output
    from qvl.pipeline.storage.paths import parse_path

    found = audit_output(parse_path(out))
    if as_json:
        typer.echo(json.dumps(found))
    elif found["discrepancy"] is None:
        gone = f", less {found['revoked']:,} samples taken down" if found["revoked"] else ""
        typer.echo(
            f"{out}: {found['rows']:,} rows = {found['kept']:,} kept + {found['dropped']:,} dropped; "
            f"{found['shards']} shards hold the {found['kept']:,} kept rows{gone}, byte for byte; dataset {found['hash']}"
        )
    else:
        typer.echo(f"{out}: {found['discrepancy']}", err=True)
    raise typer.Exit(0 if found["discrepancy"] is None else 1)


@app.command()
def trace(
    out: Finished,
    sample: Annotated[str | None, typer.Argument(help="Sample id (the key in the shards)")] = None,
    row: Annotated[tuple[str, int] | None, typer.Option(help="Source file and row", metavar="FILE ROW")] = None,
    as_json: Json = False,
) -> None:
    """Where a sample came from and where it went; why a source row was dropped."""
    from qvl.pipeline.finished.trace import print_trace, trace_row, trace_sample
    from qvl.pipeline.storage.paths import parse_path

    if (sample is None) == (row is None):
        raise typer.BadParameter("give a SAMPLE id, or --row FILE ROW")
    where = parse_path(out)
    content = trace_row(where, *row) if row is not None else trace_sample(where, str(sample))
    if as_json:
        typer.echo(json.dumps(content, default=str))
    else:
        print_trace(content)


app.command()(whatif)
app.command()(solve)
app.command("hash")(hash_images)
