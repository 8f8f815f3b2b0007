"""The names of an output's files, which earlier versions wrote too."""

from pathlib import Path

import pytest

from qvl.pipeline.commit.layout import Layout
from qvl.pipeline.storage.paths import AnyPath, StorePath


@pytest.mark.parametrize("out", [Path("/out"), StorePath("s3://bucket/out")], ids=["disk", "store"])
def test_the_names_of_an_outputs_files_never_change(out: AnyPath) -> None:
    layout: Layout[AnyPath] = Layout(out)
    paths = {
        layout.recipe: "recipe.json",
        layout.unit_manifest("u"): "manifests/scan/u.json",
        layout.score_manifest("u"): "manifests/score/u.json",
        layout.group_manifest("keys", 7): "manifests/select/keys-000007.json",
        layout.shard_manifest("s"): "manifests/pack/s.json",
        layout.stage_manifest("select"): "manifests/select.json",
        layout.columns("u"): "columns/u.parquet",
        layout.scores("u"): "scores/u.parquet",
        layout.embeddings("u"): "embeddings/u.parquet",
        layout.work("keys", 7): "select/keys-000007.npy",
        layout.ledger("u"): "ledger/u.parquet",
        layout.shard("s"): "shards/s.tar",
        layout.index("s"): "shards/s.parquet",
        layout.dataset: "shards/dataset.json",
        layout.report: "report.html",
        layout.revoked: "revoked.jsonl",
        layout.takedown: ".revoke/journal.json",
        layout.lock: ".lock",
        layout.attempts: ".attempts",
    }
    assert [str(path) for path in paths] == [f"{out}/{name}" for name in paths.values()]
