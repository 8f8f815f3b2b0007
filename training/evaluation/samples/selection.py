"""From the command's words to the samples that are asked: shards or a public file, a split, a limit, examples, prompts."""

from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

from qvl.pipeline.base.errors import RecipeError
from qvl.training.evaluation.samples.prompts import Style, chatml
from qvl.training.evaluation.samples.public import Source, read_public
from qvl.training.evaluation.samples.sample import Decoding, EvalSample, Metric
from qvl.training.evaluation.samples.shards import Split, Task, find_shards, read_shards
from qvl.training.evaluation.samples.subset import limited, with_shots

METRICS_OF: dict[Task, tuple[Metric, ...]] = {
    "caption": ("cider",),
    "vqa": ("vqa_score", "anls", "relaxed", "exact", "gqa", "choice"),
    "grounding": ("box", "grounded"),
    "ocr": ("ocr",),
}


@dataclass(frozen=True)
class EvalSelection:
    """What is evaluated: ``data`` names shards by path or URL, or public files (.json, .jsonl).

    ``images``, ``kind`` and ``style`` matter for public files alone.
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

    def words(self) -> dict[str, Any]:
        """For the results: no folders, nothing that does not matter."""
        split = {"share": self.share} if self.split != "all" else {}
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


def load_samples(asked: EvalSelection) -> list[EvalSample]:
    """The samples, in a fixed order. Raises RecipeError, DataError."""
    samples = limited(_read(asked, asked.data, asked.split), asked.limit, asked.seed)
    if asked.shots:
        other: Split = "all" if asked.shots_data or asked.split == "all" else "train"
        examples = _read(asked, asked.shots_data or asked.data, other)
        samples = with_shots(samples, examples, asked.shots, asked.seed)
    if asked.conversation:
        samples = [replace(sample, prompt=chatml(sample.prompt)) for sample in samples]
    return samples


def _read(asked: EvalSelection, data: tuple[str, ...], split: Split) -> list[EvalSample]:
    if asked.of_shards:
        shards = [shard for each in data for shard in find_shards(each)]
        samples = list(read_shards(shards, asked.tasks, split, asked.share, asked.seed))
        return [_changed(asked, sample) for sample in samples]
    if split != "all":
        raise RecipeError("--split is for shards; a public file is a split of its own")
    paths = tuple(Path(each) for each in data)
    images = (asked.images or paths[0].parent).resolve()
    samples = read_public(Source(paths, images, asked.style, asked.metric, asked.longest), asked.kind)
    allowed = {metric for task in asked.tasks for metric in METRICS_OF[task]}
    if samples[0].metric not in allowed:
        raise RecipeError(f"{paths[0]}: scored by {samples[0].metric}, which is not of --task {' '.join(asked.tasks)}")
    return samples


def _changed(asked: EvalSelection, sample: EvalSample) -> EvalSample:
    """With the metric and the length that were asked for, where they fit the sample's task."""
    metric = sample.metric
    if asked.metric is not None and metric in METRICS_OF["vqa"] and asked.metric in METRICS_OF["vqa"][:-1]:
        metric = asked.metric
    longest = asked.longest or sample.decoding.max_new
    return replace(sample, metric=metric, decoding=Decoding(longest, min(sample.decoding.min_new, longest)))
