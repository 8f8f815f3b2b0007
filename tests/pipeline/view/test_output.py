"""What an output offers: its tables, its rows in full, its pictures; nothing from outside of it."""

import threading
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from qvl.pipeline.base.errors import DataError
from qvl.pipeline.commit.layout import Layout
from qvl.pipeline.commit.records import encode
from qvl.pipeline.recipe.recipe import Recipe
from qvl.pipeline.shards.manifests import DatasetManifest, ShardEntry
from qvl.pipeline.view.answers import Answers
from qvl.pipeline.view.output import Output
from qvl.pipeline.view.tables.datasets import RelatedDatasets
from qvl.pipeline.view.tables.faults import Faults
from qvl.pipeline.view.tables.tables import tables_of
from qvl.pipeline.view.whatif import WhatIf, dedup_rules, filter_thresholds

Curated = tuple[Path, Recipe]


def test_another_evaluation_in_the_folder_is_noticed(tmp_path: Path) -> None:
    pq.write_table(pa.table({"prediction": ["a", "b"]}), tmp_path / "predictions.parquet")
    answers = Answers(tmp_path)
    table = Output.open(tmp_path).tables["predictions"].name
    assert answers.cursor().sql(f"select count(*) from {table}").fetchall() == [(2,)]
    pq.write_table(pa.table({"prediction": ["a", "b", "c"]}), tmp_path / "predictions.parquet")
    assert answers.cursor().sql(f"select count(*) from {table}").fetchall() == [(3,)]


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no finished output"):
        Output.open(tmp_path)


def test_a_manifest_cannot_name_files_outside(tmp_path: Path) -> None:
    outside = tmp_path / "secret.parquet"
    pq.write_table(pa.table({"key": ["s"]}), outside)
    (tmp_path / "out" / "shards").mkdir(parents=True)
    shard = ShardEntry("../../secret", 1, 1, 1, "h", "h")
    dataset = DatasetManifest("x", "f", 1, 1, {}, {}, {}, "h", (shard,), {"units": []})
    Layout(tmp_path / "out").dataset.write_bytes(encode(dataset))
    faults = Faults()
    assert tables_of(Layout(tmp_path / "out"), RelatedDatasets({}), faults) == []
    assert faults.lines == ["secret.parquet cannot be shown: secret.parquet is outside of the output"]


def test_what_if_is_exact_and_writes_nothing(
    curated: Curated, output: Output, cursor: Any, ledger: list[dict[str, Any]]
) -> None:
    before = {path: path.stat().st_mtime_ns for path in curated[0].rglob("*")}
    asked, gone = WhatIf(output), threading.Event()
    query = output.query(cursor, "rows", [])
    kept = sum(row["verdict"] == "keep" for row in ledger)
    nothing = asked.ask(query, [], gone)
    same = asked.ask(query, ["image_size.minimum_side=100"], gone)
    assert (nothing.kept_after, same.kept_after, same.gained, same.lost) == (kept, kept, 0, 0)
    assert nothing.before == {source: dict(funnel) for source, funnel in same.before.items()}
    looser = asked.ask(query, ["image_size.minimum_side=1", "dedup.image=false"], gone)
    assert looser.gained == len(looser.entering) > 0
    assert all(row["after"] == "keep" and row["verdict"] != "keep" for row in looser.entering)
    tighter = asked.ask(query, ["image_size.minimum_side=121"], gone)
    assert tighter.kept_after == 0 and tighter.lost == kept
    assert {row["after"] for row in tighter.leaving} == {"image_size"}
    assert {path: path.stat().st_mtime_ns for path in curated[0].rglob("*")} == before


def test_every_threshold_of_the_recipe_can_be_changed(curated: Curated) -> None:
    recipe = curated[1]
    found = {each.word: each for each in filter_thresholds(recipe)}
    assert found["image_size"].bounds == ["minimum_side"] and found["image_size"].column == "shorter_side"
    assert set(found["text_length"].bounds) == {"minimum", "maximum"}
    assert dedup_rules(recipe)["image"] is True
