"""Positions grouped by shard, and the samples of several tables joined."""

import numpy as np
import pyarrow as pa

from qvl.pipeline.shards.mixture import Draws
from qvl.pipeline.shards.reader import ShardFile
from qvl.training.data.samples import IndexRow, SampleTable, join_tables, positions_by_shard

SHARD = ShardFile.__new__(ShardFile)  # never read: tables only pass it on


def table(keys: str, reasons: list[str | None]) -> SampleTable:
    numbers = np.arange(len(keys))
    rows = [IndexRow(0, SHARD, pa.table({}), number) for number in range(len(keys))]
    return SampleTable(list(keys), numbers, numbers + 10, numbers * 0, numbers + 20, reasons, rows)


def test_positions_are_grouped_by_component_and_shard() -> None:
    column = np.array([0, 2, 0, 2])
    draws = Draws(column, np.zeros(4, dtype=np.int64), np.array([1, 0, 1, 3]), np.arange(4))
    found = [(component, shard, positions.tolist()) for component, shard, positions in positions_by_shard(draws)]
    assert found == [(0, 1, [0, 2]), (2, 0, [1]), (2, 3, [3])]


def test_joined_tables_hold_the_samples_of_one_after_those_of_the_other() -> None:
    first, second = table("ab", [None, "cut"]), table("cde", [None, None, "json"])
    joined = join_tables([first, second])
    assert joined.keys == list("abcde")
    assert joined.reasons == [None, "cut", None, None, "json"]
    assert joined.tokens.tolist() == [10, 11, 10, 11, 12] and joined.sizes.tolist() == [20, 21, 20, 21, 22]
    assert joined.usable.tolist() == [True, False, True, True, False]
    assert [row.row for row in joined.rows] == [0, 1, 0, 1, 2]
    assert join_tables([first]) is first
