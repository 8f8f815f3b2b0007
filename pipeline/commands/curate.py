"""``qvl curate``: the command line of the curation. Heavy imports stay inside the commands."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from qvl.pipeline.base.terminal import print_json, say, warn
from qvl.pipeline.commands.option_groups import with_option_groups
from qvl.pipeline.commands.thresholds import hash_images, solve, whatif

if TYPE_CHECKING:
    from collections.abc import Callable

    from qvl.pipeline.base.pool import Pool
    from qvl.pipeline.base.progress import RunProgress
    from qvl.pipeline.shards.manifests import DatasetManifest
    from qvl.pipeline.storage.paths import AnyPath

app = typer.Typer(no_args_is_help=True, help="Filter and deduplicate image-text pairs into WebDataset shards.")

RecipeFile = Annotated[Path, typer.Argument(metavar="RECIPE", help="YAML recipe", show_default=False)]
Output = Annotated[Path, typer.Option("--output", "-o", help="Folder for the results")]
Destination = Annotated[str, typer.Option("--output", "-o", help="Folder or URL (s3://...) for the results")]
Finished = Annotated[str, typer.Argument(metavar="OUT", help="Output of a run: folder or URL", show_default=False)]
Workers = Annotated[str, typer.Option(help="serial: this process; ray: all cores or a cluster")]
Address = Annotated[str | None, typer.Option(help="Ray cluster to join, e.g. auto or HOST:6379")]
Fresh = Annotated[bool, typer.Option("--fresh", help="Discard results that a changed recipe or input has invalidated")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of tables")]


@dataclass(frozen=True, slots=True)
class RunOptions:
    """The options of every command that makes an output: who works, and what is discarded and printed."""

    workers: Workers = "serial"
    address: Address = None
    fresh: Fresh = False
    as_json: Json = False


def make_output(
    output: str,
    options: RunOptions,
    make: "Callable[[AnyPath, Pool, RunProgress], tuple[DatasetManifest, AnyPath]]",
) -> None:
    """Create an output with ``make(folder, pool, progress)``, which returns its dataset and report, and print both."""
    from qvl.pipeline.base.pool import open_pool
    from qvl.pipeline.base.progress import RunProgress
    from qvl.pipeline.storage.paths import parse_path
    from qvl.pipeline.storage.system_errors import resumable

    out = parse_path(output)
    with resumable(out), RunProgress() as progress:
        dataset, report = make(out, open_pool(options.workers, options.address), progress)
    print_dataset(out, dataset, report, options.as_json)


def print_dataset(out: "AnyPath", dataset: "DatasetManifest", report: "AnyPath", as_json: bool) -> None:
    """Print a finished output, as tables or as JSON."""
    from qvl.pipeline.commands.summary import print_summary
    from qvl.pipeline.commit.records import plain

    if as_json:
        print_json({"dataset": plain(dataset), "report": str(report)})
    else:
        print_summary(out, dataset, report)


@app.command()
@with_option_groups
def run(recipe: RecipeFile, output: Destination, options: RunOptions) -> None:
    """Scan, score, select and pack. An interrupted run resumes. Prints the funnel and the mix, and writes a report."""
    from qvl.pipeline.api.curation import curate
    from qvl.pipeline.storage.paths import parse_path
    from qvl.pipeline.storage.system_errors import resumable

    with resumable(parse_path(output)):
        finished = curate(recipe, output, workers=options.workers, address=options.address, fresh=options.fresh)
    print_dataset(parse_path(output), finished.dataset, finished.report, options.as_json)


@app.command()
def plan(
    recipe: RecipeFile,
    output: Destination,
    measured: Annotated[
        bool, typer.Option("--measure", help="Estimate the cost at rates measured on this machine")
    ] = False,
    rate: Annotated[
        list[str] | None,
        typer.Option(help="Estimate the cost at STAGE=ROWS_PER_SECOND (scan, score, clip); repeatable"),
    ] = None,
    as_json: Json = False,
) -> None:
    """Show what a run would do: units and bytes by source, what it would reuse and compute, problems, and cost."""
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
        found = measure_rates(loaded, Curation.open(loaded, out.resolve()).scan_tasks())
        clip_on = "gpu" if "clip" in rates.per_second else found.clip_on
        rates = replace(found, per_second={**found.per_second, **rates.per_second}, clip_on=clip_on)
    priced = price(loaded, planned.sources, rates) if rates.per_second else None
    if as_json:
        print_json({**asdict(planned), **({"price": asdict(priced)} if priced else {})})
        return
    print_plan(planned)
    for line in price_lines(priced) if priced else ():
        say(line)


@app.command()
def audit(out: Finished, as_json: Json = False) -> None:
    """Recount all rows and read the shards back. Exits with 1 at the first discrepancy."""
    from dataclasses import asdict

    from qvl.pipeline.api.output import open_output

    found = open_output(out).audit()
    if as_json:
        print_json(asdict(found))
    elif found.discrepancy is None:
        revoked = f", less {found.revoked:,} samples taken down" if found.revoked else ""
        say(
            f"{out}: {found.rows:,} rows = {found.kept:,} kept + {found.dropped:,} dropped; "
            f"{found.shards} shards hold the {found.kept:,} kept rows{revoked}, byte for byte; dataset {found.hash}"
        )
    else:
        warn(f"{out}: {found.discrepancy}")
    raise typer.Exit(0 if found.discrepancy is None else 1)


@app.command()
def trace(
    out: Finished,
    sample: Annotated[str | None, typer.Argument(help="Sample id (the key in the shards)")] = None,
    row: Annotated[tuple[str, int] | None, typer.Option(help="Source file and row", metavar="FILE ROW")] = None,
    as_json: Json = False,
) -> None:
    """Show where a sample came from and where it is, or why a source row was dropped."""
    from qvl.pipeline.finished.trace import print_trace, trace_row, trace_sample
    from qvl.pipeline.storage.paths import parse_path

    if (sample is None) == (row is None):
        raise typer.BadParameter("give a SAMPLE id, or --row FILE ROW")
    folder = parse_path(out)
    found = trace_row(folder, *row) if row is not None else trace_sample(folder, str(sample))
    if as_json:
        print_json(found.content())
    else:
        print_trace(found)


app.command()(whatif)
app.command()(solve)
app.command("hash")(hash_images)
