"""Named model sizes: `qwen-vl` (9.6B, as released), `small` (0.3B, one GPU), `tiny` (seconds on a CPU), `nano` (minutes).

All use the released vocabulary. All use 256 positions per image except `nano`, which uses 64 so that it learns something
within minutes on a CPU.
"""

from transformers import Qwen2Config

from qvl.model.network.config import AdapterConfig, QwenVLConfig, VisionConfig, qwen_text_config
from qvl.model.network.errors import ModelError

PRESETS = ("qwen-vl", "small", "tiny", "nano")


def preset(name: str) -> QwenVLConfig:
    """A new configuration of that name. Raises ModelError for a name that is not in PRESETS."""
    if name == "qwen-vl":
        return QwenVLConfig()
    if name == "small":
        return QwenVLConfig(_vision(768, 12, 12, 3072), AdapterConfig(num_attention_heads=12), _text(768, 12, 12, 2048))
    if name == "tiny":
        return QwenVLConfig(_vision(64, 2, 4, 128), AdapterConfig(num_attention_heads=4), _text(64, 2, 4, 128))
    if name == "nano":
        adapter = AdapterConfig(query_grid=8, num_attention_heads=4)
        return QwenVLConfig(_vision(96, 3, 4, 256), adapter, _text(128, 3, 4, 320))
    raise ModelError(f"unknown preset {name!r}; choose one of {', '.join(PRESETS)}")


def _text(width: int, layers: int, heads: int, mlp: int) -> Qwen2Config:
    return qwen_text_config(
        hidden_size=width,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=heads,
        intermediate_size=mlp,
        tie_word_embeddings=True,
    )


def _vision(width: int, layers: int, heads: int, mlp: int) -> VisionConfig:
    return VisionConfig(
        image_size=224,
        hidden_size=width,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        intermediate_size=mlp,
    )
