"""What `model.py` measures: each part of the model on its shapes with its FLOP, and a peer that does the same work."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import transformers
from torch import Tensor, nn

from qvl.model.network.adapter import Adapter
from qvl.model.network.config import IGNORE, QwenVLConfig
from qvl.model.network.qwen_vl import QwenVLForConditionalGeneration
from qvl.model.network.vision import VisionTransformer

Run = Callable[[], None]
LABELLED = 0.15
"""Share of text positions with a label: what a mix of short answers to long prompts has (reference of limits)."""


@dataclass(frozen=True)
class Case:
    """One part on one shape: its forward FLOP, how much of it repeats in a training step, ours and the peer's run."""

    name: str
    forward_flop: float
    ours: Callable[[bool], Run]
    peer: Callable[[bool], Run] | None = None


def vision_flop(config: QwenVLConfig, images: int, side: int) -> float:
    """Products of the patch convolution, of every block's matrices and of its attention."""
    vision = config.vision_config
    patches, width = (side // vision.patch_size) ** 2, vision.hidden_size
    matrices = 4 * width**2 + 2 * width * vision.intermediate_size
    block = 2 * patches * matrices + 4 * patches**2 * width
    return images * (2 * patches * 3 * vision.patch_size**2 * width + vision.num_hidden_layers * block)


def adapter_flop(config: QwenVLConfig, images: int, side: int) -> float:
    """kv_proj, k, v over patches; q (once per image), out and proj over queries; attention."""
    patches, queries = (side // config.vision_config.patch_size) ** 2, config.adapter_config.num_queries
    width, vision = config.text_config.hidden_size, config.vision_config.hidden_size
    matrices = 2 * patches * (vision * width + 2 * width**2) + 2 * queries * 3 * width**2
    return images * (matrices + 4 * patches * queries * width)


def language_flop(config: QwenVLConfig, rows: int, length: int, logits: int) -> float:
    """Blocks over all positions (causal attention counted in half), head over `logits` positions per row."""
    text = config.text_config
    kv = text.num_key_value_heads * text.hidden_size // text.num_attention_heads
    matrices = 2 * text.hidden_size**2 + 2 * text.hidden_size * kv + 3 * text.hidden_size * text.intermediate_size
    block = 2 * length * matrices + 2 * length**2 * text.hidden_size
    return rows * (text.num_hidden_layers * block + 2 * logits * text.hidden_size * text.vocab_size)


class PlainAdapter(nn.Module):
    """The peer of the adapter: the same projections around torch's own MultiheadAttention."""

    def __init__(self, config: QwenVLConfig) -> None:
        super().__init__()
        width, vision = config.text_config.hidden_size, config.vision_config.hidden_size
        self.query = nn.Parameter(torch.randn(config.adapter_config.num_queries, width) * 0.02)
        self.kv_proj = nn.Linear(vision, width, bias=False)
        self.attn = nn.MultiheadAttention(width, config.adapter_config.num_attention_heads, batch_first=True)
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(3))
        self.proj = nn.Linear(width, width, bias=False)

    def forward(self, patches: Tensor) -> Tensor:
        kv = self.norms[0](self.kv_proj(patches))
        query = self.norms[1](self.query).expand(len(patches), -1, -1)
        return self.proj(self.norms[2](self.attn(query, kv, kv, need_weights=False)[0]))


def runner(module: nn.Module, call: Callable[[], Tensor], train: bool) -> Run:
    """Forward alone, or forward and backward; `call` gives a tensor to sum or a scalar loss."""
    module.train(train)

    def run() -> None:
        if not train:
            with torch.inference_mode():
                call()
            return
        call().float().sum().backward()
        module.zero_grad(set_to_none=True)

    return run


def cases(config: QwenVLConfig, device: str, dtype: torch.dtype, sizes: dict[str, int]) -> list[Case]:
    """Every part on its shapes; peers on the CPU only, where the preset is small enough for two models."""
    with_peer = device == "cpu"
    found = [_vision_case(config, device, dtype, sizes["images"], side, with_peer) for side in (224, 448)]
    found += [_adapter_case(config, device, dtype, sizes["images"], side, with_peer) for side in (224, 448)]
    found.append(_language_case(config, device, dtype, sizes["rows"], sizes["length"], with_peer))
    found.append(_whole_case(config, device, dtype, sizes, with_peer))
    if device == "cuda":
        found.append(_whole_case(config, device, dtype, {**sizes, "side": 448}, with_peer))
    return found


def _vision_case(
    config: QwenVLConfig, device: str, dtype: torch.dtype, images: int, side: int, with_peer: bool
) -> Case:
    images = max(1, images * 224**2 // side**2)
    pixels = torch.randn(images, 3, side, side, device=device, dtype=dtype)

    def ours(train: bool) -> Run:
        tower = VisionTransformer(config.vision_config)
        nn.init.normal_(tower.positional_embedding, std=0.02)
        tower = tower.to(device, dtype)
        return runner(tower, lambda: tower(pixels), train)

    def peer(train: bool) -> Run:
        clip = transformers.CLIPVisionModel(_clip_config(config, side)).to(device, dtype)
        return runner(clip, lambda: clip(pixels).last_hidden_state, train)

    name = f"ViT at {side}, {images} images"
    return Case(name, vision_flop(config, images, side), ours, peer if with_peer else None)


def _clip_config(config: QwenVLConfig, side: int) -> transformers.CLIPVisionConfig:
    """CLIP's ViT in the shapes of ours, on images of ``side`` pixels."""
    vision = config.vision_config
    return transformers.CLIPVisionConfig(
        hidden_size=vision.hidden_size,
        intermediate_size=vision.intermediate_size,
        num_hidden_layers=vision.num_hidden_layers,
        num_attention_heads=vision.num_attention_heads,
        image_size=side,
        patch_size=vision.patch_size,
        hidden_act="gelu",
    )


def _adapter_case(
    config: QwenVLConfig, device: str, dtype: torch.dtype, images: int, side: int, with_peer: bool
) -> Case:
    grid = (side // config.vision_config.patch_size,) * 2
    patches = torch.randn(images, grid[0] ** 2, config.vision_config.hidden_size, device=device, dtype=dtype)

    def ours(train: bool) -> Run:
        part = Adapter(config.adapter_config, config.vision_config.hidden_size, config.text_config.hidden_size)
        nn.init.normal_(part.query, std=0.02)
        nn.init.normal_(part.proj, std=0.02)
        part = part.to(device, dtype)
        return runner(part, lambda: part(patches, grid), train)

    def peer(train: bool) -> Run:
        part = PlainAdapter(config).to(device, dtype)
        return runner(part, lambda: part(patches), train)

    name = f"adapter at {side}, {images} images"
    return Case(name, adapter_flop(config, images, side), ours, peer if with_peer else None)


def _language_case(
    config: QwenVLConfig, device: str, dtype: torch.dtype, rows: int, length: int, with_peer: bool
) -> Case:
    ids = torch.randint(1000, (rows, length), device=device)
    labels = torch.where(torch.rand(rows, length, device=device) < LABELLED, ids, IGNORE)

    def ours(train: bool) -> Run:
        model = _whole_model(config, device, dtype)
        del model.model.vision_tower, model.model.adapter
        body = model.model.language_model

        def call() -> Tensor:
            embeds = body.get_input_embeddings()(ids)
            return model(inputs_embeds=embeds, labels=labels, use_cache=False).loss

        return runner(model, call, train)

    def peer(train: bool) -> Run:
        model = transformers.AutoModelForCausalLM.from_config(config.text_config).to(device, dtype)
        return runner(model, lambda: model(ids, labels=labels, use_cache=False).loss, train)

    flop = language_flop(config, rows, length, round(LABELLED * length))
    return Case(f"LLM at {length}, {rows} row(s), 15% labels", flop, ours, peer if with_peer else None)


def _whole_model(config: QwenVLConfig, device: str, dtype: torch.dtype) -> QwenVLForConditionalGeneration:
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        with torch.device(device):
            return QwenVLForConditionalGeneration(config)
    finally:
        torch.set_default_dtype(before)


def _whole_case(config: QwenVLConfig, device: str, dtype: torch.dtype, sizes: dict[str, int], with_peer: bool) -> Case:
    rows, text, side, queries = sizes["rows"], sizes["text"], sizes["side"], config.adapter_config.num_queries
    ids = torch.randint(1000, (rows, queries + 2 + text), device=device)
    ids[:, 0], ids[:, 1 : queries + 1] = config.image_start_token_id, config.image_token_id
    ids[:, queries + 1] = config.image_end_token_id
    labels = ids.clone()
    labels[:, : queries + 2] = IGNORE
    pixels = torch.randn(rows, 3, side, side, device=device, dtype=dtype)

    def ours(train: bool) -> Run:
        model = _whole_model(config, device, dtype)
        return runner(model, lambda: model(ids, pixels, labels=labels, use_cache=False).loss, train)

    def peer(train: bool) -> Run:
        llava = transformers.LlavaForConditionalGeneration(
            transformers.LlavaConfig(
                vision_config=_clip_config(config, side),
                text_config=config.text_config,
                image_token_index=config.image_token_id,
                vision_feature_layer=-1,
            )
        ).to(device, dtype)
        call = lambda: llava(input_ids=ids, pixel_values=pixels, labels=labels, use_cache=False).loss  # noqa: E731
        return runner(llava, call, train)

    flop = vision_flop(config, rows, side) + adapter_flop(config, rows, side)
    flop += language_flop(config, rows, ids.shape[1], text)
    name = f"whole at {side}, {rows} row(s) of {ids.shape[1]}"
    # LLaVA has one position per patch: the same length, and so a fair peer, only at 224
    return Case(name, flop, ours, peer if with_peer and side == 224 else None)
