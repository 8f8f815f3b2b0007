"""Layouts of dialogues are read into turns; test_chat.py compares whole rows of every layout."""

from typing import Any

import pytest

from qvl.pipeline.builders.text.messages import ImagePart, LayoutError, read_turns


def test_read_turns_fills_image_slots_with_the_paths_of_the_row_in_order() -> None:
    row = {
        "images": ["a.png", "b.png"],
        "conversations": [
            {"from": "human", "value": "<image>\nand <image>which?"},
            {"from": "gpt", "value": "The second."},
        ],
    }
    assert read_turns(row) == [
        ("user", [ImagePart("a.png"), "and ", ImagePart("b.png"), "which?"]),
        ("assistant", ["The second."]),
    ]


def test_read_turns_keeps_the_paths_that_are_written_in_the_text() -> None:
    row = {
        "text": "<|im_start|>user\nPicture 1: <img>a.png</img>\nWhat?<|im_end|>\n<|im_start|>assistant\nA cat.<|im_end|>"
    }
    assert read_turns(row) == [("user", [ImagePart("a.png"), "What?"]), ("assistant", ["A cat."])]


@pytest.mark.parametrize(
    ("row", "verdict"),
    [
        ({}, "unreadable:no_dialogue"),
        ({"messages": ["hello"]}, "unreadable:no_dialogue"),
        ({"messages": [{"role": "user", "content": [{"type": "audio"}]}]}, "unreadable:no_text"),
        ({"messages": [{"role": "robot", "content": "x"}]}, "roles"),
        ({"image": "a.png", "messages": [{"role": "user", "content": "x"}]}, "image_count"),
        ({"images": [3], "messages": [{"role": "user", "content": "<image>"}]}, "image_count"),
    ],
)
def test_read_turns_raises_when_the_row_is_not_a_dialogue(row: dict[str, Any], verdict: str) -> None:
    with pytest.raises(LayoutError, match=verdict):
        read_turns(row)
