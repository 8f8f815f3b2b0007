"""Low-rank updates (peft) of the language model's projections; vision and adapter get none (reference section 14)."""

# mypy: disable-error-code="no-untyped-call"

import re

from peft import LoraConfig, inject_adapter_in_model
from torch import Tensor, nn

from qvl.model.network.qwen_vl import QwenVLForConditionalGeneration
from qvl.training.recipe import Lora

PROJECTIONS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj")  # c_attn, attn.c_proj, w1, w2
TARGETS = re.compile(rf"model\.language_model\..*\.({'|'.join(PROJECTIONS)})")
BASE, DOWN, UP = ".base_layer.", ".lora_A.default.weight", ".lora_B.default.weight"


def add_lora(net: QwenVLForConditionalGeneration, spec: Lora) -> list[str]:
    """Add low-rank updates to the projections and freeze the rest of the language model. Returns the projections' names."""
    targets = [
        name for name, module in net.named_modules() if TARGETS.fullmatch(name) and isinstance(module, nn.Linear)
    ]
    training = {name for name, parameter in net.named_parameters() if parameter.requires_grad}
    config = LoraConfig(r=spec.rank, lora_alpha=int(spec.alpha), lora_dropout=spec.dropout, target_modules=targets)
    inject_adapter_in_model(config, net)
    for name, parameter in net.named_parameters():
        language = name.startswith(("model.language_model.", "lm_head."))
        parameter.requires_grad_("lora_" in name if language else name in training)
    return targets


def merge(weights: dict[str, Tensor], spec: Lora) -> dict[str, Tensor]:
    """The weights with every update added to its projection, under the names of a model without updates."""
    merged = {name.replace(BASE, "."): tensor for name, tensor in weights.items() if "lora_" not in name}
    for name, down_RI in weights.items():
        if name.endswith(DOWN):
            projection = f"{name.removesuffix(DOWN)}.weight"
            up_OR = weights[name.removesuffix(DOWN) + UP]
            update_OI = (up_OR.float() @ down_RI.float()) * (spec.alpha / spec.rank)
            merged[projection] = (merged[projection].float() + update_OI).to(merged[projection].dtype)
    return merged
