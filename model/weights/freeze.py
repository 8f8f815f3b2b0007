"""What is trained in which stage (paper table 8; reference section 2), and the depth of a parameter in the ViT."""

import hashlib
import re
from dataclasses import dataclass
from typing import Literal

from torch import nn

from qvl.model.network.errors import ModelError

Stage = Literal["language", "pretrain", "multitask", "sft"]
PARTS: dict[str, tuple[str, ...]] = {
    "vision": ("model.vision_tower.",),
    "adapter": ("model.adapter.",),
    "language": ("model.language_model.", "lm_head."),
}

TRAINED: dict[Stage, tuple[str, ...]] = {
    "language": ("language",),
    "pretrain": ("vision", "adapter"),
    "multitask": ("vision", "adapter", "language"),
    "sft": ("adapter", "language"),
}
"""`ln_post` and `proj` belong to the adapter and are trained with it, as in the paper (the released code freezes them).

`language` is our own stage: it trains an untrained language model on the text of samples without their images."""


@dataclass(frozen=True)
class PartCount:
    """Number of parameters of one part, and how many of them are trained."""

    part: str
    parameters: int
    trained: int


def freeze_for_stage(model: nn.Module, stage: Stage, frozen_vision_blocks: int = 0) -> list[PartCount]:
    """Set `requires_grad` of every parameter for a stage; returns the table that is printed before training.

    `frozen_vision_blocks` additionally freezes the ViT's stem and that many of its first blocks. The fixed positions are
    buffers and are never trained. The language model's embedding and head are frozen with it, whether tied or not.
    """
    if stage not in TRAINED:
        raise ModelError(f"unknown stage {stage!r}; choose one of {', '.join(TRAINED)}")
    counts = {part: [0, 0] for part in PARTS}
    for name, parameter in model.named_parameters():
        part = part_of(name)
        deep = vision_depth(name)
        early = frozen_vision_blocks > 0 and deep is not None and deep <= frozen_vision_blocks
        parameter.requires_grad_(part in TRAINED[stage] and not early)
        counts[part][0] += parameter.numel()
        counts[part][1] += parameter.numel() * parameter.requires_grad
    return [PartCount(part, *count) for part, count in counts.items()]


def part_of(name: str) -> str:
    """The part that a parameter belongs to: `vision`, `adapter` or `language`."""
    for part, prefixes in PARTS.items():
        if name.startswith(prefixes):
            return part
    raise ModelError(f"parameter {name!r} does not belong to any part of the model")


def vision_depth(name: str) -> int | None:
    """0 for the ViT's stem, 1 for its first block and so on; None outside the ViT. Used for layer-wise decay."""
    if part_of(name) != "vision":
        return None
    block = re.search(r"\.blocks\.(\d+)\.", name)
    return 0 if block is None else int(block.group(1)) + 1


def tensor_hashes(model: nn.Module) -> dict[str, str]:
    """SHA-256 of every tensor's bytes: equal before and after training exactly for tensors that did not change."""
    import torch

    return {
        name: hashlib.sha256(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy()).hexdigest()
        for name, tensor in model.state_dict().items()
    }
