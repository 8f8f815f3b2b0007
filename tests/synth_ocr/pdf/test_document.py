"""Documents to pages."""

import cv2

from qvl.synth_ocr.page.rules import PageRules
from qvl.synth_ocr.pdf.document import DocumentTask, read_document
from tests.synth_ocr import trap_pdf as trap


def test_document_is_read_with_one_drawing_thread() -> None:
    cv2.setNumThreads(2)
    list(read_document(DocumentTask(trap.saved(trap.document()), None, 0, "d", 400, PageRules())))
    assert cv2.getNumThreads() == 1
