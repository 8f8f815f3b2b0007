"""``qvl ground``: the command line of the grounding builder. Heavy imports stay inside the commands."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from qvl.pipeline.base.terminal import print_json, say
from qvl.pipeline.commands.curate import Destination, Json, RecipeFile, RunOptions, make_output
from qvl.pipeline.commands.option_groups import with_option_groups

if TYPE_CHECKING:
    from qvl.grounding_builder.build.source_pictures import SourcePictures

app = typer.Typer(
    no_args_is_help=True, help="Turn box annotations into grounding samples, and check box annotations in any file."
)

Data = Annotated[Path, typer.Argument(metavar="FILE", help="Shard (.tar), .json or .jsonl file", show_default=False)]
Images = Annotated[
    Path | None, typer.Option(help="Folder that image paths are relative to (default: the file's folder)")
]
Target = Annotated[Path, typer.Option("--output", "-o", help="Parquet file to write the list to")]


def source_pictures(recipe: Path) -> "SourcePictures":
    """The images of a recipe's input rows, for `qvl view`."""
    from qvl.grounding_builder.build.source_pictures import SourcePictures

    return SourcePictures(recipe)


@app.command()
@with_option_groups
def build(recipe: RecipeFile, output: Destination, options: RunOptions) -> None:
    """Build shards, ledger and report from annotations. An interrupted build resumes when run again."""
    from qvl.grounding_builder.build.recipe import load_recipe
    from qvl.grounding_builder.build.run import run

    loaded = load_recipe(recipe)
    make_output(output, options, lambda out, pool, progress: run(loaded, out, pool, progress, options.fresh))


@app.command()
def exclude(recipe: RecipeFile, output: Target, as_json: Json = False) -> None:
    """Write the exclusion list of a recipe's benchmarks to a file that `qvl curate` and `qvl text` read."""
    from qvl.grounding_builder.build.benchmarks import exclusion
    from qvl.grounding_builder.build.recipe import load_recipe
    from qvl.grounding_builder.build.run import write_exclusion
    from qvl.pipeline.storage.reader import Storage

    excluded = exclusion(load_recipe(recipe).exclude, Storage())
    write_exclusion(excluded, output)
    counts = {kind: len(values) for kind, values in excluded.entries.items()}
    if as_json:
        print_json(counts)
    else:
        say(f"{output}: " + ", ".join(f"{n:,} by {k}" for k, n in counts.items()))


@app.command()
def lint(file: Data, images: Images = None, as_json: Json = False) -> None:
    """Check the boxes in a file. Exits with 1 if something is wrong."""
    from qvl.grounding_builder.lint import lint_file, print_report

    report = lint_file(file, images)
    if as_json:
        print_json(asdict(report))
    else:
        print_report(file, report)
    raise typer.Exit(1 if report.findings else 0)
