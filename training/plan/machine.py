"""GPUs by their data sheets, how long a step takes on them, and how many of them are useful.

Peaks are dense, without sparsity. Links are NVLink within a node of eight GPUs, and 400 Gb/s per GPU between nodes (DGX
H100). Traffic is an upper bound: it is counted as if none of it overlapped with computation.
"""

import math
from dataclasses import dataclass

from qvl.pipeline.base.errors import RecipeError

NODE = 8
BETWEEN_NODES = 50e9
"""Bytes per second and GPU: 400 Gb/s."""
USEFUL = 0.25
"""The largest ratio of traffic to computation at which GPUs count as useful: traffic is then a fifth of the step."""
MOST_GPUS = 1 << 16


@dataclass(frozen=True)
class Gpu:
    """Memory in bytes; peaks in operations per second; link in bytes per second and direction."""

    name: str
    memory: float
    bfloat16: float
    float32: float
    link: float

    def peak(self, precision: str) -> float:
        return self.bfloat16 if precision == "bfloat16" else self.float32


GPUS = {
    gpu.name: gpu
    for gpu in (
        Gpu("a100-40", 40e9, 312e12, 19.5e12, 300e9),
        Gpu("a100", 80e9, 312e12, 19.5e12, 300e9),
        Gpu("h100", 80e9, 989.4e12, 67e12, 450e9),
        Gpu("h200", 141e9, 989.4e12, 67e12, 450e9),
        Gpu("b200", 180e9, 2250e12, 75e12, 900e9),
        Gpu("l40s", 48e9, 362e12, 91.6e12, 32e9),
    )
}
"""Vendors' data sheets. The L40S has no NVLink: PCIe 4 x16."""


def gpu(name: str) -> Gpu:
    """A GPU by its name. Raises RecipeError that lists the known names."""
    if name not in GPUS:
        raise RecipeError(f"--gpu {name}: choose one of {', '.join(GPUS)}")
    return GPUS[name]


def traffic_bytes(parameters: float, trained: float, zero: int, micro_steps: int, element: int = 2) -> float:
    """Bytes that one GPU sends in an optimizer step. ``element``: bytes of a weight.

    Gradients are reduced once per step, but in every micro-batch under ZeRO-2 and 3, where DeepSpeed keeps only shards of
    them. Updated weights are gathered once; ZeRO-3 gathers all weights for every forward and backward pass instead.
    """
    reductions = micro_steps if zero >= 2 else 1
    gathered = 2 * micro_steps * parameters if zero == 3 else trained
    return element * (reductions * trained + gathered)


def traffic_seconds(sent: float, gpus: int, kind: Gpu) -> float:
    """Seconds that this traffic takes with ring collectives, without overlap."""
    speed = kind.link if gpus <= NODE else BETWEEN_NODES
    return sent * (gpus - 1) / gpus / speed


@dataclass(frozen=True)
class Work:
    """One optimizer step of a stage: its operations and micro-batches over all GPUs, and what its traffic depends on."""

    flops: float
    micro_batches: float
    parameters: float
    trained: float
    zero: int
    element: int = 2

    def micro_steps(self, gpus: int) -> int:
        """Forward passes per step on one GPU."""
        return max(1, math.ceil(self.micro_batches / gpus))

    def compute_seconds(self, gpus: int, kind: Gpu, mfu: float) -> float:
        """Seconds of computation; GPUs without a micro-batch in the last turn wait for the others."""
        idle = self.micro_steps(gpus) * gpus / max(self.micro_batches, 1e-9)
        precision = "bfloat16" if self.element == 2 else "float32"
        return self.flops * max(1.0, idle) / (gpus * kind.peak(precision) * mfu)

    def traffic(self, gpus: int, kind: Gpu, mfu: float, zero: int | None = None) -> float:
        """The time of the traffic divided by that of the computation."""
        stage = self.zero if zero is None else zero
        sent = traffic_bytes(self.parameters, self.trained, stage, self.micro_steps(gpus), self.element)
        return traffic_seconds(sent, gpus, kind) / self.compute_seconds(gpus, kind, mfu)

    def useful_gpus(self, kind: Gpu, mfu: float, zero: int | None = None) -> int:
        """The largest power of two with a micro-batch for each GPU and traffic of at most USEFUL; 1 where there is none."""
        best, gpus = 1, 1
        while gpus <= MOST_GPUS and gpus <= max(1.0, self.micro_batches):
            if self.traffic(gpus, kind, mfu, zero) <= USEFUL:
                best = gpus
            gpus *= 2
        return best
