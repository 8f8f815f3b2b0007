"""Documents as this engine reads them: sizes, words, text that is removed, and files that are refused."""

import numpy as np
import pytest

from qvl.synth_ocr.page.page import PageRejected
from qvl.synth_ocr.pdf.pdfium import PdfiumFile
from tests.synth_ocr import trap_pdf as trap


def test_page_has_its_size_its_words_and_its_font() -> None:
    document = PdfiumFile(trap.saved(trap.document()))
    assert document.count == 1
    (page,) = document.pages([0])
    assert (round(page.width), round(page.height)) == (400, 300)
    words = page.words(2.0)
    assert " ".join(word.text for word in words) == trap.GENUINE
    assert len({word.line for word in words}) == 1 and {word.direction for word in words} == {(1.0, 0.0)}
    left, top, right, bottom = words[0].rect
    assert (
        110 < left < right < 400 and 120 < top < bottom < 170
    )  # drawn at (60, 80) points in 20 points, two pixels each
    assert [word.size for word in words] == pytest.approx([40.0] * len(words), abs=0.5)
    assert any("Helvetica" in name for name in page.fonts()) and not page.is_scan()
    document.close()


def test_render_without_text_differs_only_where_words_are() -> None:
    document = PdfiumFile(trap.saved(trap.document(lambda _, page: page.draw_rect((20, 200, 90, 280), fill=(0, 0, 1)))))
    for page in document.pages([0]):
        before, words = page.render(1.0), page.words(1.0)
        page.remove_text()
        after = page.render(1.0)
    assert before.shape == after.shape == (300, 400, 3)
    assert (after[210:270, 30:80] == (0, 0, 255)).all()
    rows, columns = np.nonzero((before != after).any(axis=2))
    assert len(rows) > 100
    left, top = (min(word.tall[side] for word in words) - 2 for side in (0, 1))
    right, bottom = (max(word.tall[side] for word in words) + 2 for side in (2, 3))
    assert left <= columns.min() and columns.max() <= right and top <= rows.min() and rows.max() <= bottom
    document.close()


@pytest.mark.parametrize(
    ("data", "verdict"),
    [
        (b"not a document", "unreadable:broken"),
        (trap.saved(trap.document(), encryption=5, user_pw="secret", owner_pw="other"), "unreadable:encrypted"),
    ],
    ids=["broken", "encrypted"],
)
def test_file_that_cannot_be_opened_is_rejected_with_its_reason(data: bytes, verdict: str) -> None:
    with pytest.raises(PageRejected, match=verdict):
        PdfiumFile(data)
