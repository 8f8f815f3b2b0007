"""Three sizes under a name: `qwen-vl` (9.6B, exact), `small` (about 0.3B, one GPU), `tiny` (seconds on a CPU).

All share the released vocabulary and 256 positions per image, so data prepared for one fits the others.
"""

from model.config import AdapterConfig, QwenVLConfig, VisionConfig, qwen_text_config
from model.errors import ModelError

PRESETS = ("qwen-vl", "small", "tiny")


def preset(name: str) -> QwenVLConfig:
    """A fresh configuration; ModelError for a name that is not in PRESETS."""
    if name == "qwen-vl":
        return QwenVLConfig()
    if name == "small":
        return QwenVLConfig(
            _vision(768, 12, 12, 3072),
            AdapterConfig(num_attention_heads=12),
            qwen_text_config(
                hidden_size=768,
                num_hidden_layers=12,
                num_attention_heads=12,
                num_key_value_heads=12,
                intermediate_size=2048,
                tie_word_embeddings=True,
            ),
        )
    if name == "tiny":
        return QwenVLConfig(
            _vision(64, 2, 4, 128),
            AdapterConfig(num_attention_heads=4),
            qwen_text_config(
                hidden_size=64,
                num_hidden_layers=2,
                num_attention_heads=4,
                num_key_value_heads=4,
                intermediate_size=128,
                tie_word_embeddings=True,
            ),
        )
    raise ModelError(f"unknown preset {name!r}: there are {', '.join(PRESETS)}")


def _vision(width: int, layers: int, heads: int, mlp: int) -> VisionConfig:
    return VisionConfig(
        image_size=224,
        hidden_size=width,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        intermediate_size=mlp,
    )
