"""The Tesseract that is installed, and the one that is not."""

import os
import shutil
import subprocess
import sys

import pytest

from qvl.synth_ocr.page.tesseract import limit_tesseract_threads
from tests.shared import ROOT

pytest.importorskip("pytesseract", reason="pip install 'qvl[ocr]'")


@pytest.mark.parametrize("path", [os.environ.get("PATH", ""), "/nowhere"])
def test_tesseract_version_is_that_of_the_program_on_the_path_or_none(path: str) -> None:
    """In a new process, because pytesseract remembers the version."""
    code = "from qvl.synth_ocr.page.tesseract import tesseract_version; print(tesseract_version())"
    environment = {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    if shutil.which("tesseract", path=path) is None:
        assert done.stdout == "None\n"
    else:
        printed = subprocess.run(["tesseract", "--version"], capture_output=True, text=True, check=True).stdout
        assert printed.splitlines()[0] == f"tesseract {done.stdout.strip()}"


def test_limit_tesseract_threads_leaves_a_number_that_the_user_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_THREAD_LIMIT", "3")
    limit_tesseract_threads()
    assert os.environ["OMP_THREAD_LIMIT"] == "3"
    monkeypatch.delenv("OMP_THREAD_LIMIT")
    limit_tesseract_threads()
    assert os.environ["OMP_THREAD_LIMIT"] == "1"
