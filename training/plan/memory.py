"""The memory that one GPU will need: model states exactly, activations and buffers as estimates.

States are those that ZeRO shards: bf16 weights and gradients, fp32 masters, and two Adam moments. Activations are computed
from what autograd keeps per position of this model, which tests/training/plan/test_memory.py measures again.
"""

from dataclasses import dataclass
from typing import Literal

from qvl.training.plan.cost import TRAINED, Load, Shape, trained_parameters
from qvl.training.recipe import StageSpec

Offload = Literal["none", "optimizer", "parameters"]
BUCKET = 500_000_000
"""Size of DeepSpeed's reduction buffer, in elements."""
LIVE = 1_000_000_000
"""Weights that ZeRO-3 holds gathered at one time, in elements."""
LOGIT_ROWS = 1024
"""Labels whose logits exist at one time (`model.network.loss`)."""
LOGIT_BYTES = 14
"""Bytes per logit: in bf16 and fp32, its log-softmax, and the gradients of both."""
RESERVE = 3e9
"""Bytes for the CUDA context, kernels, workspaces, and what the allocator cannot fill."""
FOUR_BITS = 0.56
"""Bytes per weight of a 4-bit base, scales included."""


@dataclass(frozen=True)
class States:
    """Model states in bytes: on one GPU, and in the host's memory per GPU."""

    weights: float
    gradients: float
    optimizer: float
    host: float = 0.0

    @property
    def total(self) -> float:
        """Bytes on the GPU."""
        return self.weights + self.gradients + self.optimizer


@dataclass(frozen=True)
class Memory:
    """Bytes on one GPU at the peak of a step."""

    states: States
    activations: float
    buffers: float

    @property
    def total(self) -> float:
        return self.states.total + self.activations + self.buffers


def model_states(
    parameters: float, trained: float, gpus: int, zero: int, offload: Offload = "none", element: int = 2
) -> States:
    """Weights, gradients and optimizer states on one of ``gpus`` under ZeRO 0 to 3. ``element``: bytes of a weight.

    In float32 (``element`` 4) the weights are their own masters. Offloading moves optimizer states to the host's memory,
    together with a float32 copy of the gradients; ``parameters`` also moves the weights and needs ZeRO-3.
    """
    weights, gradients = element * parameters, element * trained
    optimizer = (8 if element == 4 else 12) * trained
    if zero >= 1:
        optimizer /= gpus
    if zero >= 2:
        gradients /= gpus
    if zero == 3:
        weights /= gpus
    if offload == "none":
        return States(weights, gradients, optimizer)
    host = optimizer + 4 * trained / gpus
    kept = gradients if zero < 2 else 0.0
    if offload == "optimizer" or zero < 3:
        return States(weights, kept, 0.0, host)
    return States(min(weights, element * LIVE), kept, 0.0, host + weights)


def stage_states(shape: Shape, stage: StageSpec, gpus: int, zero: int, offload: Offload) -> States:
    """States of a stage on ``gpus`` under a ZeRO stage and offload, whatever its recipe says."""
    element, trained = stage.engine.element, trained_parameters(shape, stage)
    parameters: float = shape.parameters
    if stage.lora is not None:
        parameters += trained - shape.adapter
        if stage.lora.quantize:
            parameters -= shape.blocks * (1 - FOUR_BITS / element)
    return model_states(parameters, trained, gpus, zero, offload, element)


def activations(shape: Shape, stage: StageSpec, load: Load) -> float:
    """Bytes that one forward pass keeps for its backward pass; ``load`` is one micro-batch of one GPU.

    Per position and block of the language model, autograd keeps 12 widths and 4 MLP widths, or 8 and 3 where the model is
    frozen, because the gradient of a frozen matrix is not computed. Per patch and block of the ViT it keeps 8 and 2. Eager
    attention also keeps its scores. With recomputation it keeps one width per block, and one block in full.
    """
    scale = 1 if stage.engine.precision == "bfloat16" else 2
    trained, patches = TRAINED[stage.stage], load.images * shape.patches(stage.resolution)
    full = "language" in trained and stage.lora is None
    language = load.tokens * (24 * shape.width + 8 * shape.mlp if full else 16 * shape.width + 6 * shape.mlp)
    if stage.engine.attention == "eager":
        language += 6 * shape.heads * load.pairs
    vision = patches * (16 * shape.vision_width + 4 * shape.vision_mlp) if "vision" in trained else 0.0
    if stage.engine.recompute:
        kept = 2 * shape.layers * load.tokens * shape.width + max(language, vision)
        kept += 2 * shape.vision_layers * patches * shape.vision_width if vision else 0.0
    else:
        seen = max(0, shape.vision_layers - stage.frozen_vision_blocks)
        kept = shape.layers * language + seen * vision
    kept += 6 * patches * shape.patch**2 if vision else 0.0  # pixels
    adapter = 16 * patches * shape.width + 10 * load.images * shape.queries * shape.width
    logits = min(load.labels, LOGIT_ROWS) * shape.vocabulary * LOGIT_BYTES
    return float(scale * (kept + adapter) + logits)


def buffers(trained: int, element: int) -> float:
    """Bytes of the reduction buffers (two, because communication overlaps with computation) and of the reserve."""
    return 2 * element * min(BUCKET, trained) + RESERVE


def stage_memory(
    shape: Shape, stage: StageSpec, load: Load, gpus: int, zero: int | None = None, offload: Offload | None = None
) -> Memory:
    """Memory of a stage under its recipe's ZeRO stage and offload, or under the given ones."""
    states = stage_states(
        shape,
        stage,
        gpus,
        stage.engine.zero if zero is None else zero,
        stage.engine.offload if offload is None else offload,
    )
    return Memory(
        states, activations(shape, stage, load), buffers(trained_parameters(shape, stage), stage.engine.element)
    )
