"""The command ``qvl``: wiring only."""

import sys

import typer

import pipeline.command
from pipeline.errors import QvlError

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Curate image-text data at web scale and train a vision-language model from it.",
)
app.add_typer(pipeline.command.app, name="curate")


@app.callback()
def _root() -> None:
    """Keeps ``qvl`` a group of commands."""


def main() -> None:
    """Run the command; an error that the user can mend is one line and exit code 2."""
    try:
        app()
    except QvlError as error:
        sys.stderr.write(f"error: {error}\n")
        sys.exit(2)
