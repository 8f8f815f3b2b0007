"""Everything about one row: the rules that it fails, its sample, its duplicates."""

from pathlib import Path
from typing import Any

import pytest

from qvl.pipeline.base.pool import SerialPool
from qvl.pipeline.base.progress import RunProgress
from qvl.pipeline.builders.text.recipe import load_recipe as load_text_recipe
from qvl.pipeline.builders.text.run import run as run_text
from qvl.pipeline.images.thumbnail import NoThumbnail
from qvl.pipeline.view import detail, samples
from qvl.pipeline.view.output import Output
from qvl.pipeline.view.pictures import picture
from qvl.pipeline.view.tables.queries import PAGE, keys, records


def test_a_dropped_row_has_all_its_failed_rules(output: Output, cursor: Any, ledger: list[dict[str, Any]]) -> None:
    record = next(row for row in ledger if row["failed"].bit_count() >= 2)
    row = detail.row(output, cursor, "rows", record["id"])
    assert isinstance(row, detail.LedgerRow)
    assert sum(not rule.passed for rule in row.rules) == record["failed"].bit_count()
    assert {rule.word for rule in row.rules} == {"image_size", "text_length", "markup", "word_count"}
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
