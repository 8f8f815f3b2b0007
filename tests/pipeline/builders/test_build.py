"""A builder's units become shards with the base's guarantees."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from qvl.pipeline.base.errors import ContractError, StaleError
from qvl.pipeline.base.pool import SerialPool
from qvl.pipeline.base.progress import RunProgress
from qvl.pipeline.builders.build import Builder, BuildUnit, Made, build
from qvl.pipeline.finished.audit import audit
from qvl.pipeline.shards.writer import Sample


@dataclass(frozen=True)
class Numbers:
    """Units of ten numbers; odd ones are dropped, every fourth becomes two samples."""

    name: str = "numbers"
    count: int = 4
    salt: str = ""
    columns: tuple[tuple[str, pa.DataType], ...] = (("value", pa.int64()),)

    def units(self) -> list[BuildUnit]:
        return [BuildUnit(f"numbers-{n:04d}", "numbers", f"range {n}", n * 10) for n in range(self.count)]

    def parts(self, unit: BuildUnit) -> dict[str, Any]:
        return {"salt": self.salt, "first": unit.payload}

    def make(self, unit: BuildUnit) -> Iterator[Made]:
        for value in range(unit.payload, unit.payload + 10):
            if value % 2:
                yield Made("odd", str(value), columns={"value": value})
            else:
                copies = 2 if value % 4 == 0 else 1
                yield Made("keep", str(value), [self.sample(value, i) for i in range(copies)], {"value": value})

    def sample(self, value: int, copy: int) -> Sample:
        content = {
            "id": f"n{value}-{copy}",
            "source": "numbers",
            "task": "ocr",
            "language": "en",
            "turns": [{"role": "assistant", "text": f"{self.salt}{value}"}],
            "regions": [],
            "origin": {"file": "numbers", "row": value, "key": str(value), "url": "", "sha": ""},
        }
        return Sample(content, [("png", bytes([value]) * (value + 1), 1, 1)])


def run(builder: Builder, out: Path, seed: int = 0, fresh: bool = False) -> dict[str, Any]:
    return build(builder, out, SerialPool(), RunProgress(), shard_rows=7, seed=seed, fresh=fresh)


def test_every_row_has_a_verdict_and_every_sample_is_packed_once(tmp_path: Path) -> None:
    dataset = run(Numbers(), tmp_path)
    assert dataset["samples"] == 30
    assert dataset["lineage"]["verdicts"] == {"numbers": {"keep": 20, "odd": 20}}
    assert audit(tmp_path)["discrepancy"] is None
    table = pq.read_table(tmp_path / "ledger" / "numbers-0002.parquet")
    assert table["value"].to_pylist() == list(range(20, 30))


def test_equal_inputs_give_equal_bytes_and_the_seed_changes_the_order(tmp_path: Path) -> None:
    first, second = run(Numbers(), tmp_path / "a"), run(Numbers(), tmp_path / "b")
    assert first["hash"] == second["hash"]
    assert run(Numbers(), tmp_path / "c", seed=1)["hash"] != first["hash"]


def test_a_changed_part_is_refused_by_name_and_fresh_redoes_it(tmp_path: Path) -> None:
    run(Numbers(), tmp_path)
    with pytest.raises(StaleError, match=r"range 0: salt changed"):
        run(Numbers(salt="x"), tmp_path)
    run(Numbers(salt="x"), tmp_path, fresh=True)
    assert audit(tmp_path)["discrepancy"] is None


def test_new_and_lost_units_are_refused_then_fresh_keeps_the_others(tmp_path: Path) -> None:
    run(Numbers(), tmp_path)
    made = (tmp_path / "made" / "numbers-0000.tar").stat().st_mtime_ns
    for count, word in ((5, "1 new units"), (3, "numbers-0003 is gone")):
        with pytest.raises(StaleError, match=word):
            run(Numbers(count=count), tmp_path)
    assert run(Numbers(count=3), tmp_path, fresh=True)["lineage"]["rows"] == 30
    assert (tmp_path / "made" / "numbers-0000.tar").stat().st_mtime_ns == made
    assert not (tmp_path / "ledger" / "numbers-0003.parquet").exists()


def test_a_kept_row_without_sample_breaks_the_contract(tmp_path: Path) -> None:
    class Liar(Numbers):
        def make(self, unit: BuildUnit) -> Iterator[Made]:
            yield Made("keep")

    with pytest.raises(ContractError, match="keep with 0 samples"):
        run(Liar(), tmp_path)


def test_audit_finds_a_flipped_byte(tmp_path: Path) -> None:
    run(Numbers(), tmp_path)
    shard = next((tmp_path / "shards").glob("*.tar"))
    data = bytearray(shard.read_bytes())
    data[600] ^= 1
    shard.write_bytes(data)
    assert "its bytes are not those that were committed" in audit(tmp_path)["discrepancy"]
