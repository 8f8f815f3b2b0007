"""The engines that read PDF files."""

import sys
from pathlib import Path

import pytest

from qvl.pipeline.base.errors import RecipeError
from qvl.synth_ocr.page.rules import PageRules
from qvl.synth_ocr.pdf.document import DocumentTask, read_document
from qvl.synth_ocr.pdf.engine import Engine, engine_of, engine_version
from qvl.synth_ocr.pdf.source import Pdf
from tests.synth_ocr import trap_pdf as trap


@pytest.mark.parametrize("engine", ["mupdf", "pdfium"])
def test_engine_and_its_version_are_parts_of_a_unit(tmp_path: Path, engine: Engine) -> None:
    assert engine_of(engine) == engine and engine_of(None) == "mupdf"
    name, *versions = engine_version(engine)
    assert name == engine and versions and all(version[0].isdigit() for version in versions)
    assert Pdf(paths=("x.pdf",), engine=engine).common()["engine"] == [name, *versions]


def test_engine_when_mupdf_is_not_installed_is_pdfium(monkeypatch: pytest.MonkeyPatch) -> None:
    data = trap.saved(trap.document())
    monkeypatch.setitem(sys.modules, "pymupdf", None)
    assert engine_of(None) == "pdfium"
    task = DocumentTask(data, None, 0, "d", 400, PageRules(), engine_of(None))
    (outcome,) = (each for each in read_document(task) if not isinstance(each, list))
    assert outcome.page is not None and outcome.page.text == trap.GENUINE
    monkeypatch.setitem(sys.modules, "pypdfium2", None)
    with pytest.raises(RecipeError, match="pip install pymupdf or pypdfium2"):
        engine_of(None)
