"""``qvl curate whatif|solve|hash``: questions to a finished run, and lists of benchmark images."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from qvl.pipeline.base.errors import RecipeError
from qvl.pipeline.base.terminal import print_json, say, warn
from qvl.pipeline.base.verdicts import KEEP

if TYPE_CHECKING:
    from rich.table import Table

    from qvl.pipeline.finished.solve import Solved, Target
    from qvl.pipeline.finished.stored_columns import StoredColumns
    from qvl.pipeline.finished.whatif import WhatIfCounts

Finished = Annotated[str, typer.Argument(metavar="OUT", help="Output of a run: folder or URL", show_default=False)]
Changes = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="CHANGE...", help="FILTER.FIELD=VALUE or SOURCE.FILTER=null, e.g. clip.minimum=0.28 coyo.emoji=null"
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of tables")]


def whatif(
    out: Finished,
    changes: Changes = None,
    by: Annotated[str, typer.Option(help="Columns of the mix, separated by commas")] = "source,language",
    as_json: Json = False,
) -> None:
    """Count exactly what other thresholds would keep, from the stored columns. Does not read any images."""
    from dataclasses import asdict

    from qvl.pipeline.finished.changes import apply_changes
    from qvl.pipeline.finished.stored_columns import StoredColumns
    from qvl.pipeline.finished.whatif import whatif as ask
    from qvl.pipeline.storage.paths import parse_path

    stored = StoredColumns.open(parse_path(out))
    dimensions = [name for name in by.split(",") if name]
    counts = ask(stored, apply_changes(stored.recipe, changes or []), dimensions).counts()
    if as_json:
        print_json({"changes": changes or [], "dimensions": dimensions, **asdict(counts)})
    else:
        print_whatif(dimensions, counts)


def print_whatif(dimensions: list[str], counts: "WhatIfCounts") -> None:
    """Print the funnel and the mix, before and after."""
    from qvl.pipeline.base.screen import Screen

    console = Screen()
    console.print(_funnel_table(counts))
    console.print(_mix_table(dimensions, counts))
    console.print(
        f"{counts.rows:,} rows: {counts.kept_before:,} kept before, {counts.kept_after:,} after "
        f"({counts.gained:,} gained, {counts.lost:,} lost)",
    )
    for line in cautions(counts):
        console.print(line, style="yellow")


def _funnel_table(counts: "WhatIfCounts") -> "Table":
    """Rows by verdict, before and after."""
    from rich.table import Table

    from qvl.pipeline.finished.whatif import verdict_totals

    before, after = verdict_totals(counts.before), verdict_totals(counts.after)
    table = Table("verdict", title="Funnel", title_justify="left")
    for name in ("before", "after", "difference"):
        table.add_column(name, justify="right")
    for verdict in sorted({*before, *after}, key=lambda verdict: (verdict != KEEP, -before[verdict] - after[verdict])):
        difference = after[verdict] - before[verdict]
        table.add_row(verdict, f"{before[verdict]:,}", f"{after[verdict]:,}", f"{difference:+,}")
    return table


def _mix_table(dimensions: list[str], counts: "WhatIfCounts") -> "Table":
    """Rows by cell, before and after."""
    from rich.table import Table

    table = Table(*dimensions, title="Mix", title_justify="left")
    for name in ("rows", "kept before", "kept after", "gained", "lost", "share after"):
        table.add_column(name, justify="right")
    for cell in sorted(counts.by, key=lambda cell: (cell.cell[:1], -cell.rows)):
        share = cell.kept_after / counts.kept_after if counts.kept_after else 0.0
        numbers = (cell.rows, cell.kept_before, cell.kept_after, cell.gained, cell.lost)
        table.add_row(*cell.cell, *(f"{number:,}" for number in numbers), f"{share:.1%}")
    return table


def cautions(counts: "WhatIfCounts") -> list[str]:
    """Warnings about rows that the stored columns cannot judge."""
    lines = {
        "rows pass all filters before scoring but were never scored: counted neither as kept nor as lost": counts.unscored,
        "rows have no value for a changed filter and fail it": counts.missing,
        "rows that would be added were never compared with the benchmarks: counted as kept": counts.uncompared,
    }
    return [f"{rows:,} {text}" for text, rows in lines.items() if rows]


def solve(
    out: Finished,
    source: Annotated[str | None, typer.Option(help="Source to solve for")] = None,
    keep: Annotated[float | None, typer.Option(help="Share of its rows to keep, 0 to 1")] = None,
    threshold: Annotated[
        str, typer.Option(help="Threshold to change: FILTER.minimum or FILTER.maximum")
    ] = "clip.minimum",
    table2: Annotated[
        bool, typer.Option("--table2", help="Solve for all sources that have `table2:` in the recipe")
    ] = False,
    recipe: Annotated[Path | None, typer.Option(help="Recipe of the run, for --table2 and --write")] = None,
    write: Annotated[Path | None, typer.Option(help="Write the recipe with the solved thresholds here")] = None,
    as_json: Json = False,
) -> None:
    """Find the threshold that keeps a given share of a source, or the shares of the paper's Table 2."""
    from dataclasses import asdict

    from qvl.pipeline.finished.solve import Target
    from qvl.pipeline.finished.solve import solve as find
    from qvl.pipeline.finished.stored_columns import StoredColumns
    from qvl.pipeline.finished.write_solved import write_solved
    from qvl.pipeline.storage.paths import parse_path

    if table2 == (source is not None and keep is not None):
        raise typer.BadParameter("give --source and --keep, or --table2")
    if recipe is None and (table2 or write is not None):
        raise RecipeError("--table2 and --write need --recipe, the recipe of the run")
    stored = StoredColumns.open(parse_path(out))
    targets = _table2_targets(stored, recipe) if table2 and recipe else [Target(str(source), float(keep or 0))]
    solved = find(stored, targets, threshold)
    if write is not None and recipe is not None:
        write_solved(recipe, write, solved)
    if as_json:
        print_json([asdict(one) for one in solved])
    else:
        print_solved(solved, write)


def _table2_targets(stored: "StoredColumns", recipe: Path) -> list["Target"]:
    """The shares of Table 2 for the sources of a recipe that the output has."""
    from qvl.pipeline.finished.solve import table2_targets
    from qvl.pipeline.recipe.recipe import load_recipe

    present = {name for _, name in stored.units}
    return [target for target in table2_targets(load_recipe(recipe)) if target.source in present]


def print_solved(solved: list["Solved"], written: Path | None) -> None:
    """Print a line per source."""
    from rich.table import Table

    from qvl.pipeline.base.screen import Screen

    console = Screen()
    table = Table("source", "threshold", title="Solved", title_justify="left")
    for name in ("value", "asked for", "keeps", "without it"):
        table.add_column(name, justify="right")
    for one in solved:
        shares = (f"{share:.2%}" for share in (one.wanted, one.kept, one.without))
        table.add_row(one.source, one.threshold, f"{one.value:g}", *shares)
    console.print(table)
    for one in solved:
        if one.without < one.wanted:
            console.print(f"{one.source}: the other rules leave only {one.without:.2%}", style="yellow")
        if one.unscored:
            console.print(f"{one.source}: {one.unscored:,} rows were never scored", style="yellow")
    if written is not None:
        console.print(f"written  {written}")


def hash_images(
    folder: Annotated[Path, typer.Argument(help="Folder of benchmark images", exists=True, file_okay=False)],
    output: Annotated[Path, typer.Option("--output", "-o", help="List to write (parquet)")],
    name: Annotated[str | None, typer.Option(help="Name of the benchmark; by default that of the folder")] = None,
) -> None:
    """Write a list for `decontaminate:` with the hashes of benchmark images, by their bytes and by their appearance."""
    from qvl.pipeline.curate.selection.decontaminate import hash_folder

    hashed = hash_folder(folder, name or folder.resolve().name)
    hashed.exclusion.write(output)
    with_look = hashed.images - len(hashed.without_look)
    say(f"{output}: {hashed.images:,} images, {with_look:,} with a perceptual hash")
    for path in hashed.without_look[:5]:
        warn(f"only the bytes can be compared (a flat or corrupted image): {path}")
