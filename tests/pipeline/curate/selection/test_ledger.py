"""Reading the ledger: its manifests, in order, and verdicts counted."""

from pathlib import Path

import pyarrow as pa
import pytest

from qvl.pipeline.base.errors import ContractError, DataError
from qvl.pipeline.commit.layout import Layout
from qvl.pipeline.commit.manifests import create_manifest
from qvl.pipeline.curate.selection.ledger import count_verdicts, ledger_units
from qvl.pipeline.curate.selection.manifests import LedgerManifest, LedgerUnit, SelectSummary
from tests.pipeline.filters.judging import rows as make_batch


def write_manifests(out: Path, groups: list[list[str]]) -> None:
    layout = Layout(out)
    create_manifest(layout.stage_manifest("select"), SelectSummary("f", len(groups), 0, {}))
    for number, units in enumerate(groups):
        entries = {unit: LedgerUnit("web", f"hash of {unit}", {"keep": 1}) for unit in units}
        create_manifest(layout.group_manifest("ledger", number), LedgerManifest("f", entries))


def test_ledger_units_come_group_by_group(tmp_path: Path) -> None:
    write_manifests(tmp_path, [["b", "c"], ["a"]])
    assert list(ledger_units(tmp_path)) == ["b", "c", "a"]
    assert ledger_units(tmp_path)["a"] == LedgerUnit("web", "hash of a", {"keep": 1})


def test_ledger_units_before_select_has_finished_raises(tmp_path: Path) -> None:
    with pytest.raises(ContractError, match="there is no ledger yet"):
        ledger_units(tmp_path)


def test_ledger_units_when_the_manifest_of_a_group_is_missing_raises(tmp_path: Path) -> None:
    write_manifests(tmp_path, [["a"], ["b"]])
    Layout(tmp_path).group_manifest("ledger", 1).unlink()
    with pytest.raises(ContractError, match="ledger group 1 is missing"):
        ledger_units(tmp_path)


def test_ledger_units_when_a_manifest_has_an_unknown_key_names_the_file(tmp_path: Path) -> None:
    write_manifests(tmp_path, [["a"]])
    path = Layout(tmp_path).group_manifest("ledger", 0)
    path.write_bytes(path.read_bytes().replace(b'"source"', b'"sauce"'))
    with pytest.raises(DataError, match=r"ledger-000000\.json"):
        ledger_units(tmp_path)


def test_count_verdicts_when_a_row_has_none_raises() -> None:
    batch = pa.Table.from_batches([make_batch(fault=["keep", None, "keep"])])
    with pytest.raises(ContractError, match="1 rows have no verdict"):
        count_verdicts(batch["fault"])
