"""A sample on a page: the question without markup, marked words of an answer, and the regions that are drawn."""

from typing import Any

import pytest

from qvl.pipeline.markup import dialects
from qvl.training.evaluation.cards import answer_regions, card, marked_answer, question, truth
from qvl.training.evaluation.samples.sample import Answer, Decoding, EvalSample, Metric


def sample(metric: Metric, *answers: str, **more: Any) -> EvalSample:
    prompt = more.pop("prompt", "<img>0</img>What is <ref>it</ref>?")
    return EvalSample("id-1", "set", "source en", metric, prompt, (), answers, Decoding(9), **more)


def test_question_has_no_markup() -> None:
    assert question(sample("exact", "a")) == "What is it?"


def test_truth_of_a_box_is_its_markup_and_of_other_answers_plain_text() -> None:
    assert truth(sample("box", boxes=((0.0, 0.0, 1.0, 1.0),))) == dialects.box((0, 0, 1, 1))
    assert truth(sample("cider", *(f"caption {n}" for n in range(9)))) == "\n".join(f"caption {n}" for n in range(5))
    grounded = "<ref>a cat</ref><box>(1,2),(3,4)</box> on a <ref>mat</ref><box>(5,6),(7,8)</box>"
    assert truth(sample("grounded", grounded)) == "a cat on a mat"


def test_marked_answer_marks_the_words_that_the_truth_lacks() -> None:
    html = str(marked_answer(sample("cider", "a red cat."), Answer("A blue cat"), "a red cat."))
    assert "<mark>blue</mark>" in html and html.count("<mark>") == 1


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (Answer("", fault="PixelError: truncated"), "not asked: PixelError: truncated"),
        (Answer(""), "(nothing)"),
        (Answer("<script>"), "&lt;script&gt;"),
    ],
)
def test_marked_answer_when_there_is_none_or_it_is_hostile_says_so_in_text(answer: Answer, text: str) -> None:
    html = str(marked_answer(sample("exact", "a"), answer, "a"))
    assert text in html and "<script>" not in html


def test_answer_regions_hold_what_is_asked_the_truth_and_the_answer() -> None:
    asked = sample("box", boxes=((0.0, 0.25, 0.5, 1.0),), prompt="<ref>x</ref>")
    found = answer_regions(asked, Answer("<box>(0,0),(999,999)</box>"))
    assert (found.asked, found.truth) == ([], [(0.0, 0.25, 0.5, 0.25, 0.5, 1.0, 0.0, 1.0)])
    assert found.answered == [pytest.approx((0, 0, 1, 0, 1, 1, 0, 1))]
    assert answer_regions(asked, Answer("no idea")).answered == []
    pointed = sample("cider", "a cat", prompt="<img>0</img><ref>This</ref><box>(0,0),(999,999)</box> is")
    assert answer_regions(pointed, Answer("x")).asked == [pytest.approx((0, 0, 1, 0, 1, 1, 0, 1))]
    assert [shape.kind for shape in answer_regions(pointed, Answer("x")).shapes()] == ["asked"]


def test_card_without_an_image_shows_both_answers_and_the_value() -> None:
    html = str(card(sample("exact", "yes"), Answer("no"), 0.25))
    for text in ("no image", "0.250", "expected", "answered", "id-1", "source en"):
        assert text in html
