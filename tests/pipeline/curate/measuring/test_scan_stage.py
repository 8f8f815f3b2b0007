"""Stage scan in the driver: every unit once, the sums, and what the root of all columns depends on."""

from pathlib import Path

import pytest

from qvl.pipeline.base.errors import DataError
from qvl.pipeline.base.pool import SerialPool
from qvl.pipeline.base.progress import RunProgress
from qvl.pipeline.commit.layout import Layout
from qvl.pipeline.commit.manifests import read_manifest
from qvl.pipeline.curate.measuring.manifests import ScanSummary
from qvl.pipeline.curate.measuring.scan_stage import run_scan, scan_root
from tests.pipeline.curate.finished_run import curation, scanned


def test_run_scan_when_a_unit_is_missing_scans_it_alone_and_sums_all(data: Path, out: Path) -> None:
    bound, layout = curation(data, out), Layout(out)
    before, lost = scanned(bound), bound.units()[0]
    layout.unit_manifest(lost.id).unlink()
    stamps = {path.name: path.stat().st_mtime_ns for path in layout.columns(lost.id).parent.iterdir()}
    with RunProgress() as progress:
        found = run_scan(bound.recipe, out, bound.scan_tasks(), SerialPool(), progress)
    assert found == before
    summary = read_manifest(layout.stage_manifest("scan"), ScanSummary)
    assert summary is not None and (summary.units, summary.rows, summary.root) == (3, 32, scan_root(before))
    others = {path.name: path.stat().st_mtime_ns for path in layout.columns(lost.id).parent.iterdir()}
    assert {name for name, stamp in others.items() if stamps[name] != stamp} <= {layout.columns(lost.id).name}


def test_run_scan_when_more_is_unreadable_than_tolerated_raises(data: Path, tmp_path: Path) -> None:
    tar = data / "web" / "00000.tar"
    tar.write_bytes(tar.read_bytes()[:20_000])
    bound = curation(data, tmp_path / "out")
    tolerance = bound.recipe.tolerance.model_copy(update={"unreadable_rows": 0.0})
    strict = bound.recipe.model_copy(update={"tolerance": tolerance})
    with RunProgress() as progress, pytest.raises(DataError, match="unreadable"):
        run_scan(strict, bound.out, bound.scan_tasks(), SerialPool(), progress)


def test_scan_root_depends_on_every_unit_and_on_their_order(data: Path, out: Path) -> None:
    units = scanned(curation(data, out))
    roots = {scan_root(units), scan_root(units[::-1]), scan_root(units[:-1]), scan_root([])}
    assert len(roots) == 4
