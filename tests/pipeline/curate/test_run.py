"""Small whole runs in this process: verdicts, sums, and what is rebuilt."""

from pathlib import Path

import orjson
import pytest

from qvl.pipeline.base.errors import ContractError, DataError
from qvl.pipeline.commit.layout import Layout
from qvl.pipeline.commit.manifests import read_manifest
from qvl.pipeline.finished.audit import AuditResult, audit
from qvl.pipeline.shards.manifests import DatasetManifest
from tests.pipeline.curate.small_run import content, curate, files


def test_run_gives_every_row_one_verdict_and_the_sums_agree(data: Path, tmp_path: Path) -> None:
    dataset = curate(data, tmp_path / "out")
    web = {
        "download:failed_to_download": 2,
        "download:unaccounted": 2,
        "duplicate_image": 2,
        "keep": 18,
        "text_length": 2,
    }
    assert dataset.verdicts == {"disk": {"keep": 6}, "web": web}
    assert (dataset.samples, dataset.rows) == (24, 32)
    assert [shard.samples for shard in dataset.shards] == [7, 7, 7, 3]
    assert audit(tmp_path / "out") == AuditResult(
        rows=32, kept=24, dropped=8, shards=4, hash=dataset.hash, revoked=0, discrepancy=None
    )


def test_run_when_repeated_changes_nothing(data: Path, out: Path) -> None:
    before = files(out)
    assert curate(data, out) == read_manifest(Layout(out).dataset, DatasetManifest)
    assert files(out) == before


def test_run_when_the_data_was_moved_writes_the_same_bytes(data: Path, out: Path, tmp_path: Path) -> None:
    moved = data.rename(tmp_path / "elsewhere")
    curate(moved, tmp_path / "second")
    assert files(out) == files(tmp_path / "second")
    curate(moved, out)


LOST = [
    *("manifests/select/judged-*", "manifests/pack/*-000001*", "manifests/pack/*", "manifests/select.json"),
    *("manifests/scan.json", "shards/dataset.json", "manifests/*.json"),
]


@pytest.mark.parametrize("lost", LOST)
def test_run_when_manifests_are_lost_rebuilds_the_same_bytes(data: Path, out: Path, lost: str) -> None:
    before = files(out)
    gone = list(out.glob(lost))
    assert gone
    for path in gone:
        path.unlink()
    curate(data, out)
    after = files(out)
    assert after == {name: data for name, data in before.items() if name in after}
    assert set(before) - set(after) <= {str(path.relative_to(out)) for path in gone if "judged" in path.name}


def test_run_when_more_is_damaged_than_tolerated_stops_and_names_it(data: Path, tmp_path: Path) -> None:
    (data / "web" / "00000.tar").write_bytes((data / "web" / "00000.tar").read_bytes()[:20_000])
    with pytest.raises(DataError, match=r"unreadable:after_the_cut"):
        curate(data, tmp_path / "a", tolerance={"unreadable_rows": 0.01, "unreadable_units": 1.0})
    with pytest.raises(DataError, match=r"00000\.tar \(.*truncated_tar"):
        curate(data, tmp_path / "b", tolerance={"unreadable_rows": 1.0, "unreadable_units": 0.1})
    dataset = curate(data, tmp_path / "a", tolerance={"unreadable_rows": 1.0, "unreadable_units": 1.0})
    assert audit(tmp_path / "a").discrepancy is None
    assert dataset.verdicts["web"]["unreadable:truncated_tar"] == 1


def test_run_when_a_unit_cannot_be_opened_gives_a_verdict(data: Path, tmp_path: Path) -> None:
    (data / "web" / "00002.tar").mkdir()
    dataset = curate(data, tmp_path / "out")
    assert dataset.verdicts["web"]["unreadable:unit:IsADirectoryError"] == 1


def test_run_when_nothing_is_kept_writes_an_empty_dataset(data: Path, tmp_path: Path) -> None:
    dataset = curate(data, tmp_path / "out", filters={"text_length": {"minimum": 999}})
    assert (dataset.samples, dataset.shards) == (0, ())
    assert audit(tmp_path / "out").discrepancy is None


def test_run_when_an_attempt_comes_to_other_bytes_raises(data: Path, out: Path) -> None:
    path = next((out / "manifests" / "pack").iterdir())
    manifest = orjson.loads(path.read_bytes())
    Layout(out).dataset.unlink()
    path.write_bytes(orjson.dumps({**manifest, "samples": 1}))
    with pytest.raises(ContractError):
        curate(data, out)


@pytest.mark.parametrize("lost", ["shards/small-000001.tar", "shards/small-000000.parquet", "ledger", "columns"])
def test_run_when_results_were_deleted_by_hand_rebuilds_them(lost: str, data: Path, out: Path) -> None:
    before = audit(out).hash
    path = out / lost
    victim = sorted(path.iterdir())[0] if path.is_dir() else path
    victim.unlink()
    assert audit(out).discrepancy is not None
    assert curate(data, out).hash == before
    assert audit(out).discrepancy is None


def test_run_when_sources_are_in_another_order_writes_the_same_bytes(data: Path, tmp_path: Path) -> None:
    turned = content()
    turned["sources"].reverse()
    assert curate(data, tmp_path / "a").hash == curate(data, tmp_path / "b", sources=turned["sources"]).hash


def test_run_when_a_manifest_is_damaged_names_it_and_repeats_the_work_once_deleted(data: Path, out: Path) -> None:
    path = Layout(out).stage_manifest("select")
    path.write_bytes(b"")
    with pytest.raises(DataError, match=r"select.json is corrupted; delete it"):
        curate(data, out)
    path.unlink()
    curate(data, out)
    assert audit(out).discrepancy is None
