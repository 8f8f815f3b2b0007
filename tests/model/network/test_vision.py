"""The vision tower against a plain reference."""

from pathlib import Path

import pytest
import torch

import tests.model.plain_qwen_vl as reference
from qvl.model.weights.auto import load_model
from tests.model.small_checkpoints import reference_weights


@pytest.mark.parametrize("side", [224, 448])
def test_image_features_equal_the_plain_reference(imported: Path, side: int) -> None:
    model = load_model(imported, dtype=torch.float64)
    w = reference_weights()
    image = torch.randn(3, side, side, dtype=torch.float64)
    wanted = reference.adapter(w, reference.vision(w, image, 3, 14), 2)
    torch.testing.assert_close(model.model.encode_images(image[None])[0], wanted, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(
        model.get_image_features(pixel_values=image[None]).pooler_output[0], wanted, atol=1e-5, rtol=1e-5
    )


def test_sdpa_equals_eager_attention_at_head_width_104() -> None:
    from qvl.model.network.config import VisionConfig
    from qvl.model.network.vision import VisionAttention

    config = VisionConfig(hidden_size=208, num_attention_heads=2, intermediate_size=16)
    attention, x = VisionAttention(config), torch.randn(2, 9, 208)
    q, k, v = (part.unflatten(-1, (2, 104)).transpose(1, 2) for part in attention.qkv(x).chunk(3, -1))
    eager = (q @ k.transpose(-1, -2) / 104**0.5).softmax(-1) @ v
    torch.testing.assert_close(attention(x), attention.out_proj(eager.transpose(1, 2).flatten(2)), atol=1e-5, rtol=1e-5)
