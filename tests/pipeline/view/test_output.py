"""What an output offers: its tables, its rows in full, its pictures; nothing from outside of it."""

import threading
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from qvl.pipeline.base.errors import DataError
from qvl.pipeline.base.pool import SerialPool
from qvl.pipeline.base.progress import RunProgress
from qvl.pipeline.builders.text.recipe import load_recipe as load_text_recipe
from qvl.pipeline.builders.text.run import run as run_text
from qvl.pipeline.commit.layout import Layout
from qvl.pipeline.commit.records import encode
from qvl.pipeline.images.thumbnail import NoThumbnail
from qvl.pipeline.recipe.recipe import Recipe
from qvl.pipeline.shards.manifests import DatasetManifest, ShardEntry
from qvl.pipeline.view import detail, samples
from qvl.pipeline.view.answers import Answers
from qvl.pipeline.view.output import Output, UserInputs
from qvl.pipeline.view.pictures import picture
from qvl.pipeline.view.tables.conditions import BadQuery
from qvl.pipeline.view.tables.datasets import RelatedDatasets
from qvl.pipeline.view.tables.queries import PAGE, keys, records, total
from qvl.pipeline.view.tables.tables import tables_of
from qvl.pipeline.view.whatif import WhatIf, dedup_rules, filter_thresholds

Curated = tuple[Path, Recipe]


def test_any_other_parquet_file_is_a_table(tmp_path: Path) -> None:
    """As an evaluation or a mixture may leave them."""
    answers = {
        "question": [f"what is {i}" for i in range(90)],
        "score": np.arange(90) / 90,
        "task": ["vqa", "ocr"] * 45,
    }
    pq.write_table(pa.table(answers), tmp_path / "predictions.parquet")
    (tmp_path / "steps").mkdir()
    pq.write_table(pa.table({"step": [1, 2], "loss": [3.0, 2.5]}), tmp_path / "steps" / "a.parquet")
    output = Output.open(tmp_path)
    assert {name: [c.kind for c in table.columns] for name, table in output.tables.items()} == {
        "predictions": ["text", "number", "word", "text"],
        "steps": ["number", "number", "text"],
    }
    query = output.query(output.database.cursor(), "predictions", ["task:is:ocr"])
    found = keys(query, output.table("predictions").column("score"), True, 0)
    assert found[:2] == ["predictions#89", "predictions#87"]
    assert records(query, found[:1], list(query.table.columns))[0]["question"] == "what is 89"


def test_lists_of_hashes_are_hexadecimal_words(tmp_path: Path) -> None:
    boxes = pa.array([[2**64 - 1, 5], [], None], pa.list_(pa.uint64()))
    pq.write_table(pa.table({"boxes": boxes}), tmp_path / "made.parquet")
    output = Output.open(tmp_path)
    query = output.query(output.database.cursor(), "made", ["boxes:is:ffffffffffffffff"])
    column = query.table.column("boxes")
    assert column.kind == "words" and total(query).rows == 1
    found = records(query, keys(query, None, False, 0), [column])
    assert orjson.loads(orjson.dumps(found))[0]["boxes"] == ["ffffffffffffffff", "0000000000000005"]


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
    with pytest.raises(DataError, match="outside"):
        tables_of(Layout(tmp_path / "out"), RelatedDatasets({}))


def test_the_database_opens_no_file_outside_of_the_output(output: Output, cursor: Any, tmp_path: Path) -> None:
    outside = tmp_path / "secret.parquet"
    pq.write_table(pa.table({"key": ["s"]}), outside)
    for statement in (f"SELECT * FROM read_parquet('{outside}')", f"COPY rows TO '{tmp_path}/copy.parquet'",
                      "SET enable_external_access = true", f"ATTACH '{tmp_path}/new.db'"):  # fmt: skip
        with pytest.raises(Exception, match=r"(?i)permission|disabled|locked|cannot"):
            cursor.execute(statement)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["secret.parquet"]


def test_a_dropped_row_has_all_its_failed_rules(output: Output, cursor: Any, ledger: list[dict[str, Any]]) -> None:
    record = next(row for row in ledger if row["failed"].bit_count() >= 2)
    row = detail.row(output, cursor, "rows", record["id"])
    assert isinstance(row, detail.LedgerRow)
    assert sum(not rule.passed for rule in row.rules) == record["failed"].bit_count()
    assert {rule.word for rule in row.rules} == {"image_size", "text_length", "word_count"}
    assert row.verdict == next(rule.word for rule in row.rules if not rule.passed)
    assert row.lineage.row == record["row"] and row.samples == []


def test_a_kept_row_leads_to_its_sample_and_back(output: Output, cursor: Any, ledger: list[dict[str, Any]]) -> None:
    kept = next(row for row in ledger if row["verdict"] == "keep")
    row = detail.row(output, cursor, "rows", kept["id"])
    assert isinstance(row, detail.LedgerRow)
    (sample,) = row.samples
    assert sample.content["id"] == kept["id"] and sample.content["origin"]["row"] == kept["row"]
    back = detail.row(output, cursor, "samples", sample.key)
    assert isinstance(back, detail.SampleRow)
    assert back.row == kept["id"]


def test_losers_stand_beside_the_row_that_was_kept(output: Output, cursor: Any, ledger: list[dict[str, Any]]) -> None:
    loser = next(row for row in ledger if row["dup_of"])
    row = detail.row(output, cursor, "rows", loser["id"])
    assert isinstance(row, detail.LedgerRow)
    assert row.duplicates is not None
    members = [member["_key"] for member in row.duplicates.members]
    assert members[0] == loser["dup_of"] and loser["id"] in members
    assert set(members[1:]) == {each["id"] for each in ledger if each["dup_of"] == loser["dup_of"]}
    found = detail.clusters(output.query(cursor, "rows", []), loser["verdict"], 0)
    losers = [each for each in ledger if each["dup_of"] and each["verdict"] == loser["verdict"]]
    assert sum(cluster.size - 1 for cluster in found.clusters) == len(losers)


def test_pictures_come_from_the_shards_or_from_the_sources(
    curated: Curated, ledger: list[dict[str, Any]], tmp_path: Path
) -> None:
    out, recipe = curated
    kept = next(row for row in ledger if row["verdict"] == "keep")
    small = next(row for row in ledger if row["verdict"] == "image_size")
    plain, full = Output.open(out), Output.open(out, UserInputs(recipe=recipe))
    for output in (plain, full):
        path = tmp_path / "p.webp"
        path.write_bytes(picture(output, output.database.cursor(), "rows", kept["id"], 0, 160))
        with Image.open(path) as image:
            assert image.format == "WEBP" and max(image.size) <= 160
    assert picture(full, full.database.cursor(), "rows", small["id"], 0, 320)
    with pytest.raises(DataError, match="--recipe"):
        picture(plain, plain.database.cursor(), "rows", small["id"], 0, 320)


@pytest.mark.parametrize(
    ("table", "key", "side"),
    [("rows", "../../etc/passwd-0000001", 320), ("rows", "first-000000000000-0000001", 320), ("rows", "x", 320),
     ("rows", "..-1", 320), ("samples", "nothing", 320), ("nothing", "x", 320), ("rows", "first", 99_999)],
)  # fmt: skip
def test_a_key_is_never_a_path(output: Output, cursor: Any, table: str, key: str, side: int) -> None:
    with pytest.raises(DataError):
        picture(output, cursor, table, key, 0, side)


def test_pages_follow_one_another(output: Output, cursor: Any, ledger: list[dict[str, Any]]) -> None:
    query = output.query(cursor, "rows", [])
    width = query.table.column("width")
    assert keys(query, None, False, 0) == [row["id"] for row in ledger][:PAGE]
    ordered = [records(query, [key], [width])[0]["width"] for key in keys(query, width, True, 0)]
    present = [value for value in ordered if value is not None]
    assert present == sorted(present, reverse=True) and ordered[len(present) :] == [None] * (48 - len(present))
    assert keys(query, width, True, 40) == keys(query, width, True, 0)[40:]
    with pytest.raises(BadQuery):
        keys(query, None, False, 10**8)


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


def test_cards_of_a_builds_rows_have_the_words_of_their_samples(tmp_path: Path) -> None:
    recipe, out = Path(__file__).parents[3] / "examples" / "text_demo.yaml", tmp_path / "out"
    with RunProgress() as progress:
        run_text(load_text_recipe(recipe), out, SerialPool(), progress)
    output = Output.open(out)
    cursor = output.database.cursor()
    query = output.query(cursor, "rows", [])
    cards = detail.build_cards(output, cursor, records(query, keys(query, None, False, 0), list(query.table.columns)))
    assert len(cards) == PAGE and all(card["_from"].endswith(f", row {card['row']:,}") for card in cards)
    for card in cards[:5]:
        (place,) = samples.of_row(cursor, card["source"], card["_from"].rpartition(",")[0], card["row"])
        text = " ".join(turn["text"] for turn in samples.content(place)["turns"])
        assert card["_text"][:40] in " ".join(text.split())
    dropped = output.query(cursor, "rows", ["verdict:not:keep"])
    listed = records(dropped, keys(dropped, None, False, 0), list(dropped.table.columns))
    assert listed and not any("_text" in card for card in detail.build_cards(output, cursor, listed))
    with pytest.raises(NoThumbnail, match="text without images"):
        picture(output, cursor, "rows", cards[0]["id"], 0, 160)


def test_a_card_of_a_sample_has_its_words_and_its_outlines(curated: Curated, output: Output, cursor: Any) -> None:
    found = keys(output.query(cursor, "samples", []), None, False, 0)
    shown = samples.previews(cursor, found)
    assert set(shown) == set(found)
    first = samples.content(samples.by_key(cursor, found[0]))
    prompt, answer = (turn["text"] for turn in first["turns"])
    assert shown[found[0]] == {"_text": f"{prompt.removeprefix('<img>0</img>')} → {answer.strip()}", "_shapes": []}
