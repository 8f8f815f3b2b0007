"""Third-party configurations: the released Qwen-VL's and Qwen's `config.json`, OpenCLIP's `open_clip_config.json`."""

import json
from pathlib import Path
from typing import Any

from qvl.model.network.config import AdapterConfig, QwenVLConfig, VisionConfig, qwen_text_config
from qvl.model.network.errors import ModelError
from qvl.model.weights.shards import JsonObject, Stored

HEAD_WIDTH = 128
"""Width of an adapter head."""

END_OF_TEXT = 151643
"""Id of the end-of-text token in the release; a tokenizer next to the weights overrides it."""


def read_json(path: Path) -> JsonObject:
    """Read a JSON object. Raises ModelError if the file is missing or is not JSON."""
    if not path.is_file():
        raise ModelError(f"{path.parent} has no {path.name}")
    try:
        value: JsonObject = json.loads(path.read_text())
    except ValueError as error:
        raise ModelError(f"{path} is not JSON: {error}") from error
    return value


def released_config(values: JsonObject) -> QwenVLConfig:
    """Our configuration of the released Qwen-VL."""
    text, visual = released_text_config(values), values.get("visual")
    if visual is None:
        raise ModelError("config.json has no `visual`: this is Qwen, not Qwen-VL; import it as `qwen`")
    start = int(visual["image_start_id"])
    vision = VisionConfig(
        image_size=visual["image_size"],
        patch_size=visual["patch_size"],
        hidden_size=visual["width"],
        num_hidden_layers=visual["layers"],
        num_attention_heads=visual["heads"],
        intermediate_size=int(visual["width"] * visual["mlp_ratio"]),
    )
    adapter = AdapterConfig(
        query_grid=round(visual.get("n_queries", 256) ** 0.5),
        num_attention_heads=max(1, visual["output_dim"] // HEAD_WIDTH),
    )
    return QwenVLConfig(
        vision, adapter, text, image_start_token_id=start, image_end_token_id=start + 1, image_token_id=start + 2
    )


def released_text_config(values: JsonObject) -> Any:
    """Qwen v1 expressed as Qwen2. Qwen v1 counts both halves of the gated MLP in `intermediate_size`."""
    heads = values["num_attention_heads"]
    if values.get("kv_channels", values["hidden_size"] // heads) * heads != values["hidden_size"]:
        raise ModelError(
            "config.json: kv_channels x num_attention_heads differs from hidden_size, which is not supported"
        )
    return qwen_text_config(
        vocab_size=values["vocab_size"],
        hidden_size=values["hidden_size"],
        num_hidden_layers=values["num_hidden_layers"],
        num_attention_heads=heads,
        num_key_value_heads=heads,
        intermediate_size=values["intermediate_size"] // 2,
        max_position_embeddings=values.get("max_position_embeddings", 8192),
        rms_norm_eps=values.get("layer_norm_epsilon", 1e-6),
        rope_parameters={"rope_type": "default", "rope_theta": float(values.get("rotary_emb_base", 10000))},
        tie_word_embeddings=bool(values.get("tie_word_embeddings", False)),
        eos_token_id=END_OF_TEXT if values["vocab_size"] > END_OF_TEXT else None,
    )


def to_released(config: QwenVLConfig) -> JsonObject:
    """The released `config.json` of our configuration. Raises ModelError if that layout cannot express it."""
    text, vision, adapter = config.text_config, config.vision_config, config.adapter_config
    if text.model_type != "qwen2" or text.num_key_value_heads != text.num_attention_heads:
        raise ModelError(f"the released layout can only express Qwen v1, not {text.model_type!r} or grouped keys")
    if adapter.num_attention_heads != max(1, text.hidden_size // HEAD_WIDTH):
        raise ModelError(f"the released layout requires adapter heads of width {HEAD_WIDTH}")
    return {
        "architectures": ["QWenLMHeadModel"],
        "model_type": "qwen",
        "hidden_size": text.hidden_size,
        "intermediate_size": 2 * text.intermediate_size,
        "kv_channels": text.hidden_size // text.num_attention_heads,
        "layer_norm_epsilon": text.rms_norm_eps,
        "max_position_embeddings": text.max_position_embeddings,
        "no_bias": True,
        "num_attention_heads": text.num_attention_heads,
        "num_hidden_layers": text.num_hidden_layers,
        "rotary_emb_base": text.rope_parameters["rope_theta"],
        "seq_length": 2048,
        "tie_word_embeddings": text.tie_word_embeddings,
        "vocab_size": text.vocab_size,
        "visual": {
            "heads": vision.num_attention_heads,
            "image_size": vision.image_size,
            "image_start_id": config.image_start_token_id,
            "layers": vision.num_hidden_layers,
            "mlp_ratio": (vision.intermediate_size + 0.5) / vision.hidden_size,
            "n_queries": adapter.num_queries,
            "output_dim": text.hidden_size,
            "patch_size": vision.patch_size,
            "width": vision.hidden_size,
        },
    }


def openclip_config(source: Path, stored: dict[str, Stored]) -> VisionConfig:
    """The vision configuration of an OpenCLIP ViT, from the shapes of its tensors and, for the heads, its config file.

    Without `open_clip_config.json`, only widths are accepted whose head width is known from OpenCLIP's own models.
    """
    try:
        width, _, patch, _ = stored["visual.conv1.weight"].shape
        rows = stored["visual.positional_embedding"].shape[0]
        mlp = stored["visual.transformer.resblocks.0.mlp.c_fc.weight"].shape[0]
    except KeyError as error:
        raise ModelError(f"{source} is not an OpenCLIP ViT: tensor {error} is missing") from error
    blocks = {name.split(".")[3] for name in stored if name.startswith("visual.transformer.resblocks.")}
    side = round((rows - 1) ** 0.5)
    return VisionConfig(
        image_size=side * patch,
        patch_size=patch,
        hidden_size=width,
        num_hidden_layers=len(blocks),
        num_attention_heads=width // _head_width(source, width),
        intermediate_size=mlp,
        position_grid=side,
    )


def _head_width(source: Path, width: int) -> int:
    file = (source if source.is_dir() else source.parent) / "open_clip_config.json"
    if file.is_file():
        model = read_json(file)["model_cfg"]
        if model.get("quick_gelu"):
            raise ModelError(f"{file}: the model uses quick_gelu, but this vision tower only computes the exact GELU")
        return int(model["vision_cfg"].get("head_width", 64))
    known = {1664: 104, 1408: 88, 1280: 80, 1024: 64, 768: 64}
    if width not in known:
        raise ModelError(f"{file} is missing, and without it the head width of a ViT of width {width} is unknown")
    return known[width]
