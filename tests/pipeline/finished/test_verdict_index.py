"""Codes of verdicts and numbers of cells."""

import numpy as np
import pyarrow as pa

from qvl.pipeline.filters import FILTER_NAMES
from qvl.pipeline.finished.verdict_index import CellIndex, VerdictIndex


def test_verdict_index_gives_keep_0_filters_their_order_and_new_verdicts_the_next_codes() -> None:
    index = VerdictIndex()
    column = pa.array(["near_duplicate", "keep", FILTER_NAMES[1], "near_duplicate"]).dictionary_encode()
    new = 1 + len(FILTER_NAMES)
    assert index.codes(column).tolist() == [new, 0, 2, new]
    assert [index.name(code) for code in (0, 2, new)] == ["keep", FILTER_NAMES[1], "near_duplicate"]


def test_cell_numbers_of_several_units_mean_the_same_combinations() -> None:
    index = CellIndex(("source", "language", "format"))
    first = pa.table({"language": ["en", "zh", None], "format": ["jpeg", "gif", "gif"]})
    second = pa.table({"language": ["zh", "zh"], "format": ["gif", "png"]})
    numbers = [index.cell_numbers(table, "web") for table in (first, second)]
    names = list(index.known)
    assert [names[number] for number in np.concatenate(numbers)] == [
        ("web", "en", "jpeg"),
        ("web", "zh", "gif"),
        ("web", "unknown", "gif"),
        ("web", "zh", "gif"),
        ("web", "zh", "png"),
    ]


def test_source_numbers_count_sources_as_they_are_met() -> None:
    index = CellIndex(())
    assert [index.source_numbers(name, 2).tolist() for name in ("b", "a", "b")] == [[0, 0], [1, 1], [0, 0]]
