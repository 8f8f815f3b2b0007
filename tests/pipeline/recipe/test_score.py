"""The models of a recipe's scores."""

import pytest

from qvl.pipeline.recipe.score import Clip, ClipModel, Score, is_weight_file


@pytest.mark.parametrize(
    ("name", "is_file"),
    [
        ("laion2b_s34b_b79k", False),
        ("openai", False),
        ("weights/b32.pt", True),
        ("b32.safetensors", True),
        ("b.bin", True),
    ],
)
def test_a_name_with_a_slash_or_an_ending_of_weights_is_a_file(name: str, is_file: bool) -> None:
    assert is_weight_file(name) == is_file
    assert ClipModel(model="ViT-B-32", pretrained=name).is_file == is_file


def test_only_the_models_that_are_set_have_a_column() -> None:
    english, chinese = (ClipModel(model=name, pretrained="openai") for name in ("ViT-B-32", "ViT-B-16"))
    assert Clip(english=english).models() == {"clip_english": english}
    assert list(Clip(english=english, chinese=chinese).models()) == ["clip_english", "clip_chinese"]
    assert Score(clip=Clip(english=english)).measured() == {"clip", "clip_english"}
    assert Score().measured() == frozenset()
