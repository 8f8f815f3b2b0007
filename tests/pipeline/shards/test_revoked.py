"""The record of samples that were taken down."""

from pathlib import Path

import pytest

from qvl.pipeline.base.errors import DataError
from qvl.pipeline.shards.revoked import RevokedSample, encode_revoked, read_revoked

SHORT = RevokedSample(id="a-0", by="id:a-0", date="2026-11-25")
FULL = RevokedSample(
    id="a-1", shard="a-000000", by="url:https://example.org/1.jpg", date="2026-11-25",
    url="https://example.org/1.jpg", sha="0" * 32, also=("report.html",),
)  # fmt: skip


def test_read_revoked_returns_what_was_encoded_by_id(tmp_path: Path) -> None:
    path = tmp_path / "revoked.jsonl"
    path.write_bytes(encode_revoked([SHORT, FULL]))
    assert read_revoked(path) == {"a-0": SHORT, "a-1": FULL}


def test_encode_revoked_writes_one_line_per_sample_without_absent_fields() -> None:
    assert encode_revoked([SHORT]) == b'{"id":"a-0","by":"id:a-0","date":"2026-11-25"}\n'
    assert encode_revoked([SHORT, FULL]).count(b"\n") == 2


def test_read_revoked_when_there_is_no_file_is_empty(tmp_path: Path) -> None:
    assert read_revoked(tmp_path / "revoked.jsonl") == {}


@pytest.mark.parametrize("line", [b"{}", b"not json", b'{"id":"a","by":"id:a","date":"2026-11-25","shards":"b"}'])
def test_read_revoked_when_a_line_is_corrupted_raises_rather_than_forgetting_it(line: bytes, tmp_path: Path) -> None:
    path = tmp_path / "revoked.jsonl"
    path.write_bytes(encode_revoked([SHORT]) + line + b"\n")
    with pytest.raises(DataError, match=r"revoked\.jsonl.*would come back; repair it"):
        read_revoked(path)
