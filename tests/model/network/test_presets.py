"""Exact parameter counts, and configurations whose values contradict each other."""

import pytest

from qvl.model.network.errors import ModelError
from qvl.model.network.presets import PRESETS, preset
from qvl.model.weights.info import parts


def test_parts_of_the_released_size_have_the_published_counts() -> None:
    counts = {part.name: part for part in parts(preset("qwen-vl"))}
    assert counts["vision"].parameters == 1_842_770_688
    assert counts["adapter"].parameters == 75_005_952
    assert counts["adapter"].fixed == 1_048_576
    assert counts["ln_post + proj"].parameters == 16_785_408
    assert counts["language"].parameters == 7_721_324_544
    assert counts["total"].parameters + counts["total"].fixed == 9_656_935_168
    visual = sum(counts[name].parameters for name in ("vision", "adapter", "ln_post + proj"))
    assert visual + counts["total"].fixed == 1_935_610_624


@pytest.mark.parametrize(
    ("name", "least", "most"), [("small", 250e6, 350e6), ("tiny", 5e6, 15e6), ("nano", 15e6, 25e6)]
)
def test_small_presets_have_about_their_stated_size(name: str, least: float, most: float) -> None:
    assert least < parts(preset(name))[-1].parameters < most


def test_presets_have_the_released_vocabulary_and_image_length() -> None:
    for name in PRESETS:
        config = preset(name)
        assert config.text_config.vocab_size == 151936
        assert config.adapter_config.num_queries == (64 if name == "nano" else 256)
        assert config.image_token_id == 151859
        assert config.vision_config.layer_norm_eps == config.adapter_config.layer_norm_eps == 1e-6


def test_preset_lists_the_known_names_when_the_name_is_unknown() -> None:
    with pytest.raises(ModelError, match="qwen-vl, small, tiny, nano"):
        preset("huge")
