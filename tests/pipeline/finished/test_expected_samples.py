"""What the shards of a curation must hold, from the ledger and from the shards' own indexes."""

from pathlib import Path

import pyarrow.parquet as pq

from qvl.pipeline.commit.layout import Layout
from qvl.pipeline.commit.manifests import committed_manifest
from qvl.pipeline.curate.pack_stage import plan_shards
from qvl.pipeline.curate.selection.manifests import LedgerManifest
from qvl.pipeline.finished.expected_samples import IndexedSamples, KeptRows, SamplesLeft
from qvl.pipeline.shards.order import ShardPlan
from tests.pipeline.curate.finished_run import curation


def plans(folder: Path) -> list[ShardPlan]:
    bound = curation(folder / "data", folder / "out")
    ledger = committed_manifest(Layout(bound.out).group_manifest("ledger", 0), LedgerManifest)
    return plan_shards(bound, [ledger], bound.units())


def test_kept_rows_are_the_samples_of_each_shard_in_order(curated: Path) -> None:
    layout = Layout(curated / "out")
    expected = KeptRows(layout, curation(curated / "data", curated / "out").recipe.pack.seed, {})
    rows = {
        row["id"]: row
        for path in (curated / "out" / "ledger").glob("*.parquet")
        for row in pq.read_table(path).to_pylist()
    }
    seen = []
    for plan in plans(curated):
        samples = expected.of_shard(plan)
        assert [sample.key for sample in samples] == pq.read_table(layout.index(plan.name))["key"].to_pylist()
        for sample in samples:
            row = rows[sample.key]
            assert (row["verdict"], row["image_hash"], row["caption"]) == ("keep", sample.image_hash, sample.caption)
        seen += [sample.key for sample in samples]
    assert sorted(seen) == sorted(key for key, row in rows.items() if row["verdict"] == "keep")


def test_samples_left_are_those_that_were_not_taken_down_and_counts_the_others(curated: Path) -> None:
    expected = IndexedSamples(Layout(curated / "out"))
    first, second, *_ = plans(curated)
    keys = [sample.key for sample in expected.of_shard(first)]
    left = SamplesLeft(expected, frozenset([keys[2], "of no shard"]))
    assert [sample.key for sample in left.of_shard(first)] == [*keys[:2], *keys[3:]] and left.revoked == 1
    assert left.of_shard(second) == expected.of_shard(second) and left.revoked == 1
