"""One finished curation for all tests of the API."""

from pathlib import Path

import pytest

from tests.pipeline.curate import small_run


@pytest.fixture(scope="package")
def curated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with ``data`` and the finished ``out``. Nobody writes there."""
    folder = tmp_path_factory.mktemp("curated")
    small_run.make_data(folder / "data")
    small_run.curate(folder / "data", folder / "out")
    return folder
