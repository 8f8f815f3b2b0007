"""Exact duplicates compared with the plain way to find them: a dictionary."""

from collections import defaultdict
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qvl.pipeline.duplicates.rules import (
    KEY,
    LOSER,
    PARTITION_ROWS,
    DuplicateRule,
    duplicate_rules,
    losers,
    partitions,
    rank,
    split,
)
from qvl.pipeline.recipe.recipe import Recipe

SOURCE = {"read": {"kind": "webdataset", "paths": ["x.tar"]}}
KEY_HALVES = st.sampled_from([0, 1, 2**32, 2**63, 2**64 - 1])
ROW = st.tuples(KEY_HALVES, KEY_HALVES, st.integers(0, 3), st.integers(0, 3), st.integers(0, 2), st.integers(0, 2))


def records(rows: list[tuple[int, ...]], rule: DuplicateRule) -> np.ndarray:
    """Key records: (low, high, pixels, characters, priority, group), and the row is the position in the list."""
    result = np.empty(len(rows), KEY)
    for i, (low, high, pixels, characters, priority, group) in enumerate(rows):
        quality = rank(rule, np.array([pixels]), np.array([characters]), priority)[0]
        result[i] = (low, high, quality, group, i)
    return result


def reference(rows: list[tuple[int, ...]], rule: DuplicateRule) -> set[tuple[int, int, int, int]]:
    """(group, row, keeper's group, keeper's row) of all losers, found with a dictionary."""
    by_key = defaultdict(list)
    for i, (low, high, pixels, characters, priority, group) in enumerate(rows):
        first, second = (pixels, characters) if rule.rank == "pixels" else (characters, pixels)
        by_key[low, high].append((-first, -second, -priority, group, i))
    lost = set()
    for members in by_key.values():
        best, *_ = ranked = sorted(members)
        lost |= {(*member[3:], *best[3:]) for member in ranked[rule.allowed :]}
    return lost


def as_set(found: np.ndarray) -> set[tuple[int, int, int, int]]:
    return {tuple(record) for record in found.tolist()}


RULES = [DuplicateRule("r", "image", allowed, quality) for allowed in (1, 2, 3) for quality in ("pixels", "characters")]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: f"{rule.allowed}-{rule.rank}")
@settings(max_examples=60)
@given(st.lists(ROW, max_size=30))
def test_losers_equals_the_reference(rule: DuplicateRule, rows: list[tuple[int, ...]]) -> None:
    found = losers(records(rows, rule), rule)
    assert as_set(found) == reference(rows, rule)
    assert len(found) == len(as_set(found))
    assert found.dtype == LOSER
    positions = found[["group", "row"]].tolist()
    assert positions == sorted(positions)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: f"{rule.allowed}-{rule.rank}")
@settings(max_examples=40)
@given(rows=st.lists(ROW, max_size=30), seed=st.integers(0, 999), parts=st.sampled_from([1, 2, 8, 64]))
def test_losers_do_not_depend_on_order_and_partitions(
    rule: DuplicateRule, rows: list[tuple[int, ...]], seed: int, parts: int
) -> None:
    keys = records(rows, rule)
    shuffled = keys[np.random.default_rng(seed).permutation(len(keys))]
    ordered, bounds = split(shuffled, parts)
    found = [losers(ordered[a:b], rule) for a, b in pairwise(bounds)]
    assert set().union(*map(as_set, found)) == as_set(losers(keys, rule))


@given(st.lists(st.integers(0, 2**64 - 1), max_size=50), st.sampled_from([1, 2, 4, 32]))
def test_split_partitions_the_records_by_key(highs: list[int], parts: int) -> None:
    keys = np.zeros(len(highs), KEY)
    keys["high"], keys["row"] = np.array(highs, np.uint64), np.arange(len(highs))
    ordered, bounds = split(keys, parts)
    assert sorted(ordered["row"].tolist()) == list(range(len(highs)))
    assert (bounds[0], bounds[-1], len(bounds)) == (0, len(highs), parts + 1)
    for part in range(parts):
        inside = ordered["high"][bounds[part] : bounds[part + 1]].tolist()
        assert all(high * parts >> 64 == part for high in inside)


def test_partitions_is_a_power_of_two_that_bounds_the_rows_of_each() -> None:
    for rows in (0, 1, PARTITION_ROWS, PARTITION_ROWS + 1, 5 * PARTITION_ROWS, 5_000_000_000):
        parts = partitions(rows)
        assert parts & (parts - 1) == 0
        assert rows <= parts * PARTITION_ROWS
        assert parts == 1 or rows > parts * PARTITION_ROWS // 2


@pytest.mark.parametrize("quality", ["pixels", "characters"])
def test_rank_is_lexicographic_and_saturates(quality: str) -> None:
    rule = DuplicateRule("r", "image", rank="pixels" if quality == "pixels" else "characters")
    huge = np.array([2**40, 2**62], np.uint64)
    assert len(set(rank(rule, huge, np.array([1, 1]), 0).tolist())) == 1
    assert len(set(rank(rule, np.array([1, 1]), huge, 0).tolist())) == 1
    better, worse = (np.array([2]), np.array([1]))
    first = (better, worse) if quality == "pixels" else (worse, better)
    second = (worse, better) if quality == "pixels" else (better, worse)
    assert rank(rule, *first, 0) > rank(rule, *second, 65_535)
    assert rank(rule, worse, worse, 1) > rank(rule, worse, worse, 0)


def recipe(**dedup: object) -> Recipe:
    sources = [{"name": "a", **SOURCE}, {"name": "b", "academic": True, **SOURCE}]
    return Recipe.model_validate({"name": "r", "sources": sources, "dedup": dedup})


def test_duplicate_rules_follow_the_recipe() -> None:
    assert [rule.reason for rule in duplicate_rules(recipe())] == [
        "longest_caption",
        "duplicate_image",
        "repeated_text",
    ]
    assert [rule.reason for rule in duplicate_rules(recipe(image=False))] == [
        "longest_caption",
        "duplicate_pair",
        "repeated_text",
    ]
    none = recipe(image=False, pair=False, repeated_text=None)
    assert [(rule.reason, rule.rank, rule.sources) for rule in duplicate_rules(none)] == [
        ("longest_caption", "characters", ("b",))
    ]
    assert next(rule.allowed for rule in duplicate_rules(recipe(repeated_text=4)) if rule.key == "text") == 4
