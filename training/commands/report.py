"""``qvl train report``: the command line only; heavy imports stay inside the command."""

from pathlib import Path
from typing import Annotated

import typer

from qvl.pipeline.base.terminal import say


def report(
    run: Annotated[
        Path, typer.Argument(metavar="RUN", help="Output of `qvl train run`, finished or not", show_default=False)
    ],
) -> None:
    """Write a run's curves, scores, spikes and quarantined samples to RUN/report.html, one self-contained file."""
    from qvl.training.pages.report.page import write_report

    say(str(write_report(run)))
