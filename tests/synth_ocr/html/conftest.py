"""One browser for all tests of HTML pages."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Playwright

from qvl.synth_ocr.html.browser import shared_browser


@pytest.fixture(scope="package", autouse=True)
def _close_browser() -> Iterator[None]:
    yield
    shared_browser().close()


@pytest.fixture
def playwright() -> Playwright:
    """The driver of the shared browser: a thread can have only one."""
    shared_browser()._running()
    started = shared_browser()._playwright
    assert started is not None
    return started
