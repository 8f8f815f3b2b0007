"""``qvl text``: the command line of text and dialogues. Wiring only; heavy imports stay inside the command."""

import json

import typer

from pipeline.command import Address, Fresh, Json, Output, RecipeFile, Workers, open_pool

app = typer.Typer(no_args_is_help=True, help="Running text and dialogues into shards (tasks text and chat).")


@app.callback()
def text() -> None:
    """Running text and dialogues, with or without pictures, into shards (tasks text and chat)."""


@app.command()
def build(
    recipe: RecipeFile,
    output: Output,
    workers: Workers = "serial",
    address: Address = None,
    fresh: Fresh = False,
    as_json: Json = False,
) -> None:
    """Text files and dialogues to shards, ledger and report; resumes by itself."""
    from pipeline.build import build as build_dataset
    from pipeline.errors import resumable
    from pipeline.progress import RunProgress
    from pipeline.store import place
    from pipeline.summary import print_summary
    from pipeline.text.builder import text_builder
    from pipeline.text.recipe import load_recipe
    from pipeline.text.report import write_report

    loaded, out = load_recipe(recipe), place(output)
    with resumable(out), RunProgress() as progress:
        pool = open_pool(workers, address)
        builder = text_builder(loaded)
        dataset = build_dataset(
            builder, out, pool, progress, shard_rows=loaded.shard_rows, seed=loaded.seed, fresh=fresh
        )
        report = write_report(out)
    if as_json:
        typer.echo(json.dumps({"dataset": dataset, "report": str(report)}))
    else:
        print_summary(out, dataset, report)
