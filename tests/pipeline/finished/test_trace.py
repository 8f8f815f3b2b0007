"""Lineage in both directions."""

import json
import shutil
from pathlib import Path

import pytest

from qvl.pipeline.base.errors import QvlError
from qvl.pipeline.finished.trace import ShardPosition, trace_row, trace_sample
from tests.pipeline.curate.small_run import ROWS


@pytest.fixture
def data(curated: Path, tmp_path: Path) -> Path:
    """A copy of the data."""
    return Path(shutil.copytree(curated / "data", tmp_path / "data"))


@pytest.fixture
def out(curated: Path, tmp_path: Path) -> Path:
    """A copy of the finished run."""
    return Path(shutil.copytree(curated / "out", tmp_path / "out"))


def test_trace_of_a_row_and_of_its_sample_are_equal(data: Path, out: Path) -> None:
    found = trace_row(out, "t.jsonl", 4)
    assert (found.verdict, found.file, found.row) == ("keep", "t.jsonl", 4)
    assert trace_sample(out, found.id) == found
    position = found.shard
    assert isinstance(position, ShardPosition)
    tar = (out / position.tar).read_bytes()
    offset, size = position.image_offsets[0], position.image_sizes[0]
    assert tar[offset : offset + size] == (data / "disk" / "4.jpg").read_bytes()
    assert json.loads(tar[position.json_offset : position.json_offset + position.json_size])["id"] == found.id
    assert position.tar.startswith("shards/small-00000")


def test_trace_of_a_dropped_row_names_what_it_lost_to_or_fails(data: Path, out: Path) -> None:
    lost = trace_row(out, "web/00000.tar", 0)
    assert lost.verdict == "duplicate_image"
    keeper = lost.lost_to
    assert keeper is not None
    assert (keeper.file, keeper.row, keeper.verdict) == ("t.jsonl", 0, "keep")
    rows = [trace_row(out, str(data / "web" / "00000.tar"), i) for i in range(ROWS + 1)]
    short = [row for row in rows if row.verdict == "text_length"]
    assert [(row.failed, row.columns["caption"]) for row in short] == [(["text_length"], "dog")]
    assert all("shard" not in row.content() and row.shard is None for row in short)


def test_trace_when_the_row_does_not_exist_raises(out: Path, tmp_path: Path) -> None:
    for act in (
        lambda: trace_sample(out, "nonsense"),
        lambda: trace_sample(out, "web-000000000000-0000001"),
        lambda: trace_sample(out, "x-y"),
        lambda: trace_row(out, "none.tar", 0),
        lambda: trace_row(out, "t.jsonl", 6),
        lambda: trace_row(out, "t.jsonl", -1),
        lambda: trace_sample(tmp_path / "nothing", "web-000000000000-0000001"),
    ):
        with pytest.raises(QvlError):
            act()
