"""The versions of the browser and its fonts."""

import pytest

from qvl.synth_ocr.html.isolation import executable
from qvl.synth_ocr.html.versions import missing_programs, versions


@pytest.mark.skipif(executable() is None, reason="no chromium: sh scripts/ocr_packages.sh")
def test_versions_when_a_browser_is_installed_name_it_and_the_fonts() -> None:
    assert missing_programs() == []
    found = versions()
    assert set(found) == {"browser", "fonts"} and any(part[0].isdigit() for part in found["browser"].split())
