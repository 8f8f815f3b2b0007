"""Configurations: sizes that contradict each other, and the way through a file."""

import pytest

from qvl.model.network.config import QwenVLConfig, VisionConfig
from qvl.model.network.errors import ModelError
from qvl.model.network.presets import preset


@pytest.mark.parametrize("wrong", [{"num_attention_heads": 15}, {"image_size": 225}])
def test_configuration_raises_when_its_sizes_contradict_each_other(wrong: dict[str, int]) -> None:
    with pytest.raises(ModelError, match=r"invalid configuration: .* not a multiple of"):
        VisionConfig(**wrong)


def test_configuration_is_equal_after_a_round_trip() -> None:
    config = preset("small")
    again = QwenVLConfig.from_dict(config.to_dict())
    assert again.to_dict() == config.to_dict()
    assert again.text_config.tie_word_embeddings
    assert again.tie_word_embeddings
