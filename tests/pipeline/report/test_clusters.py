"""Duplicate clusters, streamed."""

from collections import Counter
from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qvl.pipeline.curate.measuring.columns import sample_id
from qvl.pipeline.report import clusters as module
from qvl.pipeline.report.clusters import Clusters, add_members, size_histogram


@pytest.fixture
def often(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(module, "COMPACT_AT", 3)
    yield


@pytest.mark.usefixtures("often")
def test_counts_over_units_whatever_was_compacted_in_between() -> None:
    random = np.random.default_rng(0)
    losers: Counter[tuple[str, str]] = Counter()
    found = Clusters()
    for _ in range(20):
        words = random.choice(["duplicate_image", "repeated_text"], 50).tolist()
        keepers = [sample_id(f"s-{random.integers(3)}", int(random.integers(4)) * 10**8) for _ in words]
        losers.update(zip(words, keepers, strict=True))
        found.offer(pa.array(words).dictionary_encode(), pa.array(keepers))
    for word in ("duplicate_image", "repeated_text"):
        expected = {keeper: n for (each, keeper), n in losers.items() if each == word}
        assert sorted(found.losers(word).tolist()) == sorted(expected.values())
        largest = found.largest(word)
        assert len(largest) == module.LARGEST
        assert all(expected[cluster.keeper] == cluster.losers for cluster in largest)
        assert [c.losers for c in largest] == sorted(expected.values(), reverse=True)[: module.LARGEST]
    assert found.largest("longest_caption") == []


def test_members_belong_to_their_rule_and_are_bounded() -> None:
    rows = [(f"u-{i:07d}", "repeated_text" if i % 2 else "duplicate_image", "u-0000000") for i in range(1, 40)]
    table = pa.table(dict(zip(("id", "verdict", "dup_of"), map(list, zip(*rows, strict=True)), strict=True)))
    found = Clusters()
    found.offer(table["verdict"].combine_chunks().dictionary_encode(), table["dup_of"].combine_chunks())
    largest = {word: found.largest(word) for word in ("repeated_text", "duplicate_image")}
    add_members(largest, table)
    assert largest["repeated_text"][0].members == [f"u-{i:07d}" for i in (1, 3, 5, 7, 9)]
    assert largest["duplicate_image"][0].members == [f"u-{i:07d}" for i in (2, 4, 6, 8, 10)]


@given(st.lists(st.integers(1, 300), max_size=50), st.integers(1, 10))
def test_every_cluster_has_its_place_in_the_histogram(losers: list[int], allowed: int) -> None:
    bins = size_histogram(np.array(losers, np.uint64), allowed)
    assert sum(number for _, _, number in bins) == len(losers)
    for (_, end, _), (start, _, _) in pairwise(bins):
        assert start == end + 1
