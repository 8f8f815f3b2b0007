"""The figures of ``qvl mix``: what datasets hold, what each stage sees of them, and how that compares with the paper.

Counts in ``PartFigures`` are floats because JSON has always had them so; those in ``CellFigures`` are integers.
"""

from dataclasses import asdict, dataclass
from typing import Literal

from pydantic import JsonValue

StageKind = Literal["language", "pretrain", "multitask", "sft"]
TokenSource = Literal["measured", "encoded", "estimated"]
STAGE_FACTS = ("steps", "train_resolution", "length", "preflight")
"""Keys of a stage of training that a plain dataset does not have."""


@dataclass(frozen=True, slots=True)
class DatasetFigures:
    """A dataset: samples, shards, the hash of its content, and the bytes of its tars."""

    name: str
    samples: int
    shards: int
    hash: str
    bytes: int


@dataclass(frozen=True, slots=True)
class PartFigures:
    """One part of a mixture. ``counted``: how its tokens were counted, on ``counted_of`` samples.

    ``samples`` to ``tokens`` count every sample once; ``seen`` and ``tokens_seen`` count it ``epochs`` times. ``share`` and
    ``token_share`` are shares of all samples and tokens that the stage sees.
    """

    part: str
    counted: TokenSource
    counted_of: int
    samples: float
    images: float
    bytes: float
    characters: float
    tokens: float
    seen: float
    tokens_seen: float
    epochs: float
    share: float
    token_share: float


@dataclass(frozen=True, slots=True)
class CellFigures:
    """Samples of one task, source and language. ``seen`` and ``tokens``: as often as the stage sees them."""

    task: str
    source: str
    language: str
    samples: int
    images: int
    bytes: int
    seen: float
    tokens: float
    share: float
    token_share: float


@dataclass(frozen=True, slots=True)
class TaskShare:
    """A task's share of samples; ``name`` and ``paper`` are the paper's (Table 3), None where it has no such task."""

    task: str
    name: str | None
    share: float
    paper: float | None


@dataclass(frozen=True, slots=True)
class SourceShare:
    """A source's share of captions; ``name`` and ``paper`` are the paper's (Table 2), None where it has no such source."""

    source: str
    share: float
    name: str | None
    paper: float | None


@dataclass(frozen=True, slots=True)
class LanguageShare:
    """A language's share of captions, and the paper's share of it in stage 1."""

    language: str
    share: float
    paper: float | None


@dataclass(frozen=True, slots=True)
class PaperComparison:
    """Shares of samples next to the paper's. ``languages`` is empty if the stage has no captions."""

    tasks: list[TaskShare]
    sources: list[SourceShare]
    languages: list[LanguageShare]


@dataclass(frozen=True, slots=True)
class Preflight:
    """What a stage needs on ``world`` ranks. ``drawn``: samples of the whole stage.

    ``problems``: reasons why it will not run well; ``notes``: what else is worth knowing; one line each.
    """

    world: int
    drawn: int
    samples_per_step: float
    sequences_per_step: int
    micro_batches: int
    micro_batches_per_rank: int
    empty_share: float
    unusable_share: float
    shards: int
    problems: list[str]
    notes: list[str]


@dataclass(frozen=True, slots=True)
class StageMix:
    """What a stage sees. ``stage`` is None, as are ``steps`` to ``preflight``, where a dataset is looked at by itself.

    ``resolutions``: images by their shorter side; ``lengths``: samples by characters; lists by task, one number per bucket
    of ``RESOLUTIONS`` and ``LENGTHS`` (content.py).
    """

    name: str
    parts: list[PartFigures]
    cells: list[CellFigures]
    paper: PaperComparison
    resolutions: dict[str, list[float]]
    lengths: dict[str, list[float]]
    stage: StageKind | None = None
    steps: int | None = None
    train_resolution: int | None = None
    length: int | None = None
    preflight: Preflight | None = None


@dataclass(frozen=True, slots=True)
class RepeatedImages:
    """Images of one dataset; ``examples``: the id of a sample that shows a repeated image, and how often it is shown."""

    dataset: str
    images: int
    distinct: int
    repeated: int
    examples: list[tuple[str, int]]


@dataclass(frozen=True, slots=True)
class SharedImages:
    """Images that two datasets share. ``samples``: how many samples of each show them; ``examples``: pairs of ids."""

    datasets: tuple[str, str]
    images: int
    samples: list[int]
    examples: list[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Duplicates:
    """Images that are shown more than once, inside each dataset and across each pair of datasets."""

    inside: list[RepeatedImages]
    across: list[SharedImages]


@dataclass(frozen=True, slots=True)
class MixFigures:
    """Everything that ``qvl mix stats`` and ``qvl mix plan`` show. ``duplicates`` is None where they were not looked for."""

    name: str
    datasets: list[DatasetFigures]
    stages: list[StageMix]
    duplicates: Duplicates | None = None


@dataclass(frozen=True, slots=True)
class IdDifference:
    """Samples by id. ``changed``: in both datasets with different content; ``only``: in the first, in the second."""

    both: int
    changed: int
    only: list[int]
    examples: list[list[str]]
    changed_examples: list[str]


@dataclass(frozen=True, slots=True)
class ImageDifference:
    """Distinct images in both datasets, only in the first, and only in the second."""

    both: int
    only: list[int]


@dataclass(frozen=True, slots=True)
class ShareDifference:
    """Samples of a task, source or language in the first and the second dataset, and their shares."""

    name: str
    samples: list[int]
    shares: list[float]


@dataclass(frozen=True, slots=True)
class DatasetDifference:
    """How two datasets differ. Lists of two hold the first dataset's value, then the second's."""

    samples: list[int]
    hash: list[str]
    same_bytes: bool
    ids: IdDifference
    images: ImageDifference
    shares: dict[str, list[ShareDifference]]


def figures_json(figures: MixFigures) -> dict[str, JsonValue]:
    """The content of ``--json``: a stage without training has no keys of training."""
    content = asdict(figures)
    for stage in content["stages"]:
        for key in STAGE_FACTS:
            if stage[key] is None:
                del stage[key]
    return content
