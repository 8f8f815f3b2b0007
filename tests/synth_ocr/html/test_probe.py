"""The check of a running browser's isolation."""

import pytest
from playwright.sync_api import Playwright

from qvl.synth_ocr.html.browser import FLAGS
from qvl.synth_ocr.html.isolation import SETTINGS, executable
from qvl.synth_ocr.html.probe import reaches_network

pytestmark = pytest.mark.skipif(executable() is None, reason="no chromium: sh scripts/ocr_packages.sh")


@pytest.mark.parametrize(("flags", "reached"), [((), True), (SETTINGS, False)])
def test_probe_hears_a_browser_unless_its_settings_isolate_it(
    playwright: Playwright, flags: tuple[str, ...], reached: bool
) -> None:
    chromium = playwright.chromium.launch(executable_path=executable(), args=[*FLAGS, *flags])
    assert reaches_network(chromium) is reached
    chromium.close()
