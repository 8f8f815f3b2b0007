"""How dialects write phrases, boxes and quads."""

import re

import pytest
from hypothesis import given

from qvl.pipeline.markup import dialects
from qvl.pipeline.markup.coordinates import Box
from qvl.pipeline.markup.dialects import grounded
from tests.pipeline.markup.boxes import boxes


def test_braces_and_backslashes_in_a_phrase_are_kept() -> None:
    assert dialects.ref(r"{0} \1 %s") == r"<ref>{0} \1 %s</ref>"


@given(boxes())
def test_qwen_vl_never_writes_1000_and_keeps_corners_apart(b: Box) -> None:
    numbers = [int(n) for n in re.findall(r"\d+", dialects.box(b))]
    assert all(0 <= n <= 999 for n in numbers)
    assert numbers[0] < numbers[2] and numbers[1] < numbers[3]


def test_each_dialect_writes_the_text_of_its_model() -> None:
    b, size = (0.1, 0.25, 0.5, 1.0), (280, 560)
    assert grounded("a cat", [b], "qwen2-vl") == (
        "<|object_ref_start|>a cat<|object_ref_end|><|box_start|>(100,250),(500,1000)<|box_end|>"
    )
    assert grounded("a cat", [b], "qwen2.5-vl", size) == '[{"bbox_2d": [28, 140, 140, 560], "label": "a cat"}]'
    assert grounded("a cat", [b, b], "kosmos-2") == (
        "<phrase>a cat</phrase><object><patch_index_0259><patch_index_1007></delimiter_of_multi_objects/>"
        "<patch_index_0259><patch_index_1007></object>"
    )
    assert grounded("a cat", [b], "shikra", size) == "a cat[0.300,0.250,0.500,1.000]"


def test_a_dialect_without_size_or_without_quads_is_an_error() -> None:
    with pytest.raises(ValueError, match="depends on the image's size"):
        dialects.box((0, 0, 1, 1), "qwen2.5-vl")
    with pytest.raises(ValueError, match="has no quads"):
        dialects.quad((0, 0, 1, 0, 1, 1, 0, 1), "shikra")


def test_a_box_with_swapped_corners_is_an_error() -> None:
    with pytest.raises(ValueError, match="swapped"):
        dialects.box((0.5, 0, 0.4, 1))
