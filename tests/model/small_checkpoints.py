"""Small random checkpoints in the released layout and a small vocabulary, so that no test needs a network connection."""

import base64
import json
from pathlib import Path

import torch
from safetensors.torch import save_file

import tests.model.plain_qwen_vl as reference

WORDS = b" t,he, the,in, a,er,on, c, i, s,re,at,en,nd, and, is,ing, Generate, caption, English, Answer, answer".split(
    b","
)
REAL_RANKS = Path(__file__).parents[2] / ".data" / "qwen.tiktoken"


def small_ranks() -> list[bytes]:
    """All 256 bytes, then every prefix of a few words, so that each word can be reached by merging pairs."""
    tokens = [bytes([value]) for value in range(256)]
    for word in WORDS:
        tokens += [word[:end] for end in range(2, len(word) + 1) if word[:end] not in tokens]
    return tokens


def write_ranks(path: Path, tokens: list[bytes]) -> Path:
    path.write_bytes(b"\n".join(base64.b64encode(token) + b" %d" % rank for rank, token in enumerate(tokens)))
    return path


RANKS = len(small_ranks())
START = RANKS + 214
"""Id of `<img>`; its distance from the last rank is that of the release."""

SETTINGS = {
    "heads": 4,
    "vision_heads": 3,
    "adapter_heads": 2,
    "patch": 14,
    "image_start_id": START,
}


def released_config() -> dict:
    return {
        "architectures": ["QWenLMHeadModel"],
        "hidden_size": 256,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "kv_channels": 64,
        "intermediate_size": 192,
        "vocab_size": START + 8,
        "layer_norm_epsilon": 1e-6,
        "rotary_emb_base": 10000,
        "seq_length": 2048,
        "tie_word_embeddings": False,
        "visual": {
            "heads": 3,
            "image_size": 224,
            "image_start_id": START,
            "layers": 2,
            "mlp_ratio": 2.05,
            "output_dim": 256,
            "patch_size": 14,
            "width": 24,
        },
    }


def released_weights(seed: int = 0) -> dict[str, torch.Tensor]:
    """Random float32 tensors under the released names, with norms near one so that mistakes are visible."""
    vision, mlp, width, half, vocabulary = 24, 49, 256, 96, START + 8
    shapes: dict[str, tuple[int, ...]] = {
        "transformer.wte.weight": (vocabulary, width),
        "transformer.ln_f.weight": (width,),
        "lm_head.weight": (vocabulary, width),
    }
    for layer in range(2):
        b = f"transformer.h.{layer}."
        shapes |= {b + "ln_1.weight": (width,), b + "ln_2.weight": (width,)}
        shapes |= {b + "attn.c_attn.weight": (3 * width, width), b + "attn.c_attn.bias": (3 * width,)}
        shapes |= {b + "attn.c_proj.weight": (width, width), b + "mlp.c_proj.weight": (width, half)}
        shapes |= {b + "mlp.w1.weight": (half, width), b + "mlp.w2.weight": (half, width)}
    v = "transformer.visual."
    shapes |= {v + "conv1.weight": (vision, 3, 14, 14), v + "positional_embedding": (256, vision)}
    shapes |= {v + "ln_pre.weight": (vision,), v + "ln_pre.bias": (vision,)}
    for layer in range(2):
        b = f"{v}transformer.resblocks.{layer}."
        for norm in ("ln_1", "ln_2"):
            shapes |= {f"{b}{norm}.weight": (vision,), f"{b}{norm}.bias": (vision,)}
        shapes |= {b + "attn.in_proj.weight": (3 * vision, vision), b + "attn.in_proj.bias": (3 * vision,)}
        shapes |= {b + "attn.out_proj.weight": (vision, vision), b + "attn.out_proj.bias": (vision,)}
        shapes |= {b + "mlp.c_fc.weight": (mlp, vision), b + "mlp.c_fc.bias": (mlp,)}
        shapes |= {b + "mlp.c_proj.weight": (vision, mlp), b + "mlp.c_proj.bias": (vision,)}
    p = v + "attn_pool."
    shapes |= {p + "query": (256, width), p + "kv_proj.weight": (width, vision)}
    shapes |= {p + "attn.in_proj_weight": (3 * width, width), p + "attn.in_proj_bias": (3 * width,)}
    shapes |= {
        p + "attn.out_proj.weight": (width, width),
        p + "attn.out_proj.bias": (width,),
        v + "proj": (width, width),
    }
    for norm in (p + "ln_q", p + "ln_kv", v + "ln_post"):
        shapes |= {f"{norm}.weight": (width,), f"{norm}.bias": (width,)}
    generator = torch.Generator().manual_seed(seed)
    weights = {}
    for name, shape in shapes.items():
        noise = torch.randn(shape, generator=generator) * 0.3
        fan_in = noise[0].numel() if noise.ndim > 1 and "positional" not in name and "query" not in name else 1
        weights[name] = noise / fan_in**0.5 + (1.0 if ".ln_" in name and name.endswith("weight") else 0.0)
    weights[p + "pos_embed"] = reference.sincos_table(16, width).float()
    return weights


def write_released(folder: Path, weights: dict[str, torch.Tensor], shards: int = 3) -> Path:
    """A sharded folder like the published one: config.json, index, shards, tokenizer."""
    folder.mkdir(parents=True, exist_ok=True)
    names, weight_map = sorted(weights), {}
    for number in range(shards):
        part = names[number::shards]
        file = f"model-{number + 1:05d}-of-{shards:05d}.safetensors"
        save_file({name: weights[name].contiguous() for name in part}, folder / file, {"format": "pt"})
        weight_map |= dict.fromkeys(part, file)
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))
    (folder / "config.json").write_text(json.dumps(released_config()))
    write_ranks(folder / "qwen.tiktoken", small_ranks())
    return folder


def reference_weights() -> reference.Weights:
    """The released weights in double precision, with gradients, for the plain reference."""
    return {
        name: tensor.double().requires_grad_("pos_embed" not in name) for name, tensor in released_weights().items()
    }
