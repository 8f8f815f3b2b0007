"""The samples of Box B.1, character by character."""

import pytest

from qvl.pipeline.markup.coordinates import Quad
from qvl.pipeline.markup.turns import (
    Turns,
    caption_turns,
    detection_turns,
    grounded_caption_turns,
    ocr_turns,
    referring_turns,
    region_caption_turns,
    vqa_turns,
)
from tests.pipeline.markup.boxes import fractions


def whole(turns: Turns) -> str:
    assert [turn.role for turn in turns] == ["user", "assistant"]
    return "".join(turn.text for turn in turns)


# the paper's examples (Box B.1); <img>0</img> stands for the path, the end of text is the trainer's
def test_grounded_caption_equals_the_papers_example() -> None:
    caption = "Beautiful shot of bees gathering nectars from an apricot flower"
    bees = [fractions(661, 612, 833, 812), fractions(120, 555, 265, 770)]
    turns = grounded_caption_turns(caption, [(18, 22, bees), (46, 63, [fractions(224, 13, 399, 313)])], language="en")
    assert turns[0].text == "<img>0</img>Generate the caption in English with grounding:"
    assert turns[1].text == (
        " Beautiful shot of <ref>bees</ref><box>(661,612),(833,812)</box><box>(120,555),(265,770)</box> gathering nectars "
        "from <ref>an apricot flower</ref><box>(224,13),(399,313)</box>"
    )


def test_referring_expression_equals_the_papers_example() -> None:
    turns = referring_turns("the ear on a giraffe", [fractions(176, 106, 232, 160)])
    assert turns[0].text == "<img>0</img><ref>the ear on a giraffe</ref>"
    assert turns[1].text == "<box>(176,106),(232,160)</box>"


def test_region_caption_equals_the_papers_example() -> None:
    turns = region_caption_turns(fractions(360, 542, 476, 705), "Yellow cross country ski racing gloves")
    assert turns[0].text == "<img>0</img><ref>This</ref><box>(360,542),(476,705)</box> is"
    assert turns[1].text == " Yellow cross country ski racing gloves"


def test_question_and_answer_equal_the_papers_example() -> None:
    question = "Does the bandage have a different color than the wrist band?"
    turns = vqa_turns(question, "No, both the bandage and the wrist band are white.")
    assert turns[0].text == f"<img>0</img> {question} Answer:"
    assert turns[1].text == " No, both the bandage and the wrist band are white."


def test_caption_and_ocr_equal_the_papers_examples() -> None:
    turns = caption_turns("the beautiful flowers for design.", "en")
    assert whole(turns) == "<img>0</img>Generate the caption in English: the beautiful flowers for design."
    corners: Quad = (568 / 999, 121 / 999, 625 / 999, 131 / 999, 624 / 999, 182 / 999, 567 / 999, 172 / 999)
    assert whole(ocr_turns([("It is managed", corners)], "en")) == (
        "<img>0</img>OCR with grounding: <ref>It is managed</ref><quad>(568,121),(625,131),(624,182),(567,172)</quad>"
    )


def test_chinese_samples_have_chinese_prompts_and_no_blank() -> None:
    spot = fractions(1, 2, 3, 4)
    assert whole(grounded_caption_turns("一只猫", [(0, 3, [spot])], "zh")) == (
        "<img>0</img>Generate the caption in Chinese with grounding: <ref>一只猫</ref><box>(1,2),(3,4)</box>"
    )
    turns = region_caption_turns(spot, "一只猫", "zh")
    assert [turn.text for turn in turns] == ["<img>0</img><ref>这</ref><box>(1,2),(3,4)</box>是", "一只猫"]
    assert whole(vqa_turns("几只猫？", "两只", "zh")) == "<img>0</img> 几只猫？ 答案：两只"
    assert whole(ocr_turns([], "zh")) == "<img>0</img>识别文字并给出位置："


def test_an_objects_sample_lists_every_label_with_its_boxes() -> None:
    labels = [("cat", [fractions(1, 2, 3, 4)]), ("dog", [fractions(5, 6, 7, 8), fractions(9, 10, 11, 12)])]
    assert whole(detection_turns(labels)) == (
        "<img>0</img> Which objects are in the image, and where? Answer: <ref>cat</ref><box>(1,2),(3,4)</box>"
        "<ref>dog</ref><box>(5,6),(7,8)</box><box>(9,10),(11,12)</box>"
    )


@pytest.mark.parametrize("ends", [[(2, 2)], [(0, 9)], [(2, 4), (3, 5)]], ids=["empty", "too long", "overlapping"])
def test_a_bad_span_is_an_error(ends: list[tuple[int, int]]) -> None:
    with pytest.raises(ValueError, match="span"):
        grounded_caption_turns("a word", [(start, end, []) for start, end in ends])
