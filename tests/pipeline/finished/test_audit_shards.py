"""Single checks of the audit; whole outputs that were tampered with are in ``test_audit``."""

from pathlib import Path

import pytest

from qvl.pipeline.commit.fingerprint import file_hash
from qvl.pipeline.commit.layout import Layout
from qvl.pipeline.commit.manifests import committed_manifest
from qvl.pipeline.finished.audit_shards import (
    DiscrepancyError,
    audit_shards,
    require,
    require_bytes,
    require_found,
)
from qvl.pipeline.finished.expected_samples import IndexedSamples, SamplesLeft
from qvl.pipeline.shards.manifests import DatasetManifest
from tests.pipeline.finished.test_expected_samples import plans


def test_require_when_the_condition_fails_raises_its_message() -> None:
    require(True, "never")
    assert require_found(0, "never") == 0
    with pytest.raises(DiscrepancyError, match=r"^the reason$"):
        require(False, "the reason")
    with pytest.raises(DiscrepancyError, match=r"^nothing$"):
        require_found(None, "nothing")


def test_require_bytes_tells_a_missing_file_from_a_changed_one(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"one")
    digest = file_hash(path)
    require_bytes(path, digest)
    path.write_bytes(b"two")
    with pytest.raises(DiscrepancyError, match="was changed after it was committed"):
        require_bytes(path, digest)
    path.unlink()
    with pytest.raises(DiscrepancyError, match="is missing"):
        require_bytes(path, digest)


def test_audit_shards_when_a_sample_is_not_expected_names_the_shard(curated: Path) -> None:
    layout, planned = Layout(curated / "out"), plans(curated)
    dataset = committed_manifest(layout.dataset, DatasetManifest)
    expected = IndexedSamples(layout)
    audit_shards(layout, dataset, planned, expected)
    key = expected.of_shard(planned[1])[0].key
    with pytest.raises(DiscrepancyError, match=rf"^{planned[1].name}\.tar: its samples are not those"):
        audit_shards(layout, dataset, planned, SamplesLeft(expected, frozenset([key])))
    with pytest.raises(DiscrepancyError, match="lists 4 shards, but 3 follow"):
        audit_shards(layout, dataset, planned[:-1], expected)
