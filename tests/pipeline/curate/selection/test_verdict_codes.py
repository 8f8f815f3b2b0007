"""Verdicts as numbers: filters, benchmarks, duplicate rules and faults do not collide."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from qvl.pipeline.curate.selection.judge import FAULT_BIT
from qvl.pipeline.curate.selection.verdict_codes import (
    CODES,
    FAULT_CODE,
    FIRST_BENCHMARK,
    FIRST_DUPLICATE_RULE,
    KEEP_CODE,
    filter_codes,
    verdict_names,
)
from qvl.pipeline.duplicates.rules import DuplicateRule
from qvl.pipeline.filters import FILTER_NAMES


@given(st.lists(st.integers(0, 2**31 - 1) | st.just(int(FAULT_BIT)), max_size=50))
def test_filter_codes_are_keep_fault_or_the_first_failed_filter(bits: list[int]) -> None:
    codes = filter_codes(np.array(bits, np.uint32))
    expected = [
        FAULT_CODE if b == FAULT_BIT else KEEP_CODE if b == 0 else 1 + next(i for i in range(31) if b >> i & 1)
        for b in bits
    ]
    assert codes.dtype == np.uint8
    assert codes.tolist() == expected


def test_verdict_names_by_code_are_keep_filters_benchmarks_and_rules() -> None:
    names = verdict_names(
        (DuplicateRule("duplicate_image", "image"), DuplicateRule("repeated_text", "text")), ("coco",)
    )
    assert len(names) == CODES
    assert names[: 1 + len(FILTER_NAMES)] == ["keep", *FILTER_NAMES]
    assert names[FIRST_BENCHMARK] == "benchmark:coco"
    assert names[FIRST_DUPLICATE_RULE : FIRST_DUPLICATE_RULE + 2] == ["duplicate_image", "repeated_text"]
    assert names[FAULT_CODE] is None
    assert sum(name is not None for name in names) == 1 + len(FILTER_NAMES) + 1 + 2
