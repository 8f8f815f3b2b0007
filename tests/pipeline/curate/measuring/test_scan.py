"""Scanning one unit: its columns, its manifest, and when nothing is done."""

from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from qvl.pipeline.base.errors import DataError
from qvl.pipeline.commit.layout import Layout
from qvl.pipeline.commit.manifests import read_manifest
from qvl.pipeline.curate.curation import Curation
from qvl.pipeline.curate.measuring.columns import COLUMNS
from qvl.pipeline.curate.measuring.manifests import ScanManifest
from qvl.pipeline.curate.measuring.scan import ScanTask, scan_unit, scanned_unit
from qvl.pipeline.recipe.recipe import Recipe
from qvl.pipeline.sources import base
from qvl.pipeline.storage.reader import Storage
from tests.pipeline.samples import jpeg, tar_bytes, write_img2dataset


@pytest.fixture
def task(tmp_path: Path) -> ScanTask:
    """A tar of two rows, the second without an image."""
    rows = [
        {"key": str(i), "url": "", "caption": f"caption {i}", "image": jpeg(i) if i == 0 else None} for i in range(2)
    ]
    write_img2dataset(tmp_path / "web", "00000", rows)
    source = {"name": "web", "read": {"kind": "webdataset", "paths": [str(tmp_path / "web" / "*.tar")]}}
    recipe = Recipe.model_validate({"name": "r", "sources": [source]})
    return Curation(recipe, tmp_path / "out").scan_tasks()[0]


def test_scan_unit_commits_columns_and_counts_faults(task: ScanTask) -> None:
    manifest = scan_unit(task)
    assert (manifest.rows, manifest.image_bytes) == (2, len(jpeg(0)))
    assert manifest.faults == {"download:failed_to_download": 1}
    assert (manifest.unit, manifest.source, manifest.name) == (task.unit.id, "web", "00000.tar")
    table = pq.read_table(Layout(task.out).columns(task.unit.id))
    assert table.schema.names == COLUMNS.names
    assert table["row"].to_pylist() == [0, 1]


def test_scan_unit_when_scanned_already_changes_no_file(task: ScanTask) -> None:
    manifest = scan_unit(task)
    path = Layout(task.out).columns(task.unit.id)
    before = path.stat().st_mtime_ns
    assert scan_unit(task) == scanned_unit(task) == manifest
    assert path.stat().st_mtime_ns == before


def test_scan_unit_when_the_file_changed_since_it_was_planned_commits_nothing(task: ScanTask) -> None:
    write_img2dataset(Path(task.unit.path).parent, "00000", [{"key": "9", "url": "", "caption": "x", "image": jpeg(9)}])
    with pytest.raises(DataError, match=r"web/00000\.tar: the file changed while it was scanned; run the same command"):
        scan_unit(task)
    assert scanned_unit(task) is None
    assert not Layout(task.out).columns(task.unit.id).exists()


def test_scanned_unit_when_a_part_has_changed_is_none(task: ScanTask) -> None:
    scan_unit(task)
    assert scanned_unit(replace(task, parts={**task.parts, "version": 99})) is None


def test_scan_manifest_when_a_key_is_unknown_or_missing_names_the_file(task: ScanTask) -> None:
    scan_unit(task)
    path = Layout(task.out).unit_manifest(task.unit.id)
    data = path.read_bytes()
    for other in (b'"rowz"', b'"extra": 1, "rows"'):
        path.write_bytes(data.replace(b'"rows"', other))
        with pytest.raises(DataError, match=path.name):
            read_manifest(path, ScanManifest)


def test_columns_of_a_table_have_the_same_bytes_wherever_images_divide_its_batches(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    captions = [f"a caption {i}" if i % 3 else "狗" for i in range(40)]
    pq.write_table(pa.table({"text": captions, "jpg": [jpeg(i % 7) for i in range(40)]}), tmp_path / "t.parquet")
    read = {"kind": "table", "paths": [str(tmp_path / "t.parquet")], "columns": {"caption": "text", "image": "jpg"}}
    recipe = Recipe.model_validate({"name": "r", "sources": [{"name": "t", "read": read}]})
    whole = scan_unit(Curation(recipe, tmp_path / "whole").scan_tasks()[0])
    monkeypatch.setattr(base, "IMAGES_PER_BATCH", 3 * len(jpeg(0)))
    divided = Curation(recipe, tmp_path / "divided").scan_tasks()[0]
    assert len(list(divided.source.read(divided.unit, Storage()))) > 5
    assert scan_unit(divided) == whole


def test_scan_unit_when_most_members_have_no_partner_counts_them_and_the_files_that_are_no_rows(tmp_path: Path) -> None:
    members = [("0.png", jpeg(0)), ("0.caption.txt", b"a"), ("1.jpg", jpeg(1)), ("1.txt", b"b"), ("._1.jpg", b"x")]
    (tmp_path / "x.tar").write_bytes(tar_bytes(members))
    usual = {"kind": "webdataset", "paths": [str(tmp_path / "x.tar")]}
    found = []
    for number, read in enumerate([usual, {**usual, "members": {"key": "first_dot"}}]):
        recipe = Recipe.model_validate({"name": "r", "sources": [{"name": "web", "read": read}]})
        (tmp_path / f"out{number}").mkdir()
        manifest = scan_unit(Curation(recipe, tmp_path / f"out{number}").scan_tasks()[0])
        found.append((manifest.rows, manifest.unpaired, manifest.left_out))
    assert found == [(3, 2, {"system_files": 1}), (2, 0, {"system_files": 1})]
