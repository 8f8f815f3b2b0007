"""The OCR dataset as a builder."""

from pathlib import Path

from qvl.synth_ocr.build.builder import OCR_VERSION, OcrBuilder
from qvl.synth_ocr.build.sample import COLUMNS
from tests.synth_ocr.build.documents import recipe


def test_unit_of_the_builder_depends_on_settings_engine_and_document(documents: Path) -> None:
    builder = OcrBuilder(recipe(documents, text_tokens=500))
    first, second, *_ = builder.units()
    parts = builder.parts(first)
    assert (parts["version"], parts["seed"], parts["text_tokens"]) == (OCR_VERSION, 0, 500)
    changed = {key for key, value in builder.parts(second).items() if parts[key] != value}
    assert changed == {"document"}


def test_rows_of_a_unit_have_the_builders_columns(documents: Path) -> None:
    builder = OcrBuilder(recipe(documents))
    (row,) = builder.make(builder.units()[0])
    assert row.verdict == "keep" and len(row.samples) == 1
    assert list(row.columns) == [name for name, _ in COLUMNS]
