"""Pages read by a model: edits, words and lines."""

import pytest

from qvl.training.evaluation.metrics.ocr import count_page


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
