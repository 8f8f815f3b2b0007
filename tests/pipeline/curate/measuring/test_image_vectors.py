"""Image vectors as a table: by model, then by row."""

import numpy as np
import pytest

from qvl.pipeline.curate.measuring.image_vectors import vector_table
from qvl.pipeline.curate.measuring.score_columns import VECTORS


def test_vector_table_orders_vectors_by_model_and_row() -> None:
    vectors = {
        "clip_english": [([4, 1], np.array([[4, 0], [1, 0]], np.float16)), ([2], np.array([[2, 0]], np.float16))],
        "clip_chinese": [([3], np.array([[3, 0, 0]], np.float16))],
    }
    table = vector_table(vectors)
    assert table.schema == VECTORS
    assert table["model"].to_pylist() == ["clip_chinese", "clip_english", "clip_english", "clip_english"]
    assert table["row"].to_pylist() == [3, 1, 2, 4]
    assert [vector[0] for vector in table["vector"].to_pylist()] == pytest.approx([3, 1, 2, 4])


def test_vector_table_without_vectors_is_empty() -> None:
    assert len(vector_table({})) == 0
