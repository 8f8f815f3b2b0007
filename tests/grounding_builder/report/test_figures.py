"""The figures of the report; that they add up over a whole build is tested in build/test_run.py."""

from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from qvl.grounding_builder.report.figures import boxes_per_image, collect, image_boxes
from qvl.pipeline.base.errors import ContractError


def batch(images: list[int], boxes: list[list[int]]) -> pa.RecordBatch:
    columns = [pa.array(images, pa.uint64()), pa.array(boxes, pa.list_(pa.uint64()))]
    return pa.record_batch(columns, names=["image", "boxes"])


def test_image_boxes_has_a_row_per_box_and_one_per_image() -> None:
    assert image_boxes(batch([7, 8], [[1, 2], []])).tolist() == [[7, 0], [7, 1], [7, 2], [8, 0]]


def test_boxes_per_image_counts_equal_boxes_of_an_image_once() -> None:
    first, second = image_boxes(batch([7, 8], [[1, 2], []])), image_boxes(batch([7, 9], [[2, 3], [2]]))
    assert boxes_per_image([first, second]) == Counter({3: 1, 0: 1, 1: 1})
    assert boxes_per_image([]) == Counter()
    assert np.array_equal(first, np.unique(first, axis=0))


def test_collect_raises_when_the_build_is_not_finished(tmp_path: Path) -> None:
    with pytest.raises(ContractError, match="qvl ground build"):
        collect(tmp_path)
