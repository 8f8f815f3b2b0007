"""Which samples an evaluation asks about: shards or public files, a split, a limit, few-shot examples, prompts."""

from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from pydantic import JsonValue

from qvl.pipeline.base.errors import RecipeError
from qvl.training.evaluation.samples.prompts import Style, chatml
from qvl.training.evaluation.samples.public import PublicSet, read_public
from qvl.training.evaluation.samples.sample import Decoding, EvalSample, Metric
from qvl.training.evaluation.samples.shards import Split, Task, find_shards, read_shards
from qvl.training.evaluation.samples.subset import limited, with_shots

METRICS_OF: dict[Task, tuple[Metric, ...]] = {
    "caption": ("cider",),
    "vqa": ("vqa_score", "anls", "relaxed", "exact", "gqa", "choice"),
    "grounding": ("box", "grounded"),
    "ocr": ("ocr",),
}
CHOSEN_BY_LIKELIHOOD: Metric = "choice"


@dataclass(frozen=True, slots=True)
class EvalSelection:
    """What is evaluated. ``data`` names shards by path or URL, or public files (.json, .jsonl).

    ``images``, ``kind`` and ``style`` apply to public files only. ``longest``: the most tokens of an answer, instead of the
    metric's own number. ``conversation``: ask in ChatML, as stage 3 trains.
    """

    data: tuple[str, ...]
    tasks: tuple[Task, ...]
    images: Path | None = None
    kind: str = "auto"
    style: Style = "released"
    metric: Metric | None = None
    split: Split = "all"
    share: float = 0.01
    seed: int = 0
    limit: int | None = None
    shots: int = 0
    shots_data: tuple[str, ...] = ()
    longest: int | None = None
    conversation: bool = False

    def description(self) -> dict[str, JsonValue]:
        """The selection as the results state it: without folders, and without what does not apply."""
        split: dict[str, JsonValue] = {"share": self.share} if self.split != "all" else {}
        return {
            "data": [PurePosixPath(path).name for path in self.data],
            "tasks": list(self.tasks),
            "metric": self.metric,
            "prompts": "training" if self.of_shards else self.style,
            "split": self.split,
            **split,
            "seed": self.seed,
            "limit": self.limit,
            "shots": self.shots,
            "longest": self.longest,
            "conversation": self.conversation,
        }

    @property
    def of_shards(self) -> bool:
        return not any(path.endswith((".json", ".jsonl")) for path in self.data)


def load_samples(selection: EvalSelection) -> list[EvalSample]:
    """The selected samples in a fixed order. Raises RecipeError, DataError."""
    samples = limited(_read(selection, selection.data, selection.split), selection.limit, selection.seed)
    if selection.shots:
        split: Split = "all" if selection.shots_data or selection.split == "all" else "train"
        examples = _read(selection, selection.shots_data or selection.data, split)
        samples = with_shots(samples, examples, selection.shots, selection.seed)
    if selection.conversation:
        samples = [replace(sample, prompt=chatml(sample.prompt)) for sample in samples]
    return samples


def shortened(sample: EvalSample, longest: int) -> EvalSample:
    """The sample with ``longest`` as the most tokens of its answer."""
    return replace(sample, decoding=Decoding(longest, min(sample.decoding.min_new, longest)))


def _read(selection: EvalSelection, data: tuple[str, ...], split: Split) -> list[EvalSample]:
    if selection.of_shards:
        shards = [shard for each in data for shard in find_shards(each)]
        samples = list(read_shards(shards, selection.tasks, split, selection.share, selection.seed))
        return [_adapted(selection, sample) for sample in samples]
    if split != "all":
        raise RecipeError("--split applies to shards only; a public file is already one split")
    paths = tuple(Path(each) for each in data)
    images = (selection.images or paths[0].parent).resolve()
    public = PublicSet(paths, images, selection.style, selection.metric, selection.longest)
    samples = read_public(public, selection.kind)
    allowed = {metric for task in selection.tasks for metric in METRICS_OF[task]}
    if samples[0].metric not in allowed:
        raise RecipeError(
            f"{paths[0]}: is scored by {samples[0].metric}, which does not belong to --task {' '.join(selection.tasks)}"
        )
    return samples


def _adapted(selection: EvalSelection, sample: EvalSample) -> EvalSample:
    """The sample with the selection's metric, if it fits the sample's task, and its longest answer."""
    replaceable = [metric for metric in METRICS_OF["vqa"] if metric != CHOSEN_BY_LIKELIHOOD]
    metric = sample.metric
    if sample.metric in METRICS_OF["vqa"] and selection.metric in replaceable:
        metric = selection.metric
    return shortened(replace(sample, metric=metric), selection.longest or sample.decoding.max_new)
