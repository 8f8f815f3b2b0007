"""HTML as a source."""

from pathlib import Path

import pytest

from qvl.synth_ocr.html.source import Html


def test_missing_when_no_browser_is_installed_names_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert Html(templates="en", count=1).missing() == [
        "chromium is not installed",
        "fontconfig (fc-list) is not installed",
    ]
