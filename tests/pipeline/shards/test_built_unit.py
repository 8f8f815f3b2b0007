"""The manifest of a built unit on disk."""

from dataclasses import replace

import pytest

from qvl.pipeline.base.errors import DataError
from qvl.pipeline.commit.records import decode, encode
from qvl.pipeline.shards.built_unit import BuiltUnitManifest

MANIFEST = BuiltUnitManifest(
    unit="numbers-0000",
    source="numbers",
    name="range 0",
    rows=2,
    samples=1,
    verdicts={"keep": 1, "odd": 1},
    hash="a" * 32,
    index_hash="b" * 32,
    ledger_hash="c" * 32,
    parts={"version": 1, "input": {"size": 3}},
    fingerprint="d" * 32,
)


def test_manifest_without_a_takedown_has_no_made_hash_on_disk() -> None:
    data = encode(MANIFEST)
    assert b"made_hash" not in data and decode(BuiltUnitManifest, data, "unit.json") == MANIFEST
    assert MANIFEST.built_hash == "a" * 32


def test_built_hash_is_that_of_the_tar_before_a_takedown() -> None:
    blanked = replace(MANIFEST, hash="e" * 32, made_hash=MANIFEST.built_hash)
    assert decode(BuiltUnitManifest, encode(blanked), "unit.json").built_hash == "a" * 32
    assert replace(blanked, hash="f" * 32).built_hash == "a" * 32


def test_decode_raises_with_the_file_name_when_a_key_is_unknown() -> None:
    data = encode(MANIFEST).replace(b'"rows"', b'"lines"')
    with pytest.raises(DataError, match=r"unit\.json: "):
        decode(BuiltUnitManifest, data, "unit.json")
