"""Boxes of grounded captions, matched with their phrases."""

import pytest

from qvl.pipeline.markup.parsing import Phrase
from qvl.training.evaluation.metrics.grounded import count_grounding, f1


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
