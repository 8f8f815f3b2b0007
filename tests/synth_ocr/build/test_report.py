"""The report of a build."""

from pathlib import Path

import numpy as np
import pytest

from qvl.pipeline.base.errors import ContractError
from qvl.synth_ocr.build.report import histogram, write_report


def test_histogram_has_a_bin_between_each_two_edges_and_an_open_last_one() -> None:
    assert histogram(np.array([0, 1.5, 2, 2.5, 99]), [0, 2, 4]) == [("0 to 2", 2), ("2 to 4", 2), ("from 4", 1)]


def test_report_without_a_finished_build_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ContractError, match="no finished build"):
        write_report(tmp_path)
