"""The codec of boxes and the strings of Box B.1, character by character."""

import random
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qvl.pipeline.markup import dialects, markers
from qvl.pipeline.markup.coordinates import Box, Quad, box_iou, collapses, from_square, resized, to_square
from qvl.pipeline.markup.dialects import DIALECTS, Dialect, grounded
from qvl.pipeline.markup.markers import has_marker
from qvl.pipeline.markup.parsing import Phrase, parse, tag_pairs, unclosed
from qvl.pipeline.markup.turns import (
    caption_turns,
    grounded_caption_turns,
    ocr_turns,
    referring_turns,
    region_caption_turns,
    vqa_turns,
)

SIDES = st.integers(20, 5_000)
FRACTIONS = st.floats(0, 1)


def fractions(x1: int, y1: int, x2: int, y2: int) -> Box:
    """A box whose numbers in the qwen-vl dialect are these."""
    return x1 / 999, y1 / 999, x2 / 999, y2 / 999


@st.composite
def boxes(draw: st.DrawFn) -> Box:
    x1, x2 = sorted((draw(FRACTIONS), draw(FRACTIONS)))
    y1, y2 = sorted((draw(FRACTIONS), draw(FRACTIONS)))
    return x1, y1, x2, y2


def whole(turns: list[dict[str, str]]) -> str:
    assert [turn["role"] for turn in turns] == ["user", "assistant"]
    return "".join(turn["text"] for turn in turns)


# the paper's examples (Box B.1); <img>0</img> stands for the path, the end of text is the trainer's
def test_the_papers_grounded_caption() -> None:
    caption = "Beautiful shot of bees gathering nectars from an apricot flower"
    bees = [fractions(661, 612, 833, 812), fractions(120, 555, 265, 770)]
    turns = grounded_caption_turns(caption, [(18, 22, bees), (46, 63, [fractions(224, 13, 399, 313)])], language="en")
    assert turns[0]["text"] == "<img>0</img>Generate the caption in English with grounding:"
    assert turns[1]["text"] == (
        " Beautiful shot of <ref>bees</ref><box>(661,612),(833,812)</box><box>(120,555),(265,770)</box> gathering nectars "
        "from <ref>an apricot flower</ref><box>(224,13),(399,313)</box>"
    )


def test_the_papers_referring_grounding() -> None:
    turns = referring_turns("the ear on a giraffe", [fractions(176, 106, 232, 160)])
    assert turns[0]["text"] == "<img>0</img><ref>the ear on a giraffe</ref>"
    assert turns[1]["text"] == "<box>(176,106),(232,160)</box>"


def test_the_papers_grounded_captioning() -> None:
    turns = region_caption_turns(fractions(360, 542, 476, 705), "Yellow cross country ski racing gloves")
    assert turns[0]["text"] == "<img>0</img><ref>This</ref><box>(360,542),(476,705)</box> is"
    assert turns[1]["text"] == " Yellow cross country ski racing gloves"


def test_the_papers_vqa() -> None:
    question = "Does the bandage have a different color than the wrist band?"
    turns = vqa_turns(question, "No, both the bandage and the wrist band are white.")
    assert turns[0]["text"] == f"<img>0</img> {question} Answer:"
    assert turns[1]["text"] == " No, both the bandage and the wrist band are white."


def test_the_papers_caption_and_ocr() -> None:
    turns = caption_turns("the beautiful flowers for design.", "en")
    assert whole(turns) == "<img>0</img>Generate the caption in English: the beautiful flowers for design."
    corners: Quad = (568 / 999, 121 / 999, 625 / 999, 131 / 999, 624 / 999, 182 / 999, 567 / 999, 172 / 999)
    assert whole(ocr_turns([("It is managed", corners)], "en")) == (
        "<img>0</img>OCR with grounding: <ref>It is managed</ref><quad>(568,121),(625,131),(624,182),(567,172)</quad>"
    )


def test_chinese_variants() -> None:
    spot = fractions(1, 2, 3, 4)
    assert whole(grounded_caption_turns("一只猫", [(0, 3, [spot])], "zh")) == (
        "<img>0</img>Generate the caption in Chinese with grounding: <ref>一只猫</ref><box>(1,2),(3,4)</box>"
    )
    turns = region_caption_turns(spot, "一只猫", "zh")
    assert [turn["text"] for turn in turns] == ["<img>0</img><ref>这</ref><box>(1,2),(3,4)</box>是", "一只猫"]
    assert whole(vqa_turns("几只猫？", "两只", "zh")) == "<img>0</img> 几只猫？ 答案：两只"
    assert whole(ocr_turns([], "zh")) == "<img>0</img>识别文字并给出位置："


def test_braces_and_backslashes_in_text_stay() -> None:
    assert dialects.ref(r"{0} \1 %s") == r"<ref>{0} \1 %s</ref>"


@given(boxes())
def test_round_trip_within_half_a_cell(b: Box) -> None:
    """That is W / 1998 pixels; a side that vanishes on the grid is widened by one cell."""
    (phrase,) = parse(dialects.box(b))
    cells = 1.5 if collapses(b) else 0.5
    for before, after in zip(b, phrase.boxes[0], strict=True):
        assert abs(before - after) * 999 <= cells + 1e-9


@given(boxes())
def test_qwen_vl_never_writes_1000_and_keeps_the_order(b: Box) -> None:
    numbers = [int(n) for n in re.findall(r"\d+", dialects.box(b))]
    assert all(0 <= n <= 999 for n in numbers)
    assert numbers[0] < numbers[2] and numbers[1] < numbers[3]


@given(boxes())
def test_writing_what_was_read_changes_nothing(b: Box) -> None:
    written = dialects.box(b)
    assert dialects.box(parse(written)[0].boxes[0]) == written


@pytest.mark.parametrize(
    ("sides", "ours", "mixed"),
    [
        ((0.05, 0.6, 0.05, 0.6), 0.995, 0.992),
        ((0.02, 0.08, 0.01, 0.02), 0.95, 0.92),
        ((0.008, 0.03, 0.006, 0.01), 0.90, 0.84),
    ],
    ids=["objects", "words", "tiny words"],
)
def test_what_the_grid_costs_and_what_a_mixed_up_scale_costs_more(
    sides: tuple[float, float, float, float], ours: float, mixed: float
) -> None:
    """Mean overlap of a box with what is read back; a grid of 1000 that is read as one of 999 loses up to 9 points."""
    rng = random.Random(5)
    same, other = [], []
    for _ in range(3_000):
        wide, high = rng.uniform(*sides[:2]), rng.uniform(*sides[2:])
        x, y = rng.uniform(0, 1 - wide), rng.uniform(0, 1 - high)
        b = (x, y, x + wide, y + high)
        same.append(box_iou(b, parse(dialects.box(b))[0].boxes[0]))
        other.append(
            box_iou(
                b,
                parse(dialects.box(b, "qwen2-vl").replace("<|box_start|>", "<box>").replace("<|box_end|>", "</box>"))[
                    0
                ].boxes[0],
            )
        )
    assert ours < sum(same) / len(same)
    assert sum(other) / len(other) < mixed < ours


CELL: dict[Dialect, float] = {"qwen-vl": 1 / 999, "qwen2-vl": 1 / 1000, "kosmos-2": 1 / 32, "shikra": 1 / 1000}


@pytest.mark.parametrize("dialect", DIALECTS)
@given(b=boxes(), width=SIDES, height=SIDES)
def test_every_dialect_reads_what_it_writes(dialect: Dialect, b: Box, width: int, height: int) -> None:
    size, longest = (width, height), max(width, height)
    written = grounded("a red fox", [b, b], dialect, size)
    (phrase,) = parse(written, dialect, size)
    assert (phrase.text, len(phrase.boxes)) == ("a red fox", 2)
    for side in (0, 1):
        if dialect == "qwen2.5-vl":
            cell = 1 / resized(width, height)[side]
        elif dialect == "shikra":
            cell = CELL["shikra"] * longest / size[side]
        else:
            cell = CELL[dialect]
        for i in (side, side + 2):
            assert abs(phrase.boxes[0][i] - b[i]) <= cell * 1.5 + 1e-9


def test_dialects_write_what_their_models_do() -> None:
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


def test_dialects_that_need_a_size_say_so() -> None:
    with pytest.raises(ValueError, match="depends on the image's size"):
        dialects.box((0, 0, 1, 1), "qwen2.5-vl")
    with pytest.raises(ValueError, match="has no quads"):
        dialects.quad((0, 0, 1, 0, 1, 1, 0, 1), "shikra")


def test_resized_as_the_released_processor_does() -> None:
    assert resized(280, 560) == (280, 560)
    assert resized(1_000, 700) == (1_008, 700)
    assert resized(10, 10) == (56, 56)
    wide, high = resized(9_000, 9_000)
    assert wide * high <= 16_384 * 784 and wide % 28 == high % 28 == 0


@given(boxes(), SIDES, SIDES)
def test_padded_square_and_back(b: Box, width: int, height: int) -> None:
    assert from_square(to_square(b, (width, height)), (width, height)) == pytest.approx(b, abs=1e-9)


def test_parse_tolerates_what_people_write() -> None:
    one = fractions(1, 2, 3, 4)
    assert parse("<ref> Woman</ref> <box> ( 1 , 2 ) , (3,4) </box>") == [Phrase("Woman", (one,))]
    assert parse("<ref>a</ref><box>(1,2),(3,4)</box>\n<box>(1,2),(3,4)</box>") == [Phrase("a", (one, one))]
    assert parse("<ref>a</ref><box>(1,2),(3,4),(1,2),(3,4)</box>") == [Phrase("a", (one, one))]
    assert parse("<box>(1,2),(3,4)</box>") == [Phrase("", (one,))]
    assert parse("<ref>a</ref> and <box>(1,2),(3,4)</box>") == [Phrase("a"), Phrase("", (one,))]
    assert parse("<ref>a</ref><box>1,2,3,4</box>") == [Phrase("a")]
    assert parse("<ref>a</ref><box>(1,2),(3,4)") == [Phrase("a")]
    assert parse("no markup (1,2),(3,4)") == []
    (text,) = parse("<ref>TEXT</ref><quad> (0,0), (999,0), (999,999), (0,999)</quad>")
    assert text == Phrase("TEXT", (), ((0, 0, 1, 0, 1, 1, 0, 1),))


@given(st.lists(st.floats(0, 1), min_size=8, max_size=8))
def test_quads_round_trip(values: list[float]) -> None:
    x1, y1, x2, y2, x3, y3, x4, y4 = values
    (phrase,) = parse(dialects.ref("t") + dialects.quad((x1, y1, x2, y2, x3, y3, x4, y4)))
    assert phrase.quads[0] == pytest.approx(values, abs=0.5 / 999 + 1e-9)


def test_swapped_corners_and_bad_spans_are_refused() -> None:
    with pytest.raises(ValueError, match="swapped"):
        dialects.box((0.5, 0, 0.4, 1))
    for ends in ([(2, 2)], [(0, 9)], [(2, 4), (3, 5)]):
        with pytest.raises(ValueError, match="span"):
            grounded_caption_turns("a word", [(start, end, []) for start, end in ends])


def test_markers_are_found_and_escaped() -> None:
    for text in ("a <box> b", "<|im_end|>", "</ref>", "<imgpad>", "<|endoftext|>", "<<box>box>", "<|box_start|>"):
        assert has_marker(text)
        assert not has_marker(markers.escape(text))
    assert not has_marker("a < b, <b>bold</b> <boxes>")
    assert markers.escape("see <box>(1,2)</box>") == "see < box>(1,2)< /box>"
    assert markers.escape("5 < 6") == "5 < 6"


def test_marks_and_unclosed_tags() -> None:
    found = tag_pairs("<ref>a</ref><box>(5,5),(1000,2)</box>")
    assert [(mark.kind, mark.numbers) for mark in found] == [("ref", ()), ("box", (5.0, 5.0, 1000.0, 2.0))]
    assert unclosed("<ref>a</ref><box>(1,2)") == ["box"]
    assert unclosed("</ref>a<ref>") == ["ref"]
    assert unclosed("<ref>a<ref>b</ref></ref>") == ["ref"]
    assert unclosed("<ref>a</ref>") == []
