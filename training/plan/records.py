"""A training plan as data: what `qvl train plan` prints as tables, or as JSON with these names in this order."""

from dataclasses import asdict, dataclass
from typing import Literal

from pydantic import JsonValue

from qvl.training.plan.memory import Offload
from qvl.training.plan.stream_estimate import StreamMeans

DataOrigin = Literal["assumed", "encoded", "estimated"]
"""Whether lengths were assumed without data, encoded, or estimated from characters for want of a tokenizer."""


@dataclass(frozen=True, slots=True)
class Terms:
    """Where a run would take place. ``mfu``: share of the GPU's peak that a step reaches, recomputation included.

    ``price``: dollars per GPU-hour.
    """

    gpus: int = 8
    gpu: str = "h100"
    mfu: float = 0.4
    price: float = 3.0


@dataclass(frozen=True, slots=True)
class PlanTerms:
    """Terms with what is known of their GPU."""

    gpus: int
    gpu: str
    mfu: float
    price: float
    peak_tflops: float
    gpu_memory_gb: float


@dataclass(frozen=True, slots=True)
class ModelParameters:
    """Numbers of parameters."""

    vision: int
    adapter: int
    language: int
    all: int


@dataclass(frozen=True, slots=True)
class PlannedPart:
    """A part of a stage's mix. ``samples``: as many as there are. ``share``: of the stage's samples. ``epochs``: how often
    each of them is seen.

    ``tokens``, ``images`` and ``supervised`` tokens are means, None where the sampled stream held none of the part.
    """

    part: str
    samples: int
    share: float
    epochs: float
    tokens: float | None
    images: float | None
    supervised: float | None


@dataclass(frozen=True, slots=True)
class SampleTflops:
    """Operations to train on one sample, in 10^12."""

    vision: float
    adapter: float
    language: float
    head: float
    recompute: float
    total: float


@dataclass(frozen=True, slots=True)
class PlannedMemory:
    """Gigabytes of one GPU under a ZeRO stage and offload. ``chosen``: the recipe's own. ``host``: host memory, per GPU."""

    zero: int
    offload: Offload
    chosen: bool
    weights: float
    gradients: float
    optimizer: float
    states: float
    activations: float
    buffers: float
    total: float
    host: float
    fits: bool


@dataclass(frozen=True, slots=True)
class TrafficOfZero:
    """Gradient traffic under a ZeRO stage. ``over_compute``: its time over that of the computation, by number of GPUs."""

    zero: int
    over_compute: dict[str, float]
    useful_gpus: int


@dataclass(frozen=True, slots=True)
class PlannedTraffic:
    """Traffic under the recipe's ZeRO stage, and under ZeRO-1."""

    chosen: TrafficOfZero
    zero_1: TrafficOfZero


@dataclass(frozen=True, slots=True)
class StageCost:
    """What a stage takes on the plan's GPUs. ``micro_steps``: forward passes of one GPU per step. ``cost`` is in dollars."""

    tflop_per_step: float
    micro_steps: int
    seconds_per_step: float
    samples_per_second: float
    exaflop: float
    gpu_hours: float
    days: float
    cost: float


@dataclass(frozen=True, slots=True)
class PlannedStage:
    """One stage. ``drawn``: samples that the means of ``stream`` are taken over. ``trained``: number of parameters."""

    stage: str
    name: str
    packing: str
    steps: int
    samples: int
    samples_per_step: float
    stream: StreamMeans
    drawn: int
    held_out: float
    mix: list[PlannedPart]
    tflop_per_sample: SampleTflops
    trained: int
    cost: StageCost
    memory: list[PlannedMemory]
    traffic: PlannedTraffic

    @property
    def chosen_memory(self) -> PlannedMemory:
        """Memory as the recipe has it."""
        (chosen,) = (way for way in self.memory if way.chosen)
        return chosen


@dataclass(frozen=True, slots=True)
class PlanTotal:
    """Sums over the stages."""

    samples: int
    exaflop: float
    gpu_hours: float
    days: float
    cost: float


@dataclass(frozen=True, slots=True)
class Plan:
    """A whole run. ``start``: None where the recipe's model is still to be made. ``text_tokens``: assumed ones, or None."""

    name: str
    model: ModelParameters
    terms: PlanTerms
    start: str | None
    data: DataOrigin
    text_tokens: int | None
    stages: list[PlannedStage]
    total: PlanTotal

    def to_json(self) -> dict[str, JsonValue]:
        """The plan for `--json`. The keys of a stage's cost are keys of the stage."""
        content = asdict(self)
        content["stages"] = [_flat(stage) for stage in self.stages]
        return content


def _flat(stage: PlannedStage) -> dict[str, JsonValue]:
    flat: dict[str, JsonValue] = {}
    for name, value in asdict(stage).items():
        flat |= value if name == "cost" else {name: value}
    return flat
