"""Exact parameter counts of a model's parts, computed from its configuration alone (on the meta device, without memory)."""

from dataclasses import dataclass

import torch

from qvl.model.network.config import QwenVLConfig
from qvl.model.network.qwen_vl import QwenVLForConditionalGeneration


@dataclass(frozen=True)
class Part:
    """Number of values in the tensors of one part; `fixed` counts those that no stage trains (positions)."""

    name: str
    parameters: int
    fixed: int = 0


def parts(config: QwenVLConfig) -> list[Part]:
    """The vision tower, the adapter, its ln_post + proj, the language model, and the total."""
    with torch.device("meta"):
        model = QwenVLForConditionalGeneration(config)
    tied = model.get_expanded_tied_weights_keys(all_submodels=True)
    sizes = {name: parameter.numel() for name, parameter in model.named_parameters() if name not in tied}
    fixed = sum(buffer.numel() for name, buffer in model.named_buffers() if name in model.state_dict())
    last = sum(
        size for name, size in sizes.items() if name.startswith(("model.adapter.ln_post.", "model.adapter.proj"))
    )
    vision = sum(size for name, size in sizes.items() if name.startswith("model.vision_tower."))
    adapter = sum(size for name, size in sizes.items() if name.startswith("model.adapter.")) - last
    return [
        Part("vision", vision),
        Part("adapter", adapter, fixed),
        Part("ln_post + proj", last),
        Part("language", sum(sizes.values()) - vision - adapter - last),
        Part("total", sum(sizes.values()), fixed),
    ]
