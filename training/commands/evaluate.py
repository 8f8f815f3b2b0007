"""``qvl eval``: the command line of the evaluation. Heavy imports stay inside the commands."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from qvl.pipeline.base.pool import open_pool
from qvl.pipeline.base.terminal import print_json, say
from qvl.pipeline.commands.curate import Address, Fresh, Json, Output, Workers

if TYPE_CHECKING:
    from qvl.pipeline.base.pool import Pool
    from qvl.training.evaluation.scores import EvaluationResult

app = typer.Typer(no_args_is_help=True, help="Score a model on held-out samples, and show its mistakes.")


class TaskName(StrEnum):
    """The tasks that can be evaluated."""

    caption = "caption"
    vqa = "vqa"
    grounding = "grounding"
    ocr = "ocr"


class Side(StrEnum):
    """The sides of the split by image."""

    all = "all"
    heldout = "heldout"
    train = "train"


class Prompts(StrEnum):
    """The prompts for public files; shards have their own."""

    released = "released"
    training = "training"


class Precision(StrEnum):
    """The floating-point format of the computation."""

    auto = "auto"
    float32 = "float32"
    bfloat16 = "bfloat16"
    float16 = "float16"


Model = Annotated[Path, typer.Argument(metavar="MODEL", help="A model folder with its tokenizer", show_default=False)]
Data = Annotated[
    list[str], typer.Option("--data", help="Shards (folder, tar or URL) or a public file; can be repeated")
]
Tasks = Annotated[
    list[TaskName] | None, typer.Option("--task", help="Task to evaluate; can be repeated; all tasks by default")
]


@app.callback()
def evaluation() -> None:
    """Captions, questions, grounding and OCR, with the metrics of the paper."""


@app.command()
def run(
    model: Model,
    data: Data,
    task: Tasks = None,
    output: Output = Path("out/eval"),
    images: Annotated[
        Path | None, typer.Option(help="Folder of a public file's images; by default the folder of the file")
    ] = None,
    kind: Annotated[
        str, typer.Option("--format", help="Format of a public file, if it cannot be told from its keys")
    ] = "auto",
    metric: Annotated[
        str | None, typer.Option(help="Metric instead of the set's own: vqa_score, anls, relaxed, exact")
    ] = None,
    prompts: Annotated[
        Prompts, typer.Option(help="Prompts for public files: as released, or as in training")
    ] = Prompts.released,
    split: Annotated[Side, typer.Option(help="Side of the split by image to evaluate")] = Side.all,
    share: Annotated[float, typer.Option(min=0, max=1, help="Share of images that is held out")] = 0.01,
    seed: Annotated[int, typer.Option(help="Seed of the split, of --limit and of the examples")] = 0,
    limit: Annotated[
        int | None, typer.Option(min=1, help="Maximum number of samples per dataset, chosen by the seed")
    ] = None,
    shots: Annotated[int, typer.Option(min=0, help="Examples before each question")] = 0,
    shots_data: Annotated[list[str] | None, typer.Option(help="Data for the examples, if not --data")] = None,
    max_new: Annotated[
        int | None, typer.Option(min=1, help="Maximum number of tokens in an answer, instead of the dataset's own")
    ] = None,
    conversation: Annotated[bool, typer.Option("--conversation", help="Ask in ChatML, as stage 3 trains")] = False,
    batch_size: Annotated[int, typer.Option(min=1, help="Questions answered at once")] = 8,
    device: Annotated[str, typer.Option(help="Device: auto, cpu, cuda, cuda:1, ...")] = "auto",
    dtype: Annotated[Precision, typer.Option(help="Floating-point format; auto: that of the weights")] = Precision.auto,
    workers: Workers = "serial",
    address: Address = None,
    fresh: Fresh = False,
    as_json: Json = False,
) -> None:
    """Answer, score and report. The same command resumes. Under torchrun every process takes its share."""
    import os

    from qvl.pipeline.base.errors import RecipeError
    from qvl.pipeline.base.progress import RunProgress
    from qvl.pipeline.storage.system_errors import resumable
    from qvl.training.evaluation.answering.pieces import ModelSettings
    from qvl.training.evaluation.run import run as run_evaluation
    from qvl.training.evaluation.samples.sample import METRICS
    from qvl.training.evaluation.samples.selection import EvalSelection, load_samples
    from qvl.training.evaluation.scores import result_json
    from qvl.training.process_group import evaluation_group

    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    if metric is not None and metric not in METRICS:
        raise RecipeError(f"--metric {metric}: unknown; choose one of {', '.join(METRICS)}")
    selection = EvalSelection(
        data=tuple(data), tasks=tuple(each.value for each in task or list(TaskName)), images=images, kind=kind,
        style=prompts.value, metric=metric, split=split.value, share=share, seed=seed, limit=limit, shots=shots,
        shots_data=tuple(shots_data or ()), longest=max_new, conversation=conversation,
    )  # fmt: skip
    with resumable(output), evaluation_group() as group:
        pool = open_pool(workers, address)
        samples = load_samples(selection)
        settings = ModelSettings(model.resolve(), _device(device, group.local_rank, pool), dtype.value, batch_size)
        result = run_evaluation(samples, selection.description(), output, settings, pool, RunProgress(), group, fresh)
    if group.is_first:
        if as_json:
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
