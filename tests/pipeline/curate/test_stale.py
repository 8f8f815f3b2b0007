"""Outputs of a different recipe or of different inputs: refused by name, and discarded with --fresh."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from qvl.pipeline.base.errors import StaleError
from qvl.pipeline.commit.layout import Layout
from qvl.pipeline.commit.manifests import read_manifest
from qvl.pipeline.curate.measuring.manifests import ScanManifest
from qvl.pipeline.finished.audit import audit
from qvl.pipeline.shards.manifests import DatasetManifest
from tests.pipeline.curate.small_run import ROWS, content, curate, files
from tests.pipeline.samples import jpeg, write_img2dataset

CHANGES: dict[str, tuple[dict[str, Any], str]] = {
    "filter": ({"filters": {"image_size": {"minimum_side": 25}}}, "minimum_side"),
    "dedup": ({"dedup": {"image": False}}, "dedup.image"),
    "seed": ({"pack": {"shard_rows": 7, "window_units": 2, "seed": 1}}, "pack.seed"),
    "cleaning": ({"clean": {"html": False}}, "clean"),
    "name": ({"name": "other"}, "name"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_run_when_the_recipe_changed_is_refused_until_fresh(data: Path, out: Path, tmp_path: Path, change: str) -> None:
    more, word = CHANGES[change]
    before = files(out)
    with pytest.raises(StaleError, match=word) as caught:
        curate(data, out, **more)
    assert "--fresh" in str(caught.value)
    assert files(out) == before
    fresh = curate(data, out, fresh=True, **more)
    elsewhere = curate(data, tmp_path / "elsewhere", **more)
    assert fresh == elsewhere
    assert audit(out).discrepancy is None


def test_fresh_run_scans_only_what_changed(data: Path, out: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in (out / "columns").iterdir()}
    curate(data, out, fresh=True, filters={"text_length": {"minimum": 1}})
    assert {path: path.stat().st_mtime_ns for path in (out / "columns").iterdir()} == before


@pytest.mark.parametrize(
    "more", [{"tolerance": {"unreadable_rows": 0.9}}, {"table2": True}], ids=["tolerance", "table2"]
)
def test_run_when_only_what_alters_no_data_changed_is_accepted(data: Path, out: Path, more: dict[str, Any]) -> None:
    if "table2" in more:
        sources = content()["sources"]
        sources[0]["table2"] = {"dataset": "LAION-en", "original": 2, "cleaned": 1}
        more = {"sources": sources}
    before = read_manifest(Layout(out).dataset, DatasetManifest)
    assert curate(data, out, **more) == before


def change_input(data: Path) -> None:
    (data / "web" / "00000.tar").write_bytes((data / "web" / "00001.tar").read_bytes())


def remove_input(data: Path) -> None:
    for path in (data / "web").glob("00001*"):
        path.unlink()


def add_input(data: Path) -> None:
    write_img2dataset(data / "web", "00002", [{"key": "0", "caption": "a new dog", "url": "", "image": jpeg(99)}])


@pytest.mark.parametrize(
    ("act", "words"),
    [
        (change_input, "00000.tar: input changed"),
        (remove_input, "00001.tar no longer exists"),
        (add_input, "00002.tar: new input"),
    ],
)
def test_run_when_an_input_changed_is_refused_until_fresh(
    data: Path, out: Path, tmp_path: Path, act: Callable[[Path], None], words: str
) -> None:
    act(data)
    with pytest.raises(StaleError, match=words):
        curate(data, out)
    assert curate(data, out, fresh=True) == curate(data, tmp_path / "elsewhere")
    assert audit(out).discrepancy is None


@pytest.mark.parametrize("side", ["00000.parquet", "00000_stats.json"])
def test_run_when_a_status_file_changed_is_refused_until_fresh(
    data: Path, out: Path, tmp_path: Path, side: str
) -> None:
    path = data / "web" / side
    if side.endswith("json"):
        path.write_text('{"count": 40}')
    else:
        path.unlink()
    with pytest.raises(StaleError, match=r"00000\.tar: side files changed"):
        curate(data, out)


@pytest.mark.parametrize("unlinked", [0, 1, 2])
def test_fresh_run_when_killed_while_it_discards_still_ends_in_the_right_dataset(
    unlinked: int, data: Path, out: Path, tmp_path: Path
) -> None:
    """After any part of discarding, nothing that belongs to the old input is used again."""
    short = [{"key": f"0{i:02d}", "caption": "dog", "url": f"u{i}", "image": jpeg(i)} for i in range(ROWS)]
    write_img2dataset(data / "web", "00000", short, count=ROWS)
    layout = Layout(out)
    manifests = (read_manifest(path, ScanManifest) for path in (out / "manifests" / "scan").glob("*.json"))
    unit = next(manifest.unit for manifest in manifests if manifest is not None and manifest.name == "00000.tar")
    gone = [layout.unit_manifest(unit), layout.stage_manifest("scan"), layout.stage_manifest("select")]
    for path in gone[: unlinked + 1]:
        path.unlink()
    expected = curate(data, tmp_path / "clean")
    try:
        found = curate(data, out)
    except StaleError:
        found = curate(data, out, fresh=True)
    assert found.hash == expected.hash
    assert audit(out).discrepancy is None


@pytest.mark.parametrize("change", ["added", "replaced", "removed"])
def test_run_when_images_of_a_table_changed_is_refused_until_fresh(change: str, data: Path, tmp_path: Path) -> None:
    hidden = (data / "disk" / "5.jpg").read_bytes()
    if change == "added":
        (data / "disk" / "5.jpg").unlink()
    curate(data, tmp_path / "o")
    if change == "removed":
        (data / "disk" / "5.jpg").unlink()
    else:
        (data / "disk" / "5.jpg").write_bytes(hidden if change == "added" else jpeg(77, 90, 60))
    with pytest.raises(StaleError, match=r"disk/t.jsonl: side files changed"):
        curate(data, tmp_path / "o")
    found = curate(data, tmp_path / "o", fresh=True)
    assert found.hash == curate(data, tmp_path / "clean").hash
