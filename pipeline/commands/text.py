"""``qvl text``: the command line of text and dialogues. Heavy imports stay inside the command."""

import typer

from qvl.pipeline.commands.curate import Destination, RecipeFile, RunOptions, make_output
from qvl.pipeline.commands.option_groups import with_option_groups

app = typer.Typer(no_args_is_help=True, help="Convert text and dialogues into shards (tasks text and chat).")


@app.callback()
def text() -> None:
    """Convert text and dialogues, with or without pictures, into shards (tasks text and chat)."""


@app.command()
@with_option_groups
def build(recipe: RecipeFile, output: Destination, options: RunOptions) -> None:
    """Build shards, ledger and report from text files and dialogues. An interrupted build resumes."""
    from qvl.pipeline.builders.text.recipe import load_recipe
    from qvl.pipeline.builders.text.run import run

    loaded = load_recipe(recipe)
    make_output(output, options, lambda out, pool, progress: run(loaded, out, pool, progress, options.fresh))
