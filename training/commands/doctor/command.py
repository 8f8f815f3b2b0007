"""``qvl doctor``: the command line and its table."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from qvl.pipeline.base.terminal import print_json

if TYPE_CHECKING:
    from qvl.training.commands.doctor.check import Check

STYLES = {"ok": "green", "missing": "red", "none": "dim"}


def doctor(
    folder: Annotated[
        Path, typer.Option(help="Where results will go: checked for disk space and by a write test")
    ] = Path(),
    thorough: Annotated[
        bool, typer.Option("--thorough", help="Also start Ray and build DeepSpeed's optimizer, which takes minutes")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table")] = False,
) -> None:
    """Show what is installed and what is missing, with the command that fixes it. Exit 1 if the base lacks something."""
    from dataclasses import asdict

    from qvl.training.commands.doctor.engines import engines
    from qvl.training.commands.doctor.machine import machine
    from qvl.training.commands.doctor.packages import packages
    from qvl.training.commands.doctor.programs import programs

    checks = [*packages(), *machine(folder), *programs(), *engines(thorough)]
    failing = [check for check in checks if check.needed and check.state == "missing"]
    if as_json:
        print_json({"ok": not failing, "checks": [asdict(check) for check in checks]})
    else:
        print_checks(checks)
    raise typer.Exit(1 if failing else 0)


def print_checks(checks: list["Check"]) -> None:
    """Print a table by part, and how to fix what is missing."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    from qvl.pipeline.base.screen import Screen

    console = Screen()
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0), show_edge=False)
    for column in ("part", "what", "", "found"):
        table.add_column(column, overflow="fold")
    parts = list(dict.fromkeys(check.part for check in checks))
    for check in sorted(checks, key=lambda check: parts.index(check.part)):
        table.add_row(check.part, check.name, Text(check.state, STYLES[check.state]), check.found)
    console.print(table)
    missing = [check for check in checks if check.state == "missing"]
    for check in missing:
        importance = "needed" if check.needed else "optional"
        console.print("")
        console.print(f"{check.name} ({importance}): {check.found}", soft_wrap=True)
        console.print(f"  {check.repair}", soft_wrap=True)
    if not missing:
        console.print("", "everything is installed", sep="\n")
