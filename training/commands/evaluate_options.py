"""The options of ``qvl eval run``, in groups: what is asked, and how it is answered."""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from qvl.training.evaluation.samples.selection import EvalSelection


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


@dataclass(frozen=True, slots=True)
class QuestionOptions:
    """Which samples are asked about, and how they are worded."""

    data: Annotated[
        list[str], typer.Option("--data", help="Shards (folder, tar or URL) or a public file; can be repeated")
    ]
    task: Annotated[
        list[TaskName] | None, typer.Option("--task", help="Task to evaluate; can be repeated; all tasks by default")
    ] = None
    images: Annotated[
        Path | None, typer.Option(help="Folder of a public file's images; by default the folder of the file")
    ] = None
    kind: Annotated[
        str, typer.Option("--format", help="Format of a public file, if it cannot be told from its keys")
    ] = "auto"
    metric: Annotated[
        str | None, typer.Option(help="Metric instead of the set's own: vqa_score, anls, relaxed, exact")
    ] = None
    prompts: Annotated[Prompts, typer.Option(help="Prompts for public files: as released, or as in training")] = (
        Prompts.released
    )
    split: Annotated[Side, typer.Option(help="Side of the split by image to evaluate")] = Side.all
    share: Annotated[float, typer.Option(min=0, max=1, help="Share of images that is held out")] = 0.01
    seed: Annotated[int, typer.Option(help="Seed of the split, of --limit and of the examples")] = 0
    limit: Annotated[
        int | None, typer.Option(min=1, help="Maximum number of samples per dataset, chosen by the seed")
    ] = None
    shots: Annotated[int, typer.Option(min=0, help="Examples before each question")] = 0
    shots_data: Annotated[list[str] | None, typer.Option(help="Data for the examples, if not --data")] = None
    max_new: Annotated[
        int | None, typer.Option(min=1, help="Maximum number of tokens in an answer, instead of the dataset's own")
    ] = None
    conversation: Annotated[bool, typer.Option("--conversation", help="Ask in ChatML, as stage 3 trains")] = False

    def selection(self) -> "EvalSelection":
        """The samples that these options select. Raises RecipeError for an unknown metric."""
        from qvl.pipeline.base.errors import RecipeError
        from qvl.training.evaluation.samples.sample import METRICS
        from qvl.training.evaluation.samples.selection import EvalSelection

        if self.metric is not None and self.metric not in METRICS:
            raise RecipeError(f"--metric {self.metric}: unknown; choose one of {', '.join(METRICS)}")
        return EvalSelection(
            data=tuple(self.data), tasks=tuple(each.value for each in self.task or list(TaskName)), images=self.images,
            kind=self.kind, style=self.prompts.value, metric=self.metric, split=self.split.value, share=self.share,
            seed=self.seed, limit=self.limit, shots=self.shots, shots_data=tuple(self.shots_data or ()),
            longest=self.max_new, conversation=self.conversation,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class AnsweringOptions:
    """How the model answers."""

    batch_size: Annotated[int, typer.Option(min=1, help="Questions answered at once")] = 8
    device: Annotated[str, typer.Option(help="Device: auto, cpu, cuda, cuda:1, ...")] = "auto"
    dtype: Annotated[Precision, typer.Option(help="Floating-point format; auto: that of the weights")] = Precision.auto
