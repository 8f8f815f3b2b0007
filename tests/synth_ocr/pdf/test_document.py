"""Documents to pages."""

import cv2

from qvl.synth_ocr.page.rules import PageRules
from qvl.synth_ocr.pdf.document import DocumentTask, choose_pages, read_document
from tests.synth_ocr import trap_pdf as trap


def test_document_is_read_with_one_drawing_thread() -> None:
    cv2.setNumThreads(2)
    list(read_document(DocumentTask(trap.saved(trap.document()), None, 0, "d", 400, PageRules())))
    assert cv2.getNumThreads() == 1


def test_chosen_pages_are_in_order_and_the_same_for_equal_seeds() -> None:
    assert choose_pages(3, None, 0, "d") == choose_pages(3, 5, 0, "d") == [0, 1, 2]
    chosen = choose_pages(100, 10, 0, "d")
    assert chosen == sorted(set(chosen)) == choose_pages(100, 10, 0, "d") and len(chosen) == 10
    assert chosen != choose_pages(100, 10, 1, "d")
