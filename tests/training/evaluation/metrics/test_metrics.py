"""The metrics against hand-computed cases, and against what the original tools say."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rapidfuzz.distance import Levenshtein

from qvl.pipeline.markup.parsing import Phrase
from qvl.training.evaluation.metrics.anls import anls
from qvl.training.evaluation.metrics.box import best_iou
from qvl.training.evaluation.metrics.cider import cider
from qvl.training.evaluation.metrics.exact import exact, gqa_answer
from qvl.training.evaluation.metrics.grounded import count_grounding, f1
from qvl.training.evaluation.metrics.ocr import count_page
from qvl.training.evaluation.metrics.relaxed import relaxed
from qvl.training.evaluation.metrics.vqa_score import normalised, vqa_score, without_punctuation
from qvl.training.evaluation.metrics.words import words

GOLDEN = json.loads(Path(__file__).with_name("golden_captions.json").read_text("utf-8"))


def test_words_of_captions_equal_those_of_the_stanford_tokenizer() -> None:
    for pair in GOLDEN["pairs"]:
        texts = [pair["candidate"], *pair["references"]]
        found = [pair["words"], *pair["reference_words"]]
        assert [" ".join(words(text)) for text in texts] == found


def test_words_when_chinese_are_characters() -> None:
    assert words("一只 cat，坐着。") == ["一", "只", "cat", "，", "坐", "着", "。"]


def test_cider_equals_that_of_pycocoevalcap() -> None:
    pairs = GOLDEN["pairs"]
    scores = cider([pair["candidate"] for pair in pairs], [pair["references"] for pair in pairs])
    assert scores == pytest.approx([pair["cider"] for pair in pairs], abs=1e-9)
    assert sum(scores) / len(scores) == pytest.approx(GOLDEN["mean"], abs=1e-9)


def test_cider_equals_the_hand_computed_value() -> None:
    # two images: every n-gram of each sentence is in one document of two, so all weights are count * ln 2
    texts = ["red cat sits here", "blue dog runs there"]
    assert cider(texts, [[text] for text in texts]) == pytest.approx([10.0, 10.0])
    # 'red cat' against 'red cat sits here': order 1 shares 2 of (2 x 4) -> 2/sqrt(2*4), order 2 shares 1 of (1 x 3),
    # orders 3 and 4 share nothing; bigrams 1 and 3, so exp(-(2**2) / 72)
    wanted = 10 / 4 * (2 / 8**0.5 + 1 / 3**0.5) * np.exp(-4 / 72)
    assert cider(["red cat", texts[1]], [[text] for text in texts])[0] == pytest.approx(wanted)
    assert cider(["", "a"], [["x y"], ["z"]]) == [0.0, 0.0]
    with pytest.raises(ValueError, match="reference"):
        cider(["a"], [[]])


def test_vqa_score_when_humans_disagree_averages_over_them() -> None:
    assert vqa_score("2", ["2"] * 10) == 1.0
    assert vqa_score("two", ["2"] * 10) == 1.0
    # met by 3 of 10: over the 3 that met it 2/3, over the other 7 a full 1 -> (3 * 2/3 + 7) / 10
    assert vqa_score("red", ["red"] * 3 + ["blue"] * 7) == pytest.approx(0.9)
    assert vqa_score("red", ["red"] + ["blue"] * 9) == pytest.approx(9 * (1 / 3) / 10)
    assert vqa_score("green", ["red"] * 10) == 0.0
    assert vqa_score("The cat.", ["a cat"]) == 1.0


def test_vqa_score_leaves_equal_human_answers_as_they_are() -> None:
    assert vqa_score("t-shirt", ["t-shirt"] * 10) == 0.0  # as released: the prediction alone loses its hyphen
    assert vqa_score("t-shirt", ["t-shirt"] * 9 + ["shirt"]) == 1.0


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("The Two cats!", "2 cats"),
        ("none", "0"),
        ("dont know", "don't know"),
        ("couldnt've", "couldn't've"),
        ("couldn'tve", "couldn't've"),
        ("1,000", "1000"),
        ("it's 3.5 m.", "it's 3.5 m"),
        ("a/b", "b"),
        ("yes , no", "yes no"),
        ("black-white", "black white"),
        ("line\nbreak\t", "line break"),
        ("", ""),
    ],
)
def test_vqa_answers_are_normalized_as_the_official_script_does(text: str, wanted: str) -> None:
    assert normalised(text) == wanted


def test_without_punctuation_when_a_number_has_a_comma_drops_all_marks() -> None:
    assert without_punctuation("(1,000)-x") == "1000x"


def test_anls_is_one_minus_the_normalized_distance_and_zero_above_the_threshold() -> None:
    assert anls("Hello  World", ["hello world"]) == pytest.approx(1.0)
    assert anls("abcd", ["abcx"]) == pytest.approx(0.75)
    assert anls("abcd", ["abxy", "wxyz"]) == pytest.approx(0.5)
    assert anls("abcd", ["axyz"]) == 0.0
    assert anls("", ["abc"]) == 0.0
    assert anls("", [""]) == 1.0


@settings(max_examples=400)
@given(st.text("ab中", max_size=70), st.text("abc中", max_size=90))
def test_edit_distance_on_random_pairs_equals_the_dynamic_programming_table(first: str, second: str) -> None:
    row = list(range(len(second) + 1))
    for i, a in enumerate(first, 1):
        before, row[0] = row[0], i
        for j, b in enumerate(second, 1):
            before, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, before + (a != b))
    assert Levenshtein.distance(first, second) == row[-1]


def test_relaxed_accuracy_when_numbers_differ_by_at_most_five_percent_accepts_them() -> None:
    assert relaxed("105", ["100"]) == 1.0
    assert relaxed("105.1", ["100"]) == 0.0
    assert relaxed("95", ["100"]) == 1.0
    assert relaxed("94.9", ["100"]) == 0.0
    assert relaxed("50%", ["0.5"]) == 1.0
    assert relaxed("Blue ", ["blue"]) == 1.0
    assert relaxed("0", ["0"]) == 1.0
    assert relaxed("0.0", ["0"]) == 0.0  # a share of nothing has no 5 per cent: words are compared
    assert relaxed("7", ["x", "7.1"]) == 1.0


def test_exact_match_when_the_set_is_gqa_shortens_the_answer() -> None:
    assert exact(" Yes ", ["yes"]) == 1.0
    assert exact("yes!", ["yes"]) == 0.0
    assert gqa_answer("The man is wearing a hat. He smiles") == "hat"
    assert gqa_answer("top of the table") == "table"
    assert gqa_answer("Left, no right") == "left"


def test_best_iou_is_that_of_the_nearest_truth_and_zero_without_a_box() -> None:
    assert best_iou((0, 0, 1, 1), [(5, 5, 6, 6), (0, 0, 1, 2)]) == pytest.approx(0.5)
    assert best_iou(None, [(0, 0, 1, 1)]) == 0.0


def test_count_grounding_matches_boxes_with_their_phrases() -> None:
    truths = [Phrase("a cat", ((0, 0, 0.5, 0.5), (0.5, 0.5, 1, 1))), Phrase("dog", ((0, 0.5, 0.5, 1),))]
    said = [
        Phrase("A cat", ((0, 0, 0.5, 0.5),)),
        Phrase("a cat", ((0, 0, 0.5, 0.5),)),
        Phrase("fox", ((0, 0.5, 0.5, 1),)),
    ]
    found = count_grounding(said, truths)
    assert (found.truths, found.predictions, found.matched, found.boxes_matched) == (3, 3, 1, 2)
    assert f1(1, 3, 2) == pytest.approx((1 / 3, 1 / 2, 2 / 5))
    assert f1(0, 0, 3) == (0.0, 0.0, 0.0)
    assert f1(0, 0, 0) == (1.0, 1.0, 1.0)


def test_count_page_counts_edits_words_and_lines() -> None:
    truths = [("Hello world", (0, 0, 1, 0, 1, 0.1, 0, 0.1)), ("二行", (0, 0.2, 1, 0.2, 1, 0.3, 0, 0.3))]
    said = [("Hello  world", (0, 0, 1, 0, 1, 0.08, 0, 0.08)), ("二个", (0, 0.6, 1, 0.6, 1, 0.7, 0, 0.7))]
    page = count_page(said, truths)
    assert (page.edits, page.characters) == (1, len("Hello world\n二行"))
    assert (page.words, page.words_predicted, page.words_matched) == (4, 4, 3)
    assert (page.lines, page.lines_predicted, page.lines_matched, page.lines_read) == (2, 2, 1, 1)
    assert page.iou == pytest.approx(0.8)
    assert page.similarity == pytest.approx(1 - 1 / 14)
    assert count_page([], truths).similarity == 0.0
    assert count_page([], []).similarity == 1.0
    assert count_page([], truths).edits == 14
