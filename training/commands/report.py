"""``qvl train report``: wiring only; heavy imports stay inside."""

from pathlib import Path
from typing import Annotated

import typer


def report(
    run: Annotated[
        Path, typer.Argument(metavar="RUN", help="Output of `qvl train run`, finished or not", show_default=False)
    ],
) -> None:
    """Draw a run's curves, scores, spikes and quarantined samples into RUN/report.html: one file, nothing loaded."""
    from qvl.training.pages.report.page import write_report

    typer.echo(write_report(run))
