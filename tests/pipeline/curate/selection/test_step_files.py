"""Arrays that steps exchange: committed once, whole or in parts."""

from pathlib import Path

import numpy as np
import pytest

from qvl.pipeline.base.errors import ContractError
from qvl.pipeline.commit.layout import Layout
from qvl.pipeline.curate.selection.groups import make_groups, write_groups
from qvl.pipeline.curate.selection.manifests import ArrayManifest
from qvl.pipeline.curate.selection.step_files import (
    DividedArray,
    commit_array,
    commit_divided_array,
    commit_losers,
    load_part,
)
from qvl.pipeline.curate.selection.task import SelectTask
from qvl.pipeline.duplicates.rules import LOSER
from tests.pipeline.curate.scanned import scan_manifests
from tests.pipeline.curate.selection.look_rows import a_recipe


@pytest.fixture
def task(tmp_path: Path) -> SelectTask:
    """The first of three groups."""
    write_groups(tmp_path, make_groups(scan_manifests([2, 3, 4]), 1))
    return SelectTask(tmp_path, a_recipe(), str(tmp_path), 0)


def never() -> np.ndarray:
    raise AssertionError("computed again")


def test_commit_array_when_committed_already_computes_nothing(task: SelectTask) -> None:
    first = commit_array(task, "numbers", lambda: np.arange(5))
    assert isinstance(first, ArrayManifest)
    assert (first.rows, first.offsets) == (5, None)
    assert commit_array(task, "numbers", never) == first


def test_commit_array_when_the_file_is_lost_computes_it_again(task: SelectTask) -> None:
    first = commit_array(task, "numbers", lambda: np.arange(5))
    Layout(task.out).work("numbers", 0).unlink()
    assert commit_array(task, "numbers", lambda: np.arange(5)) == first
    assert np.load(Layout(task.out).work("numbers", 0)).tolist() == [0, 1, 2, 3, 4]


def test_load_part_reads_the_rows_between_its_offsets(task: SelectTask) -> None:
    commit_divided_array(task, "numbers", lambda: DividedArray(np.arange(10, 17), (0, 3, 3, 7)))
    parts = [load_part(task, "numbers", 0, part).tolist() for part in range(3)]
    assert parts == [[10, 11, 12], [], [13, 14, 15, 16]]


def test_load_part_of_a_step_that_never_ran_raises(task: SelectTask) -> None:
    with pytest.raises(ContractError, match="step numbers of group 2 is missing"):
        load_part(task, "numbers", 2, 0)


def test_commit_losers_divides_them_by_group(task: SelectTask) -> None:
    losers = np.array([(0, 1, 0, 0), (2, 0, 0, 0), (2, 3, 1, 1)], LOSER)
    assert commit_losers(task, "losers", lambda: losers).offsets == (0, 1, 1, 3)
    assert load_part(task, "losers", 0, 2)["row"].tolist() == [0, 3]
