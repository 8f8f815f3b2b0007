"""Faults from outside: a changed recipe, a full disk, damaged input, two runs at once."""

import json
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.end_to_end.conftest import changed, dataset_hash, manifests, qvl, start, wait_for
from tests.shared import HANG


def run(recipe: Path, out: Path, *flags: str) -> subprocess.CompletedProcess[str]:
    return qvl("curate", "run", str(recipe), "--output", str(out), *flags)


def test_a_changed_threshold_is_refused_by_name_and_fresh_scans_nothing_again(
    many_units: Path, undisturbed: str, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    assert run(many_units, out).returncode == 0
    scanned = {path.name: path.stat().st_mtime_ns for path in (out / "columns").iterdir()}
    other = changed(many_units, tmp_path, "minimum: 6,", "minimum: 40,")
    refused = run(other, out)
    assert refused.returncode == 2
    assert "filters.text_length.minimum: 6 -> 40" in refused.stderr
    assert "--fresh" in refused.stderr
    assert dataset_hash(out) == undisturbed
    assert run(other, out, "--fresh").returncode == 0
    assert dataset_hash(out) != undisturbed
    assert {path.name: path.stat().st_mtime_ns for path in (out / "columns").iterdir()} == scanned
    assert qvl("curate", "audit", str(out)).returncode == 0
    assert run(many_units, out, "--fresh").returncode == 0
    assert dataset_hash(out) == undisturbed


def test_two_runs_at_once_one_is_told_to_wait(many_units: Path, undisturbed: str, tmp_path: Path) -> None:
    out = tmp_path / "out"
    first = start(many_units, out)
    assert wait_for(lambda: manifests(out) >= 1, first)
    first.send_signal(signal.SIGSTOP)
    second = run(many_units, out)
    first.send_signal(signal.SIGCONT)
    _, errors = first.communicate(timeout=HANG)
    assert first.returncode == 0, errors
    assert second.returncode == 2
    assert f"another run (process {first.pid}) is writing here" in second.stderr
    assert dataset_hash(out) == undisturbed


def test_ctrl_c_leaves_a_state_that_the_same_command_finishes(
    many_units: Path, undisturbed: str, tmp_path: Path
) -> None:
    for attempt in range(5):  # on a busy machine a run may be over before the signal reaches it
        out = tmp_path / f"out-{attempt}"
        process = start(many_units, out)
        assert wait_for(lambda out=out: manifests(out) >= 4, process)  # type: ignore[misc]
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=HANG)
        if process.returncode:
            break
    assert process.returncode == 2
    assert "the same command continues" in errors
    assert run(many_units, out).returncode == 0
    assert dataset_hash(out) == undisturbed


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system with three megabytes."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(folder)], check=False, capture_output=True
    )
    if mounted.returncode:
        pytest.skip("mounting a small disk needs root")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk_is_one_line_and_more_room_finishes_the_run(
    many_units: Path, undisturbed: str, small_disk: Path
) -> None:
    full = run(many_units, small_disk / "out")
    assert full.returncode == 2
    assert "No space left on device" in full.stderr
    assert "run the same command again" in full.stderr
    subprocess.run(["mount", "-o", "remount,size=60m", str(small_disk)], check=True)
    again = run(many_units, small_disk / "out")
    assert again.returncode == 0, again.stderr
    assert dataset_hash(small_disk / "out") == undisturbed


def copy_of(recipe: Path, folder: Path) -> Path:
    shutil.copytree(recipe.parent, folder, symlinks=False)
    return folder / recipe.name


def test_a_cut_tar_keeps_the_rows_before_the_cut_within_the_tolerance(many_units: Path, tmp_path: Path) -> None:
    recipe = copy_of(many_units, tmp_path / "data")
    victim = recipe.parent / "00003.tar"
    os.truncate(victim, victim.stat().st_size // 2)
    refused = run(recipe, tmp_path / "out")
    assert refused.returncode == 2
    assert "1 of 12 input files cannot be read to their end: 00003.tar (unreadable:truncated_tar)" in refused.stderr
    recipe.write_text(recipe.read_text() + "tolerance: {unreadable_units: 0.2}\n")
    accepted = run(recipe, tmp_path / "out", "--json")
    assert accepted.returncode == 0, accepted.stderr
    verdicts = json.loads(accepted.stdout)["dataset"]["lineage"]["verdicts"]["photos"]
    assert verdicts["unreadable:truncated_tar"] == 1
    assert sum(verdicts.values()) < 12 * 60
    assert sum(verdicts.values()) > 11 * 60 + 20
    assert qvl("curate", "audit", str(tmp_path / "out")).returncode == 0


def test_an_input_that_cannot_be_opened_is_named(many_units: Path, tmp_path: Path) -> None:
    recipe = copy_of(many_units, tmp_path / "data")
    (recipe.parent / "00004.tar").unlink()
    (recipe.parent / "00004.tar").symlink_to("nowhere.tar")
    refused = run(recipe, tmp_path / "out")
    assert refused.returncode == 2
    assert "00004.tar" in refused.stderr


def test_an_image_that_changed_after_its_scan_is_not_packed(many_units: Path, tmp_path: Path) -> None:
    recipe = copy_of(many_units, tmp_path / "data")
    out = tmp_path / "out"
    assert run(recipe, out).returncode == 0
    shutil.rmtree(out / "shards")
    shutil.rmtree(out / "manifests" / "pack")
    for tar in recipe.parent.glob("*.tar"):
        data = bytearray(tar.read_bytes())
        middle = len(data) // 2
        data[middle : middle + 20_000] = bytes(20_000)
        tar.write_bytes(data)
    changed_input = run(recipe, out)
    assert changed_input.returncode == 2
    assert "changed since it was scanned" in changed_input.stderr
    assert not (out / "shards" / "dataset.json").exists()


@pytest.mark.parametrize("folder", ["shards", "ledger", "columns"])
def test_audit_finds_a_flipped_byte(folder: str, many_units: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert run(many_units, out).returncode == 0
    victim = sorted(path for path in (out / folder).iterdir() if path.suffix in (".tar", ".parquet"))[0]
    data = bytearray(victim.read_bytes())
    data[len(data) // 2] ^= 0xFF
    victim.write_bytes(data)
    found = qvl("curate", "audit", str(out))
    assert found.returncode == 1
    assert victim.name in found.stderr or victim.stem in found.stderr
