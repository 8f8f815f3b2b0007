"""One browser for all tests of HTML pages."""

from collections.abc import Iterator

import pytest

from qvl.synth_ocr.html.browser import shared_browser


@pytest.fixture(scope="package", autouse=True)
def _close_browser() -> Iterator[None]:
    yield
    shared_browser().close()
