"""The command ``qvl``: wiring only."""

import sys
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

import qvl
from qvl.demo import demo
from qvl.failures import exit_status, readable_usage_errors
from qvl.grounding_builder import command as ground
from qvl.model.commands import command as model
from qvl.pipeline.base.errors import RecipeError
from qvl.pipeline.base.terminal import say, say_lines
from qvl.pipeline.commands import curate, plugin, text
from qvl.pipeline.commands.view import command as view_command
from qvl.synth_ocr import command as ocr
from qvl.training.commands import evaluate, mix, train
from qvl.training.commands.doctor.command import doctor


class Commands(TyperGroup):
    """The commands, whose usage errors quote arguments as all texts are shown."""

    def make_context(self, *args: Any, **options: Any) -> Any:
        with readable_usage_errors():
            return super().make_context(*args, **options)

    def invoke(self, ctx: Any) -> Any:
        with readable_usage_errors():
            return super().invoke(ctx)


app = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def print_version(asked: bool) -> None:
    """Print the installed version and exit if ``--version`` was given."""
    if asked:
        say(f"qvl {version('qvl')}")
        raise typer.Exit


@app.callback()
def options(
    show_version: Annotated[
        bool, typer.Option("--version", callback=print_version, is_eager=True, help="Print the version and exit")
    ] = False,
) -> None:
    """Curate image-text data at web scale and train a vision-language model from it."""


app.add_typer(curate.app, name="curate")
app.add_typer(ground.app, name="ground")
app.add_typer(ocr.app, name="ocr")
app.add_typer(text.app, name="text")
app.add_typer(plugin.app, name="plugin")
app.add_typer(model.app, name="model")
app.add_typer(train.app, name="train")
app.add_typer(evaluate.app, name="eval")
app.add_typer(mix.app, name="mix")
app.command()(view_command(ground.source_pictures))
app.command()(doctor)


@app.command()
def recipes(
    name: Annotated[
        str | None,
        typer.Argument(metavar="NAME", help="The recipe to print; without it all names are listed", show_default=False),
    ] = None,
) -> None:
    """List the recipes that come with the package, or print one to copy next to your data."""
    home = Path(str(qvl.__file__)).parent
    folders = [home / part / "recipes" for part in ("pipeline", "synth_ocr", "training")]
    paths = [(folder, path) for folder in folders for path in sorted(folder.rglob("*.yaml"))]
    found = {str(path.relative_to(folder).with_suffix("")): path for folder, path in paths}
    if name is None:
        for recipe, path in found.items():
            first = path.read_text("utf-8").splitlines()[0]
            say(f"{recipe:<24} {first.removeprefix('# ')}")
    elif name in found:
        say_lines(found[name].read_text("utf-8"))
    else:
        raise RecipeError(f"{name}: no such recipe; there are {', '.join(found)}")


app.command()(demo)


def main() -> None:
    """Run the command and exit with its status (``qvl.failures``)."""
    sys.exit(exit_status(app, sys.argv[1:]))
