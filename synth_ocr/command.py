"""The ``qvl ocr`` command line. Wiring only; heavy imports stay inside the commands."""

import typer

from qvl.pipeline.base.pool import open_pool
from qvl.pipeline.base.terminal import print_json, warn
from qvl.pipeline.commands.curate import Destination, RecipeFile, RunOptions
from qvl.pipeline.commands.option_groups import with_option_groups

app = typer.Typer(no_args_is_help=True, help="Render pages of text with exact, verified positions into shards.")


@app.callback()
def ocr() -> None:
    """Render scenes, PDF pages and HTML pages in English and Chinese."""


@app.command()
@with_option_groups
def build(recipe: RecipeFile, output: Destination = "out/ocr", *, options: RunOptions) -> None:
    """Render the pages of a recipe and pack them. An interrupted build resumes. Prints the verdicts and writes a report."""
    from qvl.pipeline.base.progress import RunProgress
    from qvl.pipeline.commands.summary import print_summary
    from qvl.pipeline.commit.records import plain
    from qvl.pipeline.storage.paths import parse_path
    from qvl.pipeline.storage.system_errors import resumable
    from qvl.synth_ocr.build.run import run

    out = parse_path(output)
    with resumable(out), RunProgress() as progress:
        built = run(recipe, out, open_pool(options.workers, options.address), progress, options.fresh)
    for note in built.notes:
        warn(f"note: {note}")
    if options.as_json:
        print_json({"dataset": plain(built.dataset), "report": str(built.report), "notes": built.notes})
    else:
        print_summary(out, built.dataset, built.report)
