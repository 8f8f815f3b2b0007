"""A small model for the tests, and token ids that fit it."""

import torch

from qvl.model.network.config import AdapterConfig, QwenVLConfig, VisionConfig, qwen_text_config
from qvl.model.network.qwen_vl import QwenVLForConditionalGeneration
from tests.model.small_checkpoints import START

PAD, QUERIES = START + 2, 4


def toy(**text: object) -> QwenVLForConditionalGeneration:
    """A model with 4 positions per image, to keep many batches cheap."""
    torch.manual_seed(1)
    config = QwenVLConfig(
        VisionConfig(
            image_size=28,
            hidden_size=16,
            num_hidden_layers=2,
            num_attention_heads=2,
            intermediate_size=24,
            position_grid=2,
        ),
        AdapterConfig(query_grid=2, num_attention_heads=2),
        qwen_text_config(
            vocab_size=START + 3,
            hidden_size=16,
            num_hidden_layers=2,
            num_attention_heads=2,
            num_key_value_heads=2,
            intermediate_size=24,
            eos_token_id=0,
            **text,
        ),
        image_start_token_id=START,
        image_end_token_id=START + 1,
        image_token_id=PAD,
    )
    return QwenVLForConditionalGeneration(config)


def row_of(images: int, text: int) -> list[int]:
    return [7] + [START, *[PAD] * QUERIES, START + 1] * images + list(range(10, 10 + text))
