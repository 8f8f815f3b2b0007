"""ANLS, and the edit distance that it is made of."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rapidfuzz.distance import Levenshtein

from qvl.training.evaluation.metrics.anls import anls


def test_anls_is_one_minus_the_normalized_distance_and_zero_above_the_threshold() -> None:
    assert anls("Hello  World", ["hello world"]) == pytest.approx(1.0)
    assert anls("abcd", ["abcx"]) == pytest.approx(0.75)
    assert anls("abcd", ["abxy", "wxyz"]) == pytest.approx(0.5)
    assert anls("abcd", ["axyz"]) == 0.0
    assert anls("", ["abc"]) == 0.0
    assert anls("", [""]) == 1.0


@settings(max_examples=400)
@given(st.text("ab中", max_size=70), st.text("abc中", max_size=90))
def test_edit_distance_on_random_pairs_equals_the_dynamic_programming_table(first: str, second: str) -> None:
    row = list(range(len(second) + 1))
    for i, a in enumerate(first, 1):
        before, row[0] = row[0], i
        for j, b in enumerate(second, 1):
            before, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, before + (a != b))
    assert Levenshtein.distance(first, second) == row[-1]
