"""Documents of the build tests."""

from pathlib import Path

import pytest

from tests.synth_ocr import trap_pdf as trap


@pytest.fixture
def documents(tmp_path: Path) -> Path:
    folder = tmp_path / "docs"
    folder.mkdir()
    for number, draw in enumerate((None, trap.slanted, trap.cells)):
        (folder / f"{number}.pdf").write_bytes(trap.saved(trap.document(draw), no_new_id=True))
    (folder / "broken.pdf").write_bytes(b"%PDF-1.4 but no more")
    return folder
