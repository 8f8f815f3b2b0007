"""Parameter groups and learning rates: paper table 8, layer-wise learning-rate decay in the ViT, weight decay on matrices.

The paper does not say what its weight decay acts on. As is usual, it leaves out vectors (norms, biases), position tables,
the adapter's queries and trained marker rows.
"""

import math
from typing import TypedDict

from torch import nn

from qvl.model.weights.freeze import vision_depth
from qvl.training.recipe import OptimizerSpec

UNDECAYED = ("positional_embedding", "query", "marker_rows")


class ParameterGroup(TypedDict):
    """Parameters with one learning rate and one weight decay, in the form that torch's optimizers take."""

    params: list[nn.Parameter]
    names: list[str]
    scale: float
    weight_decay: float
    lr: float


def parameter_groups(model: nn.Module, spec: OptimizerSpec) -> list[ParameterGroup]:
    """Trainable parameters grouped by (learning rate, weight decay). ``scale`` multiplies the rate of the schedule.

    The ViT's last block has scale 1, the block before it ``vision_decay``, and so on down to the stem.
    """
    blocks = max([depth for name, _ in model.named_parameters() if (depth := _depth(name)) is not None], default=0)
    groups: dict[tuple[float, float], ParameterGroup] = {}
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        depth = _depth(name)
        scale = 1.0 if depth is None else spec.vision_decay ** (blocks - depth)
        decayed = parameter.ndim > 1 and not name.rsplit(".", maxsplit=1)[-1].startswith(UNDECAYED)
        key = (scale, spec.weight_decay if decayed else 0.0)
        group = groups.setdefault(
            key, {"params": [], "names": [], "scale": scale, "weight_decay": key[1], "lr": spec.peak * scale}
        )
        group["params"].append(parameter)
        group["names"].append(name)
    return list(groups.values())


def learning_rate(spec: OptimizerSpec, step: int, steps: int) -> float:
    """The rate of a step, counted from 0: linear up to the peak during warm-up, then half a cosine down to the minimum."""
    if step < spec.warmup:
        return spec.peak * (step + 1) / spec.warmup
    done = (step - spec.warmup) / max(1, steps - 1 - spec.warmup)
    return spec.minimum + (spec.peak - spec.minimum) * (1 + math.cos(math.pi * min(1.0, done))) / 2


def _depth(name: str) -> int | None:
    """Depth in the ViT; None for any other parameter, including those that are not part of the model (marker rows)."""
    return vision_depth(name) if name.startswith("model.vision_tower.") else None
