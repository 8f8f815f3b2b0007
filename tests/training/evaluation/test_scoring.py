"""Answers to scores: nothing is left out, what cannot be parsed is wrong, boxes are read as the release reads them."""

from typing import Any

import pytest

from qvl.pipeline.markup import dialects
from qvl.training.evaluation.samples.sample import Answer, Decoding, EvalSample, Metric
from qvl.training.evaluation.scores import GroupScore
from qvl.training.evaluation.scoring import first_box, lines, plain_text, score

QUAD = "<quad>(0,0),(999,0),(999,500),(0,500)</quad>"


def sample(name: str, metric: Metric, *answers: str, group: str = "g", **more: Any) -> EvalSample:
    return EvalSample(name, metric, group, metric, more.pop("prompt", "?"), (), answers, Decoding(9), **more)


@pytest.mark.parametrize(
    ("prompt", "text", "cells"),
    [
        ("<ref>x</ref>", "<box>(0,0),(999,999)</box>", (0, 0, 999, 999)),
        ("<ref>x</ref>", "<ref> x</ref><box>(1,2),(3,4)</box><box>(5,6),(7,8)</box>", (1, 2, 3, 4)),
        ("<ref>x</ref><box>", "(1,2),(3,4)</box>", (1, 2, 3, 4)),
        ("<ref>x</ref><box>", "(1,2),(3,4)", (1, 2, 3, 4)),  # cut before its end
        ("<ref>x</ref>", "(1,2),(3,4)", (1, 2, 3, 4)),
        ("<ref>x</ref>", "( 1, 2), (3 ,4)", (1, 2, 3, 4)),
        ("<ref>x</ref>", "it is <box>(10.5,2),(30,4)", (10.5, 2, 30, 4)),
        ("<ref>x</ref>", "<box>(1,2)</box>", None),
        ("<ref>x</ref>", "<box>(a,2),(3,4)</box>", None),
        ("<ref>x</ref>", "<box>(9,9),(3,4)</box>", None),
        ("<ref>x</ref>", "", None),
        ("<ref>x</ref><box>", "no idea", None),
    ],
)
def test_first_box_is_read_as_the_release_reads_it(prompt: str, text: str, cells: tuple[float, ...] | None) -> None:
    found = first_box(prompt, text)
    assert found == (None if cells is None else pytest.approx([cell / 999 for cell in cells]))


def test_score_of_referring_counts_every_sample() -> None:
    truth = ((0.0, 0.0, 0.5, 0.5),)
    samples = [sample(str(n), "box", "x", boxes=truth, group="ab"[n % 2]) for n in range(4)]
    texts = [dialects.box((0, 0, 0.5, 0.5)), dialects.box((0, 0, 0.5, 0.24)), "nothing", ""]
    scored = score(samples, [Answer(text) for text in texts[:3]] + [Answer("", "image: OSError")])
    values = scored.sets["box"]
    assert values.samples == 4
    assert values.score == 25.0
    assert values.counts["accuracy_at_0.5"] == 0.25
    assert (values.counts["unparsable"], values.faults) == (2, 1)
    assert scored.per_sample == pytest.approx([1.0, 0.48, 0, 0], abs=2e-3)
    assert values.groups == {"a": GroupScore(2, 50.0), "b": GroupScore(2, 0.0)}
    assert values.standard_error == pytest.approx(25.0)  # sd of (1, 0, 0, 0) is 1/2, over the root of 4


def test_score_when_a_phrase_has_several_true_boxes_accepts_any() -> None:
    truths = ((0.0, 0.0, 0.1, 0.1), (0.5, 0.5, 1.0, 1.0))
    scored = score([sample("x", "box", "x", boxes=truths)], [Answer(dialects.box((0.5, 0.5, 1.0, 1.0)))])
    assert scored.sets["box"].score == 100.0


def test_plain_text_drops_markers() -> None:
    assert plain_text(" <ref>a dog</ref><box>(1,2),(3,4)</box> ") == "a dog(1,2),(3,4)"
    assert score([sample("x", "exact", "a dog")], [Answer("<ref>A dog</ref>")]).per_sample == [1.0]


@pytest.mark.parametrize("metric", ["vqa_score", "anls", "relaxed", "exact", "gqa", "choice"])
def test_score_when_a_question_was_not_asked_is_wrong_even_if_the_answer_is_empty(metric: Metric) -> None:
    scored = score(
        [sample("x", metric, ""), sample("y", metric, "seven")], [Answer("", "image: OSError"), Answer("seven")]
    )
    assert scored.per_sample == [0.0, 1.0]
    assert scored.sets[metric].score == 50.0


def test_score_of_pages_adds_up_their_counts() -> None:
    truth = f"<ref>one two</ref>{QUAD}"
    samples = [sample("x", "ocr", truth), sample("y", "ocr", truth), sample("z", "ocr", truth)]
    found = score(samples, [Answer(truth), Answer(f"<ref>one tvo</ref>{QUAD}"), Answer("<ref>one two</ref>")])
    values = found.sets["ocr"]
    assert found.per_sample == pytest.approx([1.0, 6 / 7, 0.0], abs=1e-6)
    assert values.counts["cer"] == pytest.approx((0 + 1 + 7) / 21, abs=1e-6)
    assert values.counts["word_precision"] == pytest.approx(3 / 4)
    assert values.counts["word_recall"] == pytest.approx(3 / 6)
    assert (values.counts["line_precision"], values.counts["line_recall"]) == (1.0, pytest.approx(2 / 3, abs=1e-6))
    assert values.counts["read_recall"] == pytest.approx(1 / 3, abs=1e-6)
    assert values.counts["quad_iou"] == pytest.approx(1.0)
    assert values.counts["unparsable"] == 1
    assert lines(truth)[0][0] == "one two"


def test_score_of_captions_uses_the_references_of_their_set() -> None:
    texts = ["red cat sits here", "blue dog runs there"]
    samples = [sample(text, "cider", text) for text in texts]
    scored = score(samples, [Answer(text) for text in texts])
    assert scored.sets["cider"].score == pytest.approx(1000.0)
    assert scored.per_sample == pytest.approx([10.0, 10.0])
