"""A takedown from a build, whose units also contain the samples and whose page may show them."""

import json
import shutil
import tarfile
from pathlib import Path
from typing import Any

import pytest

from qvl.pipeline.commit.layout import Layout
from qvl.pipeline.finished.audit import audit
from qvl.pipeline.shards.reader import open_dataset, read_index
from qvl.pipeline.shards.scan import scan_dataset
from qvl.pipeline.takedown.blanked_units import samples_held
from qvl.pipeline.takedown.requests import TakedownList, read_list
from qvl.pipeline.takedown.revoke import find_home, find_records, revoke, stage_takedown, with_cleared_files
from tests.pipeline.builders.numbers import Numbers
from tests.pipeline.builders.test_build import run
from tests.pipeline.takedown.kills import DAY, kill_takedowns, run_takedown, spread, stopped_after

GONE = ["n8-0", "n12-1", "n30-0"]
UNITS = {"numbers-0000", "numbers-0001", "numbers-0003"}  # the units that hold them


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """A finished build with a page that shows a picture."""
    run(Numbers(), tmp_path / "out")
    (tmp_path / "out" / "report.html").write_text("<img src='data:image/png;base64,CAgICAgICAg='>")
    return tmp_path / "out"


@pytest.fixture
def wanted(tmp_path: Path) -> TakedownList:
    (tmp_path / "list.txt").write_text("\n".join(GONE) + "\n")
    return read_list(tmp_path / "list.txt")


def contents(out: Path) -> dict[str, bytes]:
    """Every file of an output except its lock."""
    found = (path for path in sorted(out.rglob("*")) if path.is_file() and path.name != ".lock")
    return {str(path.relative_to(out)): path.read_bytes() for path in found}


def samples_of_units(out: Path) -> dict[str, tuple[bytes, bytes]]:
    """Image and JSON of every sample in the units, by id."""
    found = {}
    for tar in sorted((out / "made").glob("*.tar")):
        data = tar.read_bytes()
        for row in read_index(str(tar.with_suffix(".parquet")), ["key", "image_offsets", "image_sizes",
                                                                "json_offset", "json_size"]).to_pylist():  # fmt: skip
            at, size = row["image_offsets"][0], row["image_sizes"][0]
            text = data[row["json_offset"] : row["json_offset"] + row["json_size"]]
            found[row["key"]] = data[at : at + size], text
    return found


def test_revoke_blanks_the_samples_in_the_units_and_changes_nothing_else(out: Path, wanted: TakedownList) -> None:
    before, samples = contents(out), samples_of_units(out)
    found = revoke(out, wanted, DAY)
    assert list(found.cleared) == [*(f"made/{unit}.tar" for unit in sorted(UNITS)), "report.html"]
    now = contents(out)
    assert before.keys() - now.keys() == {"report.html"} and now.keys() - before.keys() == {"revoked.jsonl"}
    changed = {name for name in before.keys() & now.keys() if before[name] != now[name]}
    assert {name for name in changed if name.startswith(("made", "manifests/scan", "ledger"))} == {
        *(f"made/{unit}.tar" for unit in UNITS), *(f"manifests/scan/{unit}.json" for unit in UNITS)
    }  # fmt: skip
    for key, (image, text) in samples_of_units(out).items():
        if key in GONE:
            assert image == bytes(len(samples[key][0])) and json.loads(text) == {"id": key}
        else:
            assert (image, text) == samples[key]
    for unit in UNITS:
        with tarfile.open(out / "made" / f"{unit}.tar") as tar:  # still a complete tar
            assert len(tar.getnames()) == 2 * read_index(str(out / "made" / f"{unit}.parquet"), ["key"]).num_rows
    records = [json.loads(line) for line in (out / "revoked.jsonl").read_text().splitlines()]
    assert {record["id"]: record["also"] for record in records} == {
        "n8-0": ["made/numbers-0000.tar", "report.html"], "n12-1": ["made/numbers-0001.tar", "report.html"],
        "n30-0": ["made/numbers-0003.tar", "report.html"],
    }  # fmt: skip
    assert audit(out).discrepancy is None


def test_build_when_packed_again_or_grown_after_a_takedown_leaves_the_samples_out(
    out: Path, wanted: TakedownList
) -> None:
    revoke(out, wanted, DAY)
    taken = contents(out)
    assert run(Numbers(), out).revoked == 3
    assert contents(out) == taken
    for path in [*(out / "shards").iterdir(), *(out / "manifests" / "pack").iterdir()]:
        path.unlink()
    run(Numbers(), out)  # every shard is packed again from the blanked units
    assert contents(out) == taken
    grown = run(Numbers(count=5), out, fresh=True)
    assert grown.revoked == 3 and not {s.key for s in scan_dataset(open_dataset(str(out)))} & set(GONE)
    assert audit(out).discrepancy is None


def test_revoke_when_a_unit_was_rebuilt_blanks_it_again(out: Path, wanted: TakedownList) -> None:
    revoke(out, wanted, DAY)
    run(Numbers(salt="x"), out, fresh=True)
    assert sorted(samples_held(Layout(out), sorted(UNITS), GONE)) == sorted(UNITS)
    found = revoke(out, wanted, DAY)
    assert found.samples == 0 and list(found.cleared) == [f"made/{unit}.tar" for unit in sorted(UNITS)]
    assert samples_held(Layout(out), sorted(UNITS), GONE) == {}
    assert revoke(out, wanted, DAY).cleared == ()
    assert audit(out).discrepancy is None


def test_revoke_when_dry_names_the_files_and_changes_nothing(out: Path, wanted: TakedownList) -> None:
    before = contents(out)
    assert len(revoke(out, wanted, DAY, dry=True).cleared) == 4
    assert contents(out) == before


def test_revoke_when_an_earlier_takedown_stopped_after_any_step_finishes_it(
    out: Path, wanted: TakedownList, tmp_path: Path
) -> None:
    straight = Path(shutil.copytree(out, tmp_path / "straight"))
    revoke(straight, wanted, DAY)
    held = samples_held(Layout(out), sorted(UNITS), GONE)
    records = with_cleared_files(find_home(out), find_records(open_dataset(str(out)), wanted, DAY), held)
    for rows in records.values():
        for record in rows.values():
            (unit,) = (unit for unit, samples in held.items() if any(sample.key == record.id for sample in samples))
            assert record.also == (f"made/{unit}.tar", "report.html")
    stage_takedown(find_home(out), open_dataset(str(out)), records, held)
    moves: list[Any] = json.loads((out / ".revoke" / "journal.json").read_bytes())
    assert len(moves) > 2 * len(UNITS) and moves[-1] == [None, "report.html"]
    for done in range(len(moves) + 1):
        stopped = stopped_after(moves[:done], out, tmp_path / f"stopped-{done}")
        revoke(stopped, wanted, DAY)
        assert contents(stopped) == contents(straight), done


@pytest.mark.parametrize("kills", [6, pytest.param(80, marks=pytest.mark.long)])
def test_revoke_from_a_build_when_an_earlier_takedown_was_killed_at_any_call_finishes_it(
    out: Path, wanted: TakedownList, tmp_path: Path, kills: int
) -> None:
    straight = Path(shutil.copytree(out, tmp_path / "straight"))
    calls = run_takedown(straight, tmp_path / "list.txt")
    expected = contents(straight)
    copies = [Path(shutil.copytree(out, tmp_path / f"killed-{number}")) for number in range(kills)]
    kill_takedowns(tmp_path / "list.txt", dict(zip(copies, spread(calls, kills), strict=True)))
    assert {(target / ".revoke" / "journal.json").exists() for target in copies} == {False, True}
    for target in copies:
        revoke(target, wanted, DAY)
        assert contents(target) == expected
