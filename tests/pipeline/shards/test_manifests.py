"""The manifests of shards and datasets on disk."""

from dataclasses import replace

import pytest

from qvl.pipeline.base.errors import DataError
from qvl.pipeline.commit.records import decode, encode
from qvl.pipeline.shards.manifests import DatasetManifest, ShardEntry, ShardManifest

SHARD = ShardManifest(
    shard="d-000000", fingerprint="f" * 32, samples=2, bytes=4_096, image_bytes=700, hash="a" * 32, index_hash="b" * 32,
    sources={"web": 2}, languages={"en": 1, "zh": 1}, tasks={"caption": 2},
)  # fmt: skip
DATASET = DatasetManifest(
    name="d", fingerprint="f" * 32, samples=2, bytes=4_096, sources={"web": 2}, languages={"en": 1, "zh": 1},
    tasks={"caption": 2}, hash="c" * 32, shards=(SHARD.entry,), lineage={"rows": 5},
)  # fmt: skip


def test_manifests_when_nothing_was_taken_down_have_no_revoked_on_disk() -> None:
    for manifest in (SHARD, DATASET):
        data = encode(manifest)
        assert b"revoked" not in data
        assert b"revoked" in encode(replace(manifest, revoked=1))
        assert decode(type(manifest), data, "manifest.json") == manifest


def test_entry_of_a_shard_manifest_is_what_the_dataset_lists() -> None:
    assert SHARD.entry == ShardEntry("d-000000", 2, 4_096, 700, "a" * 32, "b" * 32)
    assert SHARD.counts == DATASET.counts == {
        "sources": {"web": 2}, "languages": {"en": 1, "zh": 1}, "tasks": {"caption": 2}
    }  # fmt: skip


def test_lineage_when_the_dataset_was_not_made_from_a_ledger_has_no_verdicts_and_units() -> None:
    assert (DATASET.rows, DATASET.verdicts, DATASET.units) == (5, {}, ())


def test_lineage_when_the_dataset_is_a_build_names_units_verdicts_and_pack() -> None:
    lineage = {
        "rows": 5,
        "units": ["u-0", "u-1"],
        "verdicts": {"web": {"keep": 2}},
        "pack": {"shard_rows": 8, "seed": 0},
    }
    built = decode(DatasetManifest, encode(replace(DATASET, lineage=lineage)), "dataset.json")  # type: ignore[arg-type]
    assert built.units == ("u-0", "u-1")
    assert built.verdicts == {"web": {"keep": 2}}
    assert built.pack == {"shard_rows": 8, "seed": 0}


@pytest.mark.parametrize("change", [(b'"samples"', b'"sample"'), (b'"hash":', b'"hash_":')])
def test_decode_when_a_key_is_unknown_raises_with_the_file_name(change: tuple[bytes, bytes]) -> None:
    with pytest.raises(DataError, match=r"dataset\.json: "):
        decode(DatasetManifest, encode(DATASET).replace(*change), "dataset.json")
