"""The installed browser, as tests of our pages start it."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from qvl.synth_ocr.html.isolation import executable

if TYPE_CHECKING:
    from playwright.sync_api import Browser

PROGRAM = executable()
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
needs_browser = pytest.mark.skipif(PROGRAM is None, reason="no chromium: apt-get install chromium")


@contextmanager
def launched() -> "Iterator[Browser]":
    """The browser while it runs. Skips the test where playwright is not installed."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="tested with playwright: pip install playwright")
    with sync_api.sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=PROGRAM, args=FLAGS)
        yield started
        started.close()
