"""``qvl ocr``: the command line of the OCR pages. Wiring only; heavy imports stay inside the commands."""

import json

import typer

from pipeline.command import Address, Destination, Fresh, Json, RecipeFile, Workers, open_pool

app = typer.Typer(no_args_is_help=True, help="Render pages of text with exact, verified places into shards.")


@app.callback()
def ocr() -> None:
    """Scenes, PDF and HTML pages in English and Chinese."""


@app.command()
def build(
    recipe: RecipeFile,
    output: Destination = "out/ocr",
    workers: Workers = "serial",
    address: Address = None,
    fresh: Fresh = False,
    as_json: Json = False,
) -> None:
    """Make the pages of a recipe and pack them; resumes by itself. Ends with the funnel and the report."""
    from pipeline.build import build as build_dataset
    from pipeline.errors import resumable
    from pipeline.progress import RunProgress
    from pipeline.store import place
    from pipeline.summary import print_summary
    from synth_ocr.builder import OcrBuilder
    from synth_ocr.reading import read_back
    from synth_ocr.recipe import load_recipe
    from synth_ocr.report import write_report

    loaded, out = load_recipe(recipe), place(output)
    builder = OcrBuilder(loaded)
    with resumable(out), RunProgress() as progress:
        pool = open_pool(workers, address)
        dataset = build_dataset(
            builder, out, pool, progress, shard_rows=loaded.shard_rows, seed=loaded.seed, fresh=fresh
        )
        if loaded.read_back:
            read_back(out, loaded.read_back)
        report = write_report(out)
    if as_json:
        typer.echo(json.dumps({"dataset": dataset, "report": str(report)}))
    else:
        print_summary(out, dataset, report)
