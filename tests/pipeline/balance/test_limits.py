"""Caps, top shares and samples against slow and obvious computations."""

from collections import Counter
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from qvl.pipeline.balance.limits import beyond_limits, candidates, columns_read, limits
from qvl.pipeline.recipe.balance import BalanceStep

ROWS = 3_000
RANDOM = np.random.default_rng(7)
LICENSES = [[None, "cc0", "cc-by", "rare"][number] for number in RANDOM.choice(4, ROWS, p=[0.1, 0.6, 0.297, 0.003])]
CLIP = [None if RANDOM.random() < 0.05 else float(value) for value in np.round(RANDOM.random(ROWS), 2)]
TABLE = pa.table({"license": LICENSES, "clip": pa.array(CLIP, pa.float32())})


def step(**rule: Any) -> BalanceStep:
    return BalanceStep.model_validate({"name": "step", **rule})


def lost(chosen: BalanceStep, table: pa.Table = TABLE, kept: np.ndarray | None = None) -> set[int]:
    rows = np.arange(len(table)) if kept is None else kept
    found = candidates(chosen, table, "web", "unit", rows)
    found["group"] = 0
    shuffled = found[np.random.default_rng(1).permutation(len(found))]
    result = beyond_limits(found, chosen)["row"].tolist()
    assert result == beyond_limits(shuffled, chosen)["row"].tolist() == sorted(result)
    return set(result)


def stays(chosen: BalanceStep) -> list[int]:
    return sorted(set(range(ROWS)) - lost(chosen))


def test_cap_keeps_exactly_count_rows_of_each_value_and_all_without_one() -> None:
    kept = Counter(LICENSES[row] for row in stays(step(cap={"per": "license", "count": 50})))
    total = Counter(LICENSES)
    assert kept == {"cc0": 50, "cc-by": 50, "rare": total["rare"], None: total[None]}
    assert total["rare"] < 50


def test_cap_when_missing_values_are_dropped_keeps_none_of_them() -> None:
    kept = Counter(LICENSES[row] for row in stays(step(cap={"per": ["license"], "count": 50, "missing": "drop"})))
    assert kept[None] == 0
    assert kept["cc0"] == 50


def test_cap_by_a_score_keeps_the_rows_with_the_highest_values() -> None:
    kept = stays(step(cap={"per": ["license"], "count": 50, "by": "clip"}))
    for license in ("cc0", "cc-by"):
        values = sorted((CLIP[row] or -1 for row in range(ROWS) if LICENSES[row] == license), reverse=True)
        assert sorted((CLIP[row] or -1 for row in kept if LICENSES[row] == license), reverse=True) == values[:50]


def test_cap_draws_other_rows_with_another_seed_and_more_of_the_same_with_a_higher_count() -> None:
    few, more = (stays(step(cap={"per": ["license"], "count": count})) for count in (50, 80))
    assert set(few) < set(more)
    assert few != stays(step(seed=1, cap={"per": ["license"], "count": 50}))


@pytest.mark.parametrize(("share", "size", "left"), [(0.3, 10, 3), (0.1, 30, 3), (0.3, 1, 1), (0.5, 3, 2), (1.0, 7, 7)])
def test_share_of_a_group_is_rounded_up_without_errors_of_binary_fractions(share: float, size: int, left: int) -> None:
    assert limits(step(top={"by": "clip", "share": share}), np.array([size])).tolist() == [left]


def test_top_share_per_group_keeps_the_best_of_each() -> None:
    kept = stays(step(top={"by": "clip", "share": 0.3, "per": "license"}))
    for license, total in Counter(LICENSES).items():
        assert sum(LICENSES[row] == license for row in kept) == -(-total * 3 // 10)
        worst = min(CLIP[row] or -1 for row in kept if LICENSES[row] == license)
        assert all((CLIP[row] or -1) <= worst for row in set(range(ROWS)) - set(kept) if LICENSES[row] == license)


def test_sample_has_exactly_the_size_and_prefers_high_scores_the_more_the_lower_the_temperature() -> None:
    means = []
    for temperature in (100.0, 0.3, 0.03):
        kept = stays(step(sample={"by": "clip", "temperature": temperature, "count": 300}))
        assert len(kept) == 300
        assert all(CLIP[row] is not None for row in kept)
        means.append(np.mean([CLIP[row] or 0 for row in kept]))
    assert means == sorted(means)
    assert means[0] < 0.6
    assert means[2] > 0.9


def test_sample_draws_two_rows_with_probabilities_as_their_weights() -> None:
    table = pa.table({"clip": pa.array([0.0, float(np.log(3))], pa.float64())})
    first = [lost(step(seed=seed, sample={"by": "clip", "count": 1}), table) == {0} for seed in range(2_000)]
    assert 0.72 < np.mean(first) < 0.78


def test_candidates_of_rows_that_are_dropped_before_do_not_take_part() -> None:
    kept = np.arange(0, ROWS, 2)
    dropped = lost(step(cap={"per": ["source"], "count": 10}), kept=kept)
    assert len(dropped) == len(kept) - 10
    assert not dropped & set(range(1, ROWS, 2))


def test_columns_read_of_a_domain_are_the_address_unless_there_is_such_a_column() -> None:
    chosen = step(cap={"per": ["domain", "source"], "count": 1, "by": "clip"})
    assert columns_read(chosen, frozenset({"url", "clip"})) == ["clip", "url"]
    assert columns_read(chosen, frozenset({"url", "clip", "domain"})) == ["clip", "domain"]
