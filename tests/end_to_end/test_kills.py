"""kill -9 of the driver, of a Ray worker, of the raylet: the same command finishes to the same bytes."""

import random
import subprocess
import sys
from pathlib import Path

import pytest

from tests.end_to_end.conftest import ROOT, dataset_hash, descendants, kill, manifests, qvl, start, wait_for
from tests.shared import HANG

KILLS = 6
SEED = 20231013
WORK = ("ray::scan_unit", "ray::judge", "ray::emit", "ray::resolve", "ray::write_ledger", "ray::pack_shard")


def finish(recipe: Path, out: Path, *flags: str) -> str:
    result = qvl("curate", "run", str(recipe), "--output", str(out), *flags)
    assert result.returncode == 0, result.stderr
    audit = qvl("curate", "audit", str(out))
    assert audit.returncode == 0, audit.stderr
    return dataset_hash(out)


def test_a_serial_run_killed_again_and_again_ends_in_the_same_dataset(
    many_units: Path, undisturbed: str, tmp_path: Path
) -> None:
    out, moments = tmp_path / "out", random.Random(SEED)
    done, killed = 0, 0
    for _ in range(KILLS):
        process = start(many_units, out)
        target = done + moments.randint(1, 6)
        if wait_for(lambda target=target: manifests(out) >= target, process):
            kill(process.pid)
            killed += 1
        process.communicate()
        done = manifests(out)
    assert killed >= 3
    assert finish(many_units, out) == undisturbed
    assert not (out / ".attempts").exists() or not any((out / ".attempts").iterdir())


def test_ray_survives_a_dead_worker(many_units: Path, undisturbed: str, tmp_path: Path) -> None:
    out = tmp_path / "out"
    process = start(many_units, out, "--workers", "ray")
    victims: list[int] = []

    def at_work() -> bool:
        victims[:] = [pid for pid, command in descendants(process.pid).items() if command.startswith(WORK)]
        return manifests(out) >= 1 and bool(victims)

    assert wait_for(at_work, process), "no Ray worker was seen at work"
    kill(victims[0])
    _, errors = process.communicate(timeout=HANG)
    assert process.returncode == 0, errors
    assert dataset_hash(out) == undisturbed


@pytest.mark.parametrize("victim", ["raylet", "driver"])
def test_a_ray_run_whose_raylet_or_driver_dies_is_finished_by_the_same_command(
    victim: str, many_units: Path, undisturbed: str, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    process = start(many_units, out, "--workers", "ray")
    assert wait_for(lambda: manifests(out) >= 3, process)
    below = descendants(process.pid)
    raylets = [pid for pid, command in below.items() if "/raylet/raylet" in command]
    assert raylets, "no raylet is running"
    kill(raylets[0] if victim == "raylet" else process.pid)
    try:
        _, errors = process.communicate(timeout=HANG)
    except subprocess.TimeoutExpired:
        kill(process.pid)
        pytest.fail("the driver hangs without its raylet")
    finally:
        for pid in below:
            kill(pid)
    assert process.returncode != 0
    if victim == "raylet":
        assert "run the same command again" in errors, errors
    assert finish(many_units, out) == undisturbed


@pytest.mark.parametrize("cpus", [1, pytest.param(2, marks=pytest.mark.long), 4])
def test_ray_gives_the_bytes_of_the_serial_pool(cpus: int, many_units: Path, undisturbed: str, tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path\n"
        "from qvl.pipeline.curate.run import run\n"
        "from qvl.pipeline.base.pool import RayPool\n"
        "from qvl.pipeline.base.progress import RunProgress\n"
        "from qvl.pipeline.recipe.recipe import load_recipe\n"
        f"print(run(load_recipe(Path(sys.argv[1])), Path(sys.argv[2]), RayPool(cpus={cpus}), RunProgress()).hash)\n"
    )
    command = [sys.executable, "-c", script, str(many_units), str(tmp_path / "out")]
    result = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT, timeout=HANG)
    assert result.returncode == 0, result.stderr
    assert result.stdout.split()[-1] == undisturbed
