"""The command ``qvl``: wiring only."""

import sys
from pathlib import Path

import typer

import grounding_builder.command
import model.command
import pipeline.command
import pipeline.text.command
import pipeline.view.command
import synth_ocr.command
import training.evaluation.command
from pipeline.errors import QvlError, RecipeError

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Curate image-text data at web scale and train a vision-language model from it.",
)
app.add_typer(pipeline.command.app, name="curate")
app.add_typer(grounding_builder.command.app, name="ground")
app.add_typer(synth_ocr.command.app, name="ocr")
app.add_typer(pipeline.text.command.app, name="text")
app.add_typer(model.command.app, name="model")
app.add_typer(training.evaluation.command.app, name="eval")
app.command()(pipeline.view.command.view)


EXAMPLES = Path(__file__).parent / "examples"


@app.command()
def demo(
    output: pipeline.command.Output = Path("out/demo"),
    workers: pipeline.command.Workers = "serial",
    fresh: pipeline.command.Fresh = False,
) -> None:
    """Curate the shipped corpus: real pairs in, shards, ledger and report out."""
    recipe = EXAMPLES / "demo.yaml"
    if not recipe.is_file():
        raise RecipeError(f"{recipe}: the demo needs a checkout of the repository; the wheel does not carry its corpus")
    pipeline.command.run(recipe, output, workers, None, fresh, False)


def main() -> None:
    """Run the command; an error that the user can mend is one line and exit code 2."""
    try:
        app()
    except QvlError as error:
        sys.stderr.write(f"error: {error}\n")
        sys.exit(2)
