"""``qvl plugin``: test plug-ins on their own, and begin a new one. Heavy imports stay inside the commands."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from qvl.pipeline.base.errors import RecipeError
from qvl.pipeline.base.terminal import say

if TYPE_CHECKING:
    import pyarrow as pa

    from qvl.pipeline.curate.measuring.plugin_check import CheckedPlugin

app = typer.Typer(no_args_is_help=True, help="Test plug-ins on their own, and begin new ones.")

SCAFFOLD = '''"""What this plug-in measures."""

import pyarrow as pa
import pyarrow.compute as pc

import qvl


class {kind}(qvl.Column):
    """The number of characters of a caption. Change the three parts below; `qvl plugin check` tests them."""

    reads = ("caption",)  # columns of scan, or columns that the recipe carries along
    writes = {{"{name}": pa.int32()}}  # new columns and their types

    def apply(self, batch: pa.RecordBatch) -> pa.Array:
        return pc.utf8_length(batch["caption"])
'''


@app.callback()
def plugin() -> None:
    """Test plug-ins on their own, and begin new ones."""


@app.command()
def check(
    module: Annotated[str, typer.Argument(help="File (my_ops.py), module or entry point", show_default=False)],
    on: Annotated[
        str | None, typer.Option(metavar="OUT", help="Output of a run whose rows are used instead of sample rows")
    ] = None,
) -> None:
    """Test every operator of a plug-in: types, purity, nulls, speed, identity. The status is 1 if one fails a test."""
    from qvl.pipeline.curate.measuring.plugin_check import check_column, sample_rows
    from qvl.pipeline.curate.measuring.scorer_check import check_scorer
    from qvl.pipeline.plugins.operators import load_plugins
    from qvl.pipeline.recipe.plugins import PluginModule

    plugins = load_plugins([PluginModule(module=module)])
    checked = [check_scorer(each) for each in plugins.scorers]
    if plugins.columns:
        rows = sample_rows() if on is None else rows_of(on)
        checked = [*(check_column(each, rows) for each in plugins.columns), *checked]
    for each in checked:
        print_checked(each)
    if not all(each.passed for each in checked):
        raise typer.Exit(1)


def rows_of(out: str) -> "pa.Table":
    """The scanned rows of one unit of an output, with what it carries along. Raises RecipeError where there are none."""
    from qvl.pipeline.curate.measuring.columns import read_columns
    from qvl.pipeline.storage.paths import parse_path

    folder = parse_path(out)
    units = sorted(path.stem for path in (folder / "manifests" / "scan").glob("*.json"))
    for unit in units:
        rows = read_columns(folder, unit)
        if len(rows):
            return rows
    raise RecipeError(f"--on {out}: no scanned rows are there; `qvl curate run` makes some")


def print_checked(checked: "CheckedPlugin") -> None:
    """Print the findings about one operator."""
    columns = ", ".join(f"{name} ({kind})" for name, kind in checked.columns.items())
    say(f"{checked.name}  writes {columns}")
    for finding in checked.findings:
        say(f"  {'ok    ' if finding.problem is None else 'FAILED'}  {finding.what}")
        if finding.problem is not None:
            say(f"          {finding.problem}")
    if checked.rows_per_second:
        micros = 1e6 / checked.rows_per_second
        say(f"  speed     {checked.rows_per_second:,.0f} rows per CPU second, {micros:.2f} microseconds per row")
    for note in checked.notes:
        say(f"  note      {note}")
    say(f"  identity  {checked.fingerprint}")


@app.command()
def new(
    path: Annotated[Path, typer.Argument(help="File to write, such as my_ops.py", show_default=False)],
) -> None:
    """Write the beginning of a plug-in, which runs as it is."""
    name = path.stem
    if path.suffix != ".py" or not name.isidentifier():
        raise RecipeError(f"{path}: name a file such as my_ops.py, of letters, digits and _")
    if path.exists():
        raise RecipeError(f"{path} exists already")
    kind = "".join(part.capitalize() for part in name.split("_") if part) or "Plugin"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(SCAFFOLD.format(kind=kind, name=f"{name.lower()}_length"), "utf-8")
    say(f"{path}  written; test it with `qvl plugin check {path}`, use it with `plugins: [{path.name}]` in a recipe")
