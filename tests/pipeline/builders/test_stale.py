"""Changes between a built output and its recipe are named, or discarded on request."""

from pathlib import Path

import pytest

from qvl.pipeline.base.errors import StaleError
from qvl.pipeline.base.pool import SerialPool
from qvl.pipeline.base.progress import RunProgress
from qvl.pipeline.builders.build import build
from qvl.pipeline.builders.make import MakeTask
from qvl.pipeline.builders.pack import PackSettings
from qvl.pipeline.builders.stale import refuse_or_discard
from tests.pipeline.builders.numbers import Numbers


def tasks_of(builder: Numbers, out: Path) -> list[MakeTask]:
    return [MakeTask(out, builder, unit) for unit in builder.units()]


@pytest.fixture
def out(tmp_path: Path) -> Path:
    build(Numbers(), tmp_path, SerialPool(), RunProgress(), shard_rows=7, seed=0)
    return tmp_path


def test_refuse_or_discard_accepts_an_unchanged_recipe(out: Path) -> None:
    refuse_or_discard(tasks_of(Numbers(), out), out, PackSettings(7, 0), fresh=False)


@pytest.mark.parametrize(
    ("builder", "settings", "reason"),
    [
        (Numbers(salt="x"), PackSettings(7, 0), r"numbers/range 0: salt changed; numbers/range 1: salt changed"),
        (Numbers(), PackSettings(8, 0), r"shard_rows: 7 -> 8"),
        (Numbers(), PackSettings(7, 3), r"seed: 0 -> 3"),
        (Numbers(count=3), PackSettings(7, 0), r"numbers-0003 is missing"),
        (Numbers(count=6), PackSettings(7, 0), r"2 new units"),
    ],
    ids=["part", "shard_rows", "seed", "missing unit", "new units"],
)
def test_refuse_or_discard_names_what_changed(out: Path, builder: Numbers, settings: PackSettings, reason: str) -> None:
    with pytest.raises(StaleError, match=reason):
        refuse_or_discard(tasks_of(builder, out), out, settings, fresh=False)


def test_refuse_or_discard_removes_only_missing_units_and_the_shards_when_fresh(out: Path) -> None:
    refuse_or_discard(tasks_of(Numbers(count=3), out), out, PackSettings(7, 0), fresh=True)
    assert [path.stem for path in sorted((out / "made").glob("*.tar"))] == [f"numbers-{n:04d}" for n in range(3)]
    assert not (out / "ledger" / "numbers-0003.parquet").exists()
    assert not (out / "shards").exists()
