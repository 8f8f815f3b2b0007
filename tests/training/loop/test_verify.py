"""``verify`` of a folder that is not a run. Runs that agree or differ are in ``test_run``."""

from pathlib import Path

import pytest

from qvl.pipeline.base.errors import DataError
from qvl.training.loop.verify import verify


def test_verify_when_the_folder_is_not_a_run_says_which_folder_it_needs(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"has no run\.json; give the --output of `qvl train run`"):
        verify(tmp_path, 1)
