"""Parameters of a model by part."""

from qvl.model.network.presets import preset
from qvl.model.network.qwen_vl import QwenVLForConditionalGeneration
from qvl.model.weights.info import parts


def test_parts_of_a_preset_add_up_to_the_parameters_of_the_model() -> None:
    config = preset("nano")
    model = QwenVLForConditionalGeneration(config)
    *single, total = parts(config)
    assert total.parameters == sum(part.parameters for part in single)
    assert total.parameters == sum(parameter.numel() for parameter in model.parameters())
    vision = sum(parameter.numel() for parameter in model.model.vision_tower.parameters())
    assert {part.name: part.parameters for part in single}["vision"] == vision
