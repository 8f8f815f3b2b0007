"""``qvl train experiment``: the command line. Heavy imports stay inside the command."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from qvl.pipeline.base.errors import SIGNALLED
from qvl.pipeline.base.terminal import print_json, say, warn
from qvl.pipeline.storage.system_errors import resumable

if TYPE_CHECKING:
    from qvl.training.pages.experiments.results import ExperimentResults


def experiment(
    recipe: Annotated[Path, typer.Argument(metavar="RECIPE", help="YAML of an experiment", show_default=False)],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder of the results; the same command resumes")],
    trained: Annotated[
        Path | None,
        typer.Option(help="Folder of trained stages, which experiments may share; OUTPUT/trained by default"),
    ] = None,
    seeds: Annotated[
        int | None, typer.Option(min=1, help="Use only this many seeds of the recipe, from the first")
    ] = None,
    only: Annotated[list[str] | None, typer.Option("--only", help="Run only this arm; can be repeated")] = None,
    processes: Annotated[int, typer.Option(min=1, help="Training processes: one per GPU")] = 1,
    loader_workers: Annotated[int, typer.Option(min=0, help="Loader processes for each training process")] = 2,
    device: Annotated[str, typer.Option(help="Device on which models answer: auto, cpu, cuda, cuda:1, ...")] = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table")] = False,
) -> None:
    """Train every arm with every seed, ask all models the same held-out questions, and write one page."""
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    with _stdout_to_stderr():
        import torch

        from qvl.training.pages.experiments.recipe import load_experiment
        from qvl.training.pages.experiments.run import RunSettings, run_experiment

        loaded = load_experiment(recipe)
        chosen = ("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device
        settings = RunSettings(
            output.resolve(), (trained or output / "trained").resolve(), chosen, processes, loader_workers
        )
        with resumable(output):
            results = run_experiment(loaded, settings, warn, seeds, tuple(only or ()))
    if results is None:
        warn("stopped at a checkpoint; the same command resumes from there")
        raise typer.Exit(SIGNALLED)
    _print_results(results, output, as_json)


def _print_results(results: "ExperimentResults", output: Path, as_json: bool) -> None:
    from qvl.training.pages.experiments.results import results_json

    if as_json:
        print_json(results_json(results))
    else:
        for line in _table(results, output):
            say(line)


@contextmanager
def _stdout_to_stderr() -> Iterator[None]:
    """Send what trainings and libraries print to standard error, also while they are imported: stdout is for results."""
    sys.stdout.flush()  # noqa: TID251 - nothing is printed
    original = os.dup(1)
    os.dup2(2, 1)
    try:
        yield
    finally:
        sys.stdout.flush()  # noqa: TID251
        os.dup2(original, 1)
        os.close(original)


def _table(results: "ExperimentResults", output: Path) -> list[str]:
    """A line per ask and measure, with a column per arm."""
    from qvl.training.pages.experiments.estimate import estimate
    from qvl.training.pages.experiments.page import NAMES, shown
    from qvl.training.pages.experiments.results import MEASURES

    width = max(16, *(len(arm) + 2 for arm in results.arms))
    lines = [f"{'ask':<18}{'measure':<38}" + "".join(f"{arm:>{width}}" for arm in results.arms)]
    for ask in results.experiment.ask:
        for measure in MEASURES:
            found = [estimate(results.values(arm), measure, results.indexes(ask.name)) for arm in results.arms]
            if any(found):
                texts = [f"{shown(e.mean, measure)} ± {shown(e.error, measure)}" if e else "–" for e in found]
                lines.append(f"{ask.name:<18}{NAMES[measure]:<38}" + "".join(f"{text:>{width}}" for text in texts))
    return [*lines, f"results  {output / 'results.json'}", f"page     {output / 'index.html'}"]
