"""Audit finds whatever does not add up."""

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import orjson
import pyarrow.parquet as pq
import pytest

from qvl.pipeline.base.errors import QvlError
from qvl.pipeline.commit.layout import Layout
from qvl.pipeline.finished.audit import audit


@pytest.fixture
def out(curated: Path, tmp_path: Path) -> Path:
    """A copy of the finished run."""
    return Path(shutil.copytree(curated / "out", tmp_path / "out"))


def tamper_ledger_verdict(layout: Layout) -> None:
    path = next((layout.out / "ledger").glob("disk-*"))
    table = pq.read_table(path)
    words = ["emoji", *table["verdict"].to_pylist()[1:]]
    at = table.schema.get_field_index("verdict")
    column = type(table["verdict"].chunk(0)).from_arrays(range(len(words)), words)
    pq.write_table(table.set_column(at, "verdict", column), path)


def change_columns(layout: Layout) -> None:
    path = next((layout.out / "columns").glob("disk-*"))
    pq.write_table(pq.read_table(path).slice(1), path)


def flip_image_byte(layout: Layout) -> None:
    path = layout.shard("small-000001")
    data = bytearray(path.read_bytes())
    data[pq.read_table(layout.index("small-000001"))["image_offsets"][2].as_py()[0] + 5] ^= 1
    path.write_bytes(data)


def cut_shard(layout: Layout) -> None:
    layout.shard("small-000000").write_bytes(layout.shard("small-000000").read_bytes()[:-1])


def remove_shard(layout: Layout) -> None:
    layout.shard("small-000002").unlink()


def swap_index(layout: Layout) -> None:
    layout.index("small-000000").write_bytes(layout.index("small-000001").read_bytes())


def add_shard(layout: Layout) -> None:
    layout.shard("small-000009").write_bytes(bytes(1_024))


def change_dataset(layout: Layout) -> None:
    content = orjson.loads(layout.dataset.read_bytes())
    content["hash"] = "0" * 32
    layout.dataset.write_bytes(orjson.dumps(content))


def forget_a_shard(layout: Layout) -> None:
    content = orjson.loads(layout.dataset.read_bytes())
    content["shards"].pop()
    layout.dataset.write_bytes(orjson.dumps(content))


def remove_scan_manifest(layout: Layout) -> None:
    next((layout.out / "manifests" / "scan").glob("disk-*")).unlink()


@pytest.mark.parametrize(
    ("tamper", "message"),
    [
        (tamper_ledger_verdict, "ledger/disk-.*was changed after it was committed"),
        (change_columns, "columns/disk-.*was changed after it was committed"),
        (flip_image_byte, r"small-000001\.tar"),
        (cut_shard, r"small-000000\.tar was changed"),
        (remove_shard, r"small-000002\.tar is missing"),
        (swap_index, r"small-000000\.parquet"),
        (add_shard, r"small-000009\.tar belongs to no manifest"),
        (change_dataset, "hash"),
        (forget_a_shard, "dataset.json lists 3 shards, but 4 follow from it"),
        (remove_scan_manifest, "scan manifest is missing"),
    ],
)
def test_audit_when_something_was_tampered_with_finds_it(
    out: Path, tamper: Callable[[Layout], None], message: str
) -> None:
    tamper(Layout(out))
    assert re.search(message, audit(out).discrepancy or "nothing found")


def test_audit_where_no_run_is_raises(tmp_path: Path) -> None:
    with pytest.raises(QvlError, match="no finished run"):
        audit(tmp_path)
