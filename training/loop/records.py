"""What a run writes down, as typed records: the run, a stage's start, checkpoints, and the lines of a stage's logs.

Every file is written and read through the classes here. A key that is unknown or missing is a DataError that names the file.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from pydantic import JsonValue

from qvl.pipeline.storage.atomic import replace_file
from qvl.training.data.steps import STREAM_START, StreamState


@dataclass(frozen=True, slots=True)
class RunManifest:
    """RUN/run.json. ``datasets``: their hashes by name; a run that began before they were recorded has none."""

    recipe: dict[str, JsonValue]
    fingerprint: str
    datasets: dict[str, str] | None = None


@dataclass(frozen=True, slots=True)
class StartManifest:
    """RUN/<stage>/start.json: hashes of all tensors before the first step."""

    tensors: dict[str, str]


@dataclass(slots=True)
class Progress:
    """What a checkpoint keeps apart from tensors: the position of the stream, and what the policies remember.

    ``loss``: running mean over the ``counted`` steps that were not skipped. ``skipped``: consecutive skipped steps.
    ``samples`` and ``damaged``: read so far, and damaged among them.
    """

    state: StreamState
    loss: float | None
    counted: int
    skipped: int
    samples: int
    damaged: int

    @staticmethod
    def at_start() -> "Progress":
        return Progress(STREAM_START, None, 0, 0, 0, 0)


@dataclass(frozen=True, slots=True)
class CheckpointPart:
    """One file of tensors: its name, size and xxh3-128."""

    file: str
    bytes: int
    hash: str


@dataclass(frozen=True, slots=True)
class CheckpointManifest:
    """checkpoint.json. ``updates``: optimizer updates so far. ``world``: ranks that wrote ``parts``."""

    step: int
    fingerprint: str
    attempt: str
    updates: int
    progress: Progress
    world: int
    parts: list[CheckpointPart]


@dataclass(frozen=True, slots=True, kw_only=True)
class StepLine:
    """log.jsonl: one optimizer step, over all ranks.

    ``learnt``: supervised tokens. ``positions``: tokens with padding. ``seconds``: of the whole step; ``data_wait``: of the
    longest wait for data. ``loss_by_source`` and ``loss_by_class``: (sum of losses, supervised tokens); a sum
    that is not finite is read back as None, because JSON has no NaN. ``attempt`` names the start of the program that wrote
    the line.
    """

    step: int
    stage: str
    loss: float | None
    lr: float
    grad_norm: float | None
    skipped: bool
    samples: int
    positions: int
    tokens: int
    learnt: int
    images: int
    seconds: float
    data_wait: float
    mfu: float | None
    memory_gb: float | None
    world: int
    attempt: str
    receipt: str
    loss_by_source: dict[str, tuple[float | None, float]]
    loss_by_class: dict[str, tuple[float | None, float]]


@dataclass(frozen=True, slots=True)
class QuarantineLine:
    """quarantine.jsonl: a sample that was not trained on. ``shard`` is the name of its tar."""

    step: int
    id: str
    shard: str
    reason: str


@dataclass(frozen=True, slots=True)
class SpikeLine:
    """spikes.jsonl: a skipped step with the ids of its samples. ``loss`` is None where it was not finite."""

    step: int
    loss: float | None
    mean: float | None
    ids: list[str]


@dataclass(frozen=True, slots=True)
class ScoreLine:
    """eval.jsonl: the scores of one task after a step."""

    step: int
    task: str
    scores: dict[str, float]


def write_record(path: Path, record: RunManifest | StartManifest) -> None:
    """Write a small file in one step, in the layout of Python's ``json``: a resumed run must rewrite equal bytes."""
    content = {name: value for name, value in asdict(record).items() if value is not None}
    replace_file(path, (json.dumps(content, indent=2, sort_keys=True) + "\n").encode())
