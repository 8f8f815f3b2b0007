"""How tensors of the released Qwen-VL, of Qwen and of OpenCLIP correspond to ours (reference sections 12 and 17).

A Link connects one third-party tensor to one or more of ours, with the functions that convert each side to the other.
"""

# mypy: disable-error-code="no-untyped-call"

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from qvl.model.network.config import QwenVLConfig

Many = tuple[Tensor, ...]


@dataclass(frozen=True)
class Link:
    """`split` computes our tensors from theirs, `join` computes theirs from ours."""

    theirs: str
    ours: tuple[str, ...]
    split: Callable[[Tensor], Many]
    join: Callable[[Many], Tensor]


RELEASED_IGNORED = re.compile(r"rotary_emb\.inv_freq$|\.attn\.(masked_)?bias$")
"""Buffers of old Qwen checkpoints that are not needed."""

QWEN_IGNORED = re.compile(rf"{RELEASED_IGNORED.pattern}|^transformer\.visual\.")
OPENCLIP_IGNORED = re.compile(r"^(?!visual\.)|^visual\.(class_embedding|proj|ln_post\.(weight|bias))$")
"""The text tower, and the class token, final norm and projection, which Qwen-VL does not have."""


def released_links(config: QwenVLConfig) -> list[Link]:
    """The complete released layout: `transformer.visual.*`, `transformer.*`, `lm_head`."""
    return [*_vision_released(config), *_adapter_released(config), *language_links(config)]


def language_links(config: QwenVLConfig) -> list[Link]:
    """Qwen v1 -> Qwen2: c_attn is [q | k | v], `w2` is the gate and `w1` the up projection."""
    body = "model.language_model"
    links = [_same("transformer.wte.weight", f"{body}.embed_tokens.weight")]
    for layer in range(config.text_config.num_hidden_layers):
        theirs, ours = f"transformer.h.{layer}", f"{body}.layers.{layer}"
        links += [_same(f"{theirs}.ln_1.weight", f"{ours}.input_layernorm.weight")]
        for kind in ("weight", "bias"):
            parts = (f"{ours}.self_attn.{part}_proj.{kind}" for part in "qkv")
            links += [Link(f"{theirs}.attn.c_attn.{kind}", tuple(parts), _thirds, torch.cat)]
        links += [
            _same(f"{theirs}.attn.c_proj.weight", f"{ours}.self_attn.o_proj.weight"),
            _same(f"{theirs}.ln_2.weight", f"{ours}.post_attention_layernorm.weight"),
            _same(f"{theirs}.mlp.w1.weight", f"{ours}.mlp.up_proj.weight"),
            _same(f"{theirs}.mlp.w2.weight", f"{ours}.mlp.gate_proj.weight"),
            _same(f"{theirs}.mlp.c_proj.weight", f"{ours}.mlp.down_proj.weight"),
        ]
    links += [_same("transformer.ln_f.weight", f"{body}.norm.weight")]
    if not config.tie_word_embeddings:
        links += [_same("lm_head.weight", "lm_head.weight")]
    return links


def causal_lm_links(prefix: str, ours: Iterable[str]) -> list[Link]:
    """A causal LM of transformers whose body is named `prefix`: its names are kept, one level deeper."""
    body = "model.language_model."
    links = [_same(f"{prefix}.{name.removeprefix(body)}", name) for name in ours if name.startswith(body)]
    return links + [_same(name, name) for name in ours if name == "lm_head.weight"]


def openclip_links(config: QwenVLConfig) -> list[Link]:
    """The vision tower of an OpenCLIP checkpoint: q, k and v are kept, the class token's position is dropped."""
    stem = [Link("visual.positional_embedding", ("model.vision_tower.positional_embedding",), _drop_first, _no_inverse)]
    return stem + [
        _same(f"visual.{_openclip_name(name)}", f"model.vision_tower.{name}")
        for name in _vision_names(config)
        if name != "positional_embedding"
    ]


def _openclip_name(name: str) -> str:
    return re.sub(r"\.attn\.qkv\.", ".attn.in_proj_", name.replace("blocks.", "transformer.resblocks."))


def _vision_names(config: QwenVLConfig) -> list[str]:
    names = ["conv1.weight", "positional_embedding", "ln_pre.weight", "ln_pre.bias"]
    for layer in range(config.vision_config.num_hidden_layers):
        parts = ("ln_1", "attn.qkv", "attn.out_proj", "ln_2", "mlp.c_fc", "mlp.c_proj")
        names += [f"blocks.{layer}.{part}.{kind}" for part in parts for kind in ("weight", "bias")]
    return names


def _vision_released(config: QwenVLConfig) -> list[Link]:
    heads = config.vision_config.num_attention_heads
    links = []
    for name in _vision_names(config):
        theirs = "transformer.visual." + name.replace("blocks.", "transformer.resblocks.").replace(".qkv.", ".in_proj.")
        ours = f"model.vision_tower.{name}"
        if ".qkv." in name:
            split, join = partial(_split_qkv, heads=heads), partial(_join_qkv, heads=heads)
            links.append(Link(theirs, (ours,), split, join))
        else:
            links.append(_same(theirs, ours))
    return links


def _adapter_released(config: QwenVLConfig) -> list[Link]:
    visual, pool, ours = "transformer.visual", "transformer.visual.attn_pool", "model.adapter"
    kept = ["query", "pos_embed", "kv_proj.weight", "ln_q.weight", "ln_q.bias", "ln_kv.weight", "ln_kv.bias"]
    kept += ["attn.out_proj.weight", "attn.out_proj.bias"]
    links = [_same(f"{pool}.{name}", f"{ours}.{name}") for name in kept]
    for kind in ("weight", "bias"):
        parts = tuple(f"{ours}.attn.{part}_proj.{kind}" for part in "qkv")
        links.append(Link(f"{pool}.attn.in_proj_{kind}", parts, _thirds, torch.cat))
    return links + [_same(f"{visual}.{name}", f"{ours}.{name}") for name in ("ln_post.weight", "ln_post.bias", "proj")]


def deinterleave_qkv(packed: Tensor, heads: int) -> Tensor:
    """Rows [head, (q, k, v), E] of the release -> rows [(q, k, v), head, E]; weight [3D, D] or bias [3D]."""
    rows: Tensor = packed.unflatten(0, (heads, 3, -1)).transpose(0, 1).flatten(0, 2)
    return rows


def interleave_qkv(packed: Tensor, heads: int) -> Tensor:
    """The inverse of `deinterleave_qkv`: gives the order of Megatron and of the release."""
    rows: Tensor = packed.unflatten(0, (3, heads, -1)).transpose(0, 1).flatten(0, 2)
    return rows


def _split_qkv(theirs: Tensor, heads: int) -> Many:
    return (deinterleave_qkv(theirs, heads),)


def _join_qkv(ours: Many, heads: int) -> Tensor:
    return interleave_qkv(ours[0], heads)


def _same(theirs: str, ours: str) -> Link:
    return Link(theirs, (ours,), lambda tensor: (tensor,), lambda tensors: tensors[0])


def _thirds(theirs: Tensor) -> Many:
    return theirs.chunk(3)


def _drop_first(theirs: Tensor) -> Many:
    return (theirs[1:],)


def _no_inverse(ours: Many) -> Tensor:
    raise NotImplementedError("OpenCLIP's class token is dropped on import, so this layout cannot be exported")
