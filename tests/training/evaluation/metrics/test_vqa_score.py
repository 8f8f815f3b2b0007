"""The VQA score against cases that were computed by hand."""

import pytest

from qvl.training.evaluation.metrics.vqa_score import normalised, vqa_score, without_punctuation


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
