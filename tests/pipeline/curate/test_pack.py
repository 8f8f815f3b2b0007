"""Packing compares every image with its scanned hash."""

from pathlib import Path

import pytest

from qvl.pipeline.base.errors import DataError, StaleError
from qvl.pipeline.commit.layout import Layout
from tests.pipeline.curate.small_run import curate


def test_pack_when_an_image_changed_after_scan_raises(data: Path, out: Path, tmp_path: Path) -> None:
    for path in [*(out / "manifests" / "pack").iterdir(), Layout(out).dataset]:
        path.unlink()
    path = data / "disk" / "3.jpg"
    path.write_bytes(path.read_bytes()[:-9] + b"\0\0\0\0\0\0\0\xff\xd9")  # of the same size: no plan sees it
    with pytest.raises(DataError, match="changed since it was scanned; choose another --output"):
        curate(data, out)
    assert curate(data, tmp_path / "another").samples == 24


def test_pack_when_an_image_is_gone_after_scan_raises(data: Path, out: Path) -> None:
    with pytest.raises(StaleError, match=r"disk/t.jsonl: side files changed"):
        (data / "disk" / "3.jpg").unlink()
        curate(data, out)
