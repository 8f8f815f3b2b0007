"""``qvl text``: the command line of text and dialogues. Wiring only; heavy imports stay inside the command."""

import json

import typer

from pipeline.command import Address, Destination, Fresh, Json, RecipeFile, Workers, open_pool

app = typer.Typer(no_args_is_help=True, help="Running text and dialogues into shards (tasks text and chat).")


@app.callback()
def text() -> None:
    """Running text and dialogues, with or without pictures, into shards (tasks text and chat)."""


@app.command()
def build(
    recipe: RecipeFile,
    output: Destination,
    workers: Workers = "serial",
    address: Address = None,
    fresh: Fresh = False,
    as_json: Json = False,
) -> None:
    """Text files and dialogues to shards, ledger and report; resumes by itself."""
    from pipeline.errors import resumable
    from pipeline.progress import RunProgress
    from pipeline.store import place
    from pipeline.summary import print_summary
    from pipeline.text.recipe import load_recipe
    from pipeline.text.run import run

    loaded, out = load_recipe(recipe), place(output)
    with resumable(out), RunProgress() as progress:
        dataset, report = run(loaded, out, open_pool(workers, address), progress, fresh)
    if as_json:
        typer.echo(json.dumps({"dataset": dataset, "report": str(report)}))
    else:
        print_summary(out, dataset, report)
