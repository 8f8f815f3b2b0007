"""Rows with several captions, from a CSV to shards: which text each row gets, and what is known of it afterwards."""

import json
import tarfile
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from qvl.pipeline.base.pool import SerialPool
from qvl.pipeline.commands.summary import caption_lines
from qvl.pipeline.curate.selection.ledger import chosen_texts, read_ledger
from qvl.pipeline.finished.audit import audit
from qvl.pipeline.finished.changes import apply_changes
from qvl.pipeline.finished.stored_columns import StoredColumns
from qvl.pipeline.finished.whatif import whatif
from tests.pipeline.curate.captioned_run import ROWS, curate, make_table, rows
from tests.pipeline.curate.small_run import files
from tests.pipeline.samples import jpeg, tar_bytes


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("captions")
    make_table(folder)
    return folder


def ledger(out: Path) -> pa.Table:
    ((_, found),) = read_ledger(out)
    return found


def samples(out: Path) -> dict[str, dict[str, Any]]:
    """Every sample of the shards by its id."""
    found = {}
    for path in sorted((out / "shards").glob("*.tar")):
        with tarfile.open(path) as tar:
            for member in tar.getmembers():
                if member.name.endswith(".json"):
                    file = tar.extractfile(member)
                    assert file is not None
                    sample = json.loads(file.read())
                    found[sample["id"]] = sample
    return found


def test_order_when_a_text_is_missing_or_fails_takes_the_next(table: Path, tmp_path: Path) -> None:
    dataset = curate(table, tmp_path / "out", {"order": ["alt", "recaption"]})
    found = ledger(tmp_path / "out")
    kept = samples(tmp_path / "out")
    assert len(found) == ROWS
    for number, (row, name, verdict, caption) in enumerate(
        zip(rows(), *(found[name].to_pylist() for name in ("caption_from", "verdict", "caption")), strict=True)
    ):
        good = {"alt": len(row["TEXT"]) >= 6, "recaption": len(row["top_caption"]) >= 6}
        expected = next((each for each in ("alt", "recaption") if good[each]), None)
        assert (verdict == "keep") == (expected is not None), number
        if expected is not None:
            text = row["TEXT" if expected == "alt" else "top_caption"]
            assert (name, caption) == (expected, text)
            sample = kept[found["id"][number].as_py()]
            assert sample["meta"] == {"caption_from": expected}
            assert sample["turns"][-1]["text"].strip() == text
    assert dataset.samples == found["verdict"].to_pylist().count("keep") == len(kept)
    assert set(found["caption_from"].to_pylist()) == {"alt", "recaption"}
    from_kept = Counter(sample["meta"]["caption_from"] for sample in kept.values())
    ((source, counts),) = chosen_texts(tmp_path / "out").items()
    assert counts == from_kept
    assert sum(counts.values()) == dataset.samples
    (line,) = caption_lines(tmp_path / "out")
    assert line.startswith(f"captions {source}: ")
    assert all(f"{name} {rows} (" in line for name, rows in counts.items())
    assert audit(tmp_path / "out").discrepancy is None


RULES: list[dict[str, Any]] = [
    {"order": ["alt", "recaption"]},
    {"order": ["recaption"]},
    {"language": ["zh"]},
    {"best": "characters"},
    {"mix": {"alt": 0.5, "recaption": 0.5}, "seed": 3},
]


@pytest.mark.parametrize("rule", RULES, ids="-".join)
def test_whatif_when_the_choice_changes_counts_what_a_run_of_it_does(
    table: Path, tmp_path: Path, rule: dict[str, Any]
) -> None:
    base = {"filters": {"text_length": {"minimum": 6}}, "dedup": {"repeated_text": 1}}
    curate(table, tmp_path / "one", {"order": ["recaption", "alt"]}, **base)
    curate(table, tmp_path / "other", rule, **base)
    stored = StoredColumns.open(tmp_path / "one")
    changes = [f"caption.{name}={json.dumps(value)}" for name, value in rule.items()]
    answer = whatif(stored, apply_changes(stored.recipe, changes))
    assert [answer.verdicts.name(code) for code in answer.after.tolist()] == ledger(tmp_path / "other")[
        "verdict"
    ].to_pylist()
    filtered = apply_changes(stored.recipe, [*changes, "text_length.minimum=30"])
    base["filters"] = {"text_length": {"minimum": 30}}
    curate(table, tmp_path / "third", rule, **base)
    expected = ledger(tmp_path / "third")["verdict"].to_pylist()
    answer = whatif(stored, filtered)
    assert [answer.verdicts.name(code) for code in answer.after.tolist()] == expected
    assert {"keep", "text_length"} <= set(expected)


def test_mix_when_the_same_rows_are_read_again_draws_the_same_texts(table: Path, tmp_path: Path) -> None:
    rule = {"mix": {"alt": 0.3, "recaption": 0.7}}
    first, second = tmp_path / "first", tmp_path / "second"
    assert curate(table, first, rule).hash == curate(table, second, rule).hash
    assert ledger(first)["caption_from"].to_pylist() == ledger(second)["caption_from"].to_pylist()
    assert len(set(ledger(first)["caption_from"].to_pylist())) == 2


def test_captions_when_a_column_of_a_tar_is_a_list_choose_one_element(tmp_path: Path) -> None:
    members = []
    for i in range(6):
        record = {"five": ["a dog", f"a brown dog number {i} on a lawn"], "alt": None if i else 7}
        members += [(f"{i}.jpg", jpeg(i)), (f"{i}.json", json.dumps(record).encode())]
    (tmp_path / "a.tar").write_bytes(tar_bytes(members))
    columns = {"captions": {"alt": "alt", "five": "five"}}
    source = {"name": "web", "read": {"kind": "webdataset", "paths": ["a.tar"], "columns": columns}}
    tolerance = {"unreadable_rows": 0.5}
    curate(tmp_path, tmp_path / "out", None, sources=[source], tolerance=tolerance)
    found = ledger(tmp_path / "out")
    assert found["verdict"].to_pylist() == ["unreadable:bad_caption", *["keep"] * 5]
    assert found["caption_from"].to_pylist()[1:] == ["five.1"] * 5
    assert audit(tmp_path / "out").discrepancy is None


class StopsAfter(SerialPool):
    """Runs a number of tasks, then fails as a killed process does: what is committed stays."""

    def __init__(self, tasks: int) -> None:
        super().__init__()
        self.left = tasks

    def map(self, function: Any, tasks: Any, needs: Any = None) -> Any:
        for task in tasks:
            if self.left == 0:
                raise KeyboardInterrupt
            self.left -= 1
            yield from super().map(function, [task])


@pytest.mark.parametrize("tasks", [1, 2, 3, 4, 5])
def test_run_when_stopped_anywhere_is_finished_to_the_same_bytes(table: Path, tmp_path: Path, tasks: int) -> None:
    rule = {"mix": {"alt": 0.3, "recaption": 0.7}}
    curate(table, tmp_path / "whole", rule)
    with pytest.raises(KeyboardInterrupt):
        curate(table, tmp_path / "out", rule, pool=StopsAfter(tasks))
    curate(table, tmp_path / "out", rule)
    whole = {name: data for name, data in files(tmp_path / "whole").items() if not name.startswith("report")}
    assert {name: data for name, data in files(tmp_path / "out").items() if not name.startswith("report")} == whole
