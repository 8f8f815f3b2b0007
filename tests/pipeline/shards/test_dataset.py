"""Committed shards and ``dataset.json`` on top of them."""

from pathlib import Path

import pytest

from qvl.pipeline.base.errors import ContractError
from qvl.pipeline.commit.fingerprint import file_hash
from qvl.pipeline.commit.layout import Layout
from qvl.pipeline.shards.dataset import commit_shard, finish
from qvl.pipeline.shards.order import shard_plans, windows
from qvl.pipeline.shards.revoked import RevokedSample, encode_revoked
from tests.pipeline.shards.written import samples


def test_commit_shard_counts_its_samples_and_refuses_other_bytes(tmp_path: Path) -> None:
    manifest = commit_shard(tmp_path, "d-000000", samples(), "fingerprint")
    layout = Layout(tmp_path)
    assert manifest.samples == 6
    assert manifest.tasks == {"caption": 5, "text": 1}
    assert manifest.languages == {"en": 3, "zh": 3}
    assert manifest.sources == {"web": 6}
    assert manifest.bytes == layout.shard("d-000000").stat().st_size
    assert (manifest.hash, manifest.index_hash) == (
        file_hash(layout.shard("d-000000")),
        file_hash(layout.index("d-000000")),
    )
    assert commit_shard(tmp_path, "d-000000", samples(), "fingerprint") == manifest
    with pytest.raises(ContractError, match="hash"):
        commit_shard(tmp_path, "d-000000", samples()[:-1], "fingerprint")


def test_finish_adds_up_the_shards(tmp_path: Path) -> None:
    plans = shard_plans("d", 6, windows(0, 1, [("u", 12)]))
    for plan in plans:
        commit_shard(tmp_path, plan.name, samples(), "fingerprint")
    found = finish("d", tmp_path, plans, 12, {"rows": 20})
    assert (found.samples, found.tasks, found.lineage) == (12, {"caption": 10, "text": 2}, {"rows": 20})
    assert [shard.shard for shard in found.shards] == ["d-000000", "d-000001"]
    assert found.bytes == sum(shard.bytes for shard in found.shards)


def test_finish_when_a_shard_is_missing_or_short_raises(tmp_path: Path) -> None:
    plans = shard_plans("d", 6, windows(0, 1, [("u", 6)]))
    with pytest.raises(ContractError, match="d-000000"):
        finish("d", tmp_path, plans, 6, {})
    commit_shard(tmp_path, "d-000000", samples()[:5], "fingerprint")
    with pytest.raises(ContractError, match="d-000000"):
        finish("d", tmp_path, plans, 6, {})


def test_commit_shard_when_a_sample_was_taken_down_leaves_it_out(tmp_path: Path) -> None:
    gone = samples()[2].id
    Layout(tmp_path).revoked.write_bytes(encode_revoked([RevokedSample(id=gone, by=f"id:{gone}", date="2026-11-25")]))
    manifest = commit_shard(tmp_path, "d-000000", samples(), "fingerprint")
    assert (manifest.samples, manifest.revoked) == (5, 1)
    plans = shard_plans("d", 6, windows(0, 1, [("u", 6)]))
    found = finish("d", tmp_path, plans, 6, {"rows": 6})
    assert (found.samples, found.revoked) == (5, 1)
