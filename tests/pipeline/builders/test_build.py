"""A builder's units become shards: every row has a verdict, equal inputs give equal bytes, changed inputs are refused."""

from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from qvl.pipeline.base.errors import ContractError, DataError, StaleError
from qvl.pipeline.base.pool import SerialPool
from qvl.pipeline.base.progress import RunProgress
from qvl.pipeline.builders.build import build
from qvl.pipeline.builders.builder import Builder, BuildUnit, BuiltRow
from qvl.pipeline.finished.audit import audit
from qvl.pipeline.shards.manifests import DatasetManifest
from tests.pipeline.builders.numbers import Numbers


def run(builder: Builder, out: Path, seed: int = 0, fresh: bool = False) -> DatasetManifest:
    return build(builder, out, SerialPool(), RunProgress(), shard_rows=7, seed=seed, fresh=fresh)


def test_build_gives_every_row_a_verdict_and_packs_every_sample_once(tmp_path: Path) -> None:
    dataset = run(Numbers(), tmp_path)
    assert dataset.samples == 30
    assert dataset.verdicts == {"numbers": {"keep": 20, "odd": 20}}
    assert audit(tmp_path).discrepancy is None
    table = pq.read_table(tmp_path / "ledger" / "numbers-0002.parquet")
    assert table["value"].to_pylist() == list(range(20, 30))


def test_build_gives_equal_bytes_when_inputs_are_equal_and_another_order_when_the_seed_changes(tmp_path: Path) -> None:
    first, second = run(Numbers(), tmp_path / "a"), run(Numbers(), tmp_path / "b")
    assert first.hash == second.hash
    assert run(Numbers(), tmp_path / "c", seed=1).hash != first.hash


def test_build_refuses_a_changed_part_by_name_and_rebuilds_it_when_fresh(tmp_path: Path) -> None:
    run(Numbers(), tmp_path)
    with pytest.raises(StaleError, match=r"built from a different recipe .*range 0: salt changed"):
        run(Numbers(salt="x"), tmp_path)
    run(Numbers(salt="x"), tmp_path, fresh=True)
    assert audit(tmp_path).discrepancy is None


def test_build_refuses_new_and_missing_units_and_keeps_the_others_when_fresh(tmp_path: Path) -> None:
    run(Numbers(), tmp_path)
    built_at = (tmp_path / "made" / "numbers-0000.tar").stat().st_mtime_ns
    for count, reason in ((5, "1 new units"), (3, "numbers-0003 is missing")):
        with pytest.raises(StaleError, match=reason):
            run(Numbers(count=count), tmp_path)
    assert run(Numbers(count=3), tmp_path, fresh=True).rows == 30
    assert (tmp_path / "made" / "numbers-0000.tar").stat().st_mtime_ns == built_at
    assert not (tmp_path / "ledger" / "numbers-0003.parquet").exists()


def test_build_when_an_input_changes_while_it_is_read_commits_no_unit_of_it(tmp_path: Path) -> None:
    class Changing(Numbers):
        def make(self, unit: BuildUnit) -> Iterator[BuiltRow]:
            yield from super().make(unit)
            self.salt = "x" if unit.payload == 10 else self.salt

    with pytest.raises(DataError, match=r"range 0: salt changed; .*while it was read; run the same command again"):
        run(Changing(), tmp_path / "out")
    assert not (tmp_path / "out" / "shards").exists()
    assert run(Numbers(salt="x"), tmp_path / "out").hash == run(Numbers(salt="x"), tmp_path / "undisturbed").hash


def test_build_raises_when_a_kept_row_has_no_sample(tmp_path: Path) -> None:
    class EmptyRows(Numbers):
        def make(self, unit: BuildUnit) -> Iterator[BuiltRow]:
            yield BuiltRow("keep")

    with pytest.raises(ContractError, match="keep with 0 samples"):
        run(EmptyRows(), tmp_path)


def test_audit_finds_the_shard_when_one_byte_is_flipped(tmp_path: Path) -> None:
    run(Numbers(), tmp_path)
    shard = next((tmp_path / "shards").glob("*.tar"))
    data = bytearray(shard.read_bytes())
    data[600] ^= 1
    shard.write_bytes(data)
    assert "was changed after it was committed" in str(audit(tmp_path).discrepancy)
