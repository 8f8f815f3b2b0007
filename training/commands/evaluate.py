"""``qvl eval``: the command line of the evaluation. Heavy imports stay inside the commands."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from qvl.pipeline.base.pool import open_pool
from qvl.pipeline.base.terminal import print_json, say
from qvl.pipeline.commands.curate import Output, RunOptions
from qvl.pipeline.commands.option_groups import with_option_groups
from qvl.training.commands.evaluate_options import AnsweringOptions, QuestionOptions

if TYPE_CHECKING:
    from qvl.pipeline.base.pool import Pool
    from qvl.training.evaluation.scores import EvaluationResult

app = typer.Typer(no_args_is_help=True, help="Score a model on held-out samples, and show its mistakes.")


Model = Annotated[Path, typer.Argument(metavar="MODEL", help="A model folder with its tokenizer", show_default=False)]


@app.callback()
def evaluation() -> None:
    """Captions, questions, grounding and OCR, with the metrics of the paper."""


@app.command()
@with_option_groups
def run(
    model: Model,
    questions: QuestionOptions,
    answering: AnsweringOptions,
    output: Output = Path("out/eval"),
    *,
    options: RunOptions,
) -> None:
    """Answer, score and report. The same command resumes. Under torchrun every process takes its share."""
    import os

    from qvl.pipeline.base.progress import RunProgress
    from qvl.pipeline.storage.system_errors import resumable
    from qvl.training.evaluation.answering.pieces import ModelSettings
    from qvl.training.evaluation.run import run as run_evaluation
    from qvl.training.evaluation.samples.selection import load_samples
    from qvl.training.evaluation.scores import result_json
    from qvl.training.process_group import evaluation_group

    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    selection = questions.selection()
    with resumable(output), evaluation_group() as group:
        pool = open_pool(options.workers, options.address)
        samples = load_samples(selection)
        device = _device(answering.device, group.local_rank, pool)
        settings = ModelSettings(model.resolve(), device, answering.dtype.value, answering.batch_size)
        result = run_evaluation(
            samples, selection.description(), output, settings, pool, RunProgress(), group, options.fresh
        )
    if group.is_first:
        if options.as_json:
            print_json(result_json(result))
        else:
            for line in summary(output, result):
                say(line)


def _device(requested: str, local: int, pool: "Pool") -> str:
    """The device of this process or of Ray's workers; ``auto`` is a GPU if there is one.

    Every process of torchrun takes a different GPU. A Ray worker sees only its own.
    """
    import torch

    if requested == "auto":
        requested = "cuda" if torch.cuda.is_available() or pool.resources().gpus > 0 else "cpu"
    return f"cuda:{local}" if requested == "cuda" else requested


def summary(output: Path, result: "EvaluationResult") -> list[str]:
    """A line per set, and the paths of the results."""
    lines = [f"{'set':<18}{'metric':<12}{'samples':>9}{'score':>9}{'± error':>9}{'unparsable':>12}"]
    for name, values in result.sets.items():
        numbers = f"{values.score:>9.2f}{values.standard_error:>9.2f}{values.counts.get('unparsable', 0):>12,}"
        lines.append(f"{name:<18}{values.metric:<12}{values.samples:>9,}{numbers}")
    return [*lines, f"scores   {output / 'scores.json'}", f"report   {output / 'report.html'}"]
