"""PDF documents as a source."""

from pathlib import Path

from qvl.synth_ocr.page.rules import PageRules
from qvl.synth_ocr.pdf.source import Pdf
from tests.synth_ocr import trap_pdf as trap


def test_units_are_documents_ordered_by_path_and_their_pages_are_rows(tmp_path: Path) -> None:
    for name in ("b.pdf", "a.pdf"):
        (tmp_path / name).write_bytes(trap.saved(trap.document()))
    source = Pdf(paths=(str(tmp_path / "*.pdf"),), long_side=400, rules=PageRules(minimum_characters=1))
    units = source.units("docs")
    assert [(unit.id, unit.name) for unit in units] == [("docs-0000", "a.pdf"), ("docs-0001", "b.pdf")]
    (outcome,) = source.outcomes(units[0], 0)
    assert (outcome.key, outcome.verdict, max(outcome.width, outcome.height)) == ("p00001", "keep", 400)


def test_document_when_over_the_size_limit_is_one_verdict(tmp_path: Path) -> None:
    (tmp_path / "a.pdf").write_bytes(trap.saved(trap.document()))
    source = Pdf(paths=(str(tmp_path / "*.pdf"),), maximum_bytes=10)
    (outcome,) = source.outcomes(source.units("docs")[0], 0)
    assert outcome.verdict == "unreadable:too_large"
