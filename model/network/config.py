"""Configuration of Qwen-VL: vision, adapter and text, nested (paper section 2.1, table 1).

The defaults describe the released 9.6B model. This file is copied next to exported weights and imports only its neighbours.
"""

# mypy: disable-error-code="no-untyped-call"

from __future__ import annotations

from typing import Any, ClassVar

from transformers import AutoConfig, PreTrainedConfig, Qwen2Config

from .errors import ModelError

Values = dict[str, Any]

IGNORE = -100
"""Label of a position that contributes no loss."""


class VisionConfig(PreTrainedConfig):
    """ViT without a class token. `position_grid` is the side of the stored position table, in patches."""

    model_type = "qwen_vl_vision"
    base_config_key = "vision_config"

    def __init__(
        self,
        *,
        image_size: int = 448,
        patch_size: int = 14,
        hidden_size: int = 1664,
        num_hidden_layers: int = 48,
        num_attention_heads: int = 16,
        intermediate_size: int = 8192,
        position_grid: int = 16,
        layer_norm_eps: float = 1e-6,
        **kwargs: Any,
    ) -> None:
        _require(
            hidden_size % num_attention_heads == 0,
            f"vision width {hidden_size} is not a multiple of its {num_attention_heads} heads",
        )
        _require(image_size % patch_size == 0, f"image size {image_size} is not a multiple of patch size {patch_size}")
        self.image_size = image_size
        self.patch_size = patch_size
        self.hidden_size = hidden_size
        self.num_hidden_layers = num_hidden_layers
        self.num_attention_heads = num_attention_heads
        self.intermediate_size = intermediate_size
        self.position_grid = position_grid
        self.layer_norm_eps = layer_norm_eps
        super().__init__(**kwargs)


class AdapterConfig(PreTrainedConfig):
    """One cross-attention layer with `query_grid` squared learned queries, as wide as the language model."""

    model_type = "qwen_vl_adapter"
    base_config_key = "adapter_config"

    def __init__(
        self,
        *,
        query_grid: int = 16,
        num_attention_heads: int = 32,
        layer_norm_eps: float = 1e-6,
        **kwargs: Any,
    ) -> None:
        self.query_grid = query_grid
        self.num_attention_heads = num_attention_heads
        self.layer_norm_eps = layer_norm_eps
        super().__init__(**kwargs)

    @property
    def num_queries(self) -> int:
        """Number of positions that one image takes in the language model."""
        return self.query_grid**2


class QwenVLConfig(PreTrainedConfig):
    """The whole model. The default token ids are those of the release (reference section 13)."""

    model_type = "qwen_vl"
    sub_configs: ClassVar[Values] = {
        "vision_config": VisionConfig,
        "adapter_config": AdapterConfig,
        "text_config": AutoConfig,
    }

    def __init__(
        self,
        vision_config: VisionConfig | Values | None = None,
        adapter_config: AdapterConfig | Values | None = None,
        text_config: PreTrainedConfig | Values | None = None,
        *,
        image_start_token_id: int = 151857,
        image_end_token_id: int = 151858,
        image_token_id: int = 151859,
        turn_end_token_id: int = 151645,
        **kwargs: Any,
    ) -> None:
        self.vision_config = _sub_config(VisionConfig, vision_config)
        self.adapter_config = _sub_config(AdapterConfig, adapter_config)
        self.text_config = _text_config(text_config)
        self.image_start_token_id = image_start_token_id
        self.image_end_token_id = image_end_token_id
        self.image_token_id = image_token_id
        self.turn_end_token_id = turn_end_token_id
        kwargs["tie_word_embeddings"] = bool(getattr(self.text_config, "tie_word_embeddings", False))
        self.tie_word_embeddings: bool = kwargs["tie_word_embeddings"]
        width, heads = self.text_config.hidden_size, self.adapter_config.num_attention_heads
        _require(width % heads == 0, f"adapter width {width} is not a multiple of its {heads} heads")
        _require(width % 4 == 0, f"adapter width {width} is not a multiple of 4, which 2-D sines and cosines need")
        super().__init__(**kwargs)


def qwen_text_config(**changes: Any) -> Qwen2Config:
    """Qwen-7B expressed as Qwen2 (reference section 17); `changes` override single values.

    `pad_token_id` is left unset: it would become the embedding's padding_idx, and because padding is end-of-text here,
    the end-of-text row would never receive a gradient.
    """
    values: Values = {
        "vocab_size": 151936,
        "hidden_size": 4096,
        "num_hidden_layers": 32,
        "num_attention_heads": 32,
        "num_key_value_heads": 32,
        "intermediate_size": 11008,
        "max_position_embeddings": 8192,
        "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0},
        "rms_norm_eps": 1e-6,
        "tie_word_embeddings": False,
        "bos_token_id": None,
        "eos_token_id": 151643,
        "pad_token_id": None,
    }
    return Qwen2Config(**{**values, **changes})


def _sub_config(kind: type[Any], value: Any) -> Any:
    if isinstance(value, dict):
        return kind(**value)
    return kind() if value is None else value


def _text_config(value: PreTrainedConfig | Values | None) -> Any:
    if value is None:
        return qwen_text_config()
    if isinstance(value, dict):
        settings = dict(value)
        return AutoConfig.for_model(settings.pop("model_type", "qwen2"), **settings)
    return value


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise ModelError(f"invalid configuration: {message}")
