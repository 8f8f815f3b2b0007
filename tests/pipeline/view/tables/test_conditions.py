"""Filters of the address select exactly the rows that they name, and nothing else can be said in them."""

from collections.abc import Callable
from typing import Any

import pytest

from qvl.pipeline.filters import FILTER_NAMES
from qvl.pipeline.view.output import Output
from qvl.pipeline.view.tables.conditions import MAX_CONDITIONS, BadQuery
from qvl.pipeline.view.tables.queries import RowCount, total

Row = dict[str, Any]
LANGUAGE, SIZE = (1 << FILTER_NAMES.index(word) for word in ("word_count", "image_size"))

CASES: list[tuple[list[str], Callable[[Row], bool]]] = [
    (["verdict:is:keep"], lambda row: row["verdict"] == "keep"),
    (["verdict:is:keep", "verdict:is:image_size"], lambda row: row["verdict"] in ("keep", "image_size")),
    (["verdict:not:keep"], lambda row: row["verdict"] != "keep"),
    (["verdict:starts:download"], lambda row: row["verdict"].startswith("download")),
    (["width:in:100..160"], lambda row: row["width"] is not None and 100 <= row["width"] < 160),
    (["width:in:100.."], lambda row: row["width"] is not None and row["width"] >= 100),
    (["width:in:..100", "source:is:first"], lambda row: (row["width"] or 100) < 100 and row["source"] == "first"),
    (["width:is:120"], lambda row: row["width"] == 120),
    (["width:none:"], lambda row: row["width"] is None),
    (["width:some:"], lambda row: row["width"] is not None),
    (["shorter_side:in:..100"], lambda row: row["width"] is not None and min(row["width"], row["height"]) < 100),
    (["fails:is:word_count"], lambda row: bool(row["failed"] & LANGUAGE)),
    (["fails:is:word_count", "fails:is:image_size"], lambda row: bool(row["failed"] & (LANGUAGE | SIZE))),
    (["fails:not:image_size"], lambda row: not row["failed"] & SIZE),
    (["fails:none:"], lambda row: row["failed"] == 0),
    (["caption:has:house"], lambda row: "house" in row["caption"].lower()),
    (["caption:has:same"], lambda row: "same" in row["caption"].lower()),
    (["caption:has:SAME"], lambda row: "SAME" in row["caption"]),
    (["caption:has:Same"], lambda row: "Same" in row["caption"]),
    (["caption:has:100% o'neill \"q"], lambda row: "100% o'neill" in row["caption"].lower()),
    (["caption:has:barn in"], lambda row: "barn in" in row["caption"].lower()),
    (["caption:has:o'neill \"quoted\" text"], lambda row: "quoted" in row["caption"]),
    (["caption:has:house &amp; g"], lambda row: "house &amp; g" in row["caption"].lower()),
    (["caption_raw:has:house &amp; g"], lambda row: "house &amp; g" in row["caption_raw"].lower()),
    (["caption:has:."], lambda row: "." in row["caption"]),
    (["caption:has:红色"], lambda row: "红色" in row["caption"]),
    (["caption:is:two cats"], lambda row: row["caption"] == "two cats"),
    (["animated:is:false"], lambda row: row["animated"] is False),
    (["dup_of:some:"], lambda row: row["dup_of"] is not None),
]  # fmt: skip


@pytest.mark.parametrize(
    ("texts", "wanted"), CASES, ids=lambda value: " ".join(value) if isinstance(value, list) else ""
)
def test_a_filter_selects_what_it_says(
    output: Output, cursor: Any, ledger: list[Row], texts: list[str], wanted: Callable[[Row], bool]
) -> None:
    expected = [row for row in ledger if wanted(row)]
    kept = sum(row["verdict"] == "keep" for row in expected)
    assert total(output.query(cursor, "rows", texts)) == RowCount(len(expected), kept)


def test_the_cases_tell_filters_apart(ledger: list[Row]) -> None:
    numbers = [sum(map(wanted, ledger)) for _, wanted in CASES]
    assert len(ledger) == 48 and all(number < 48 for number in numbers) and sum(number > 0 for number in numbers) > 20


def test_a_hash_is_found_by_its_hexadecimal_digits(output: Output, cursor: Any, ledger: list[Row]) -> None:
    digest = next(row["image_hash"] for row in ledger if row["image_hash"] is not None)
    expected = sum(row["image_hash"] == digest for row in ledger)
    assert total(output.query(cursor, "rows", [f"image_hash:is:{digest.hex().upper()}"])).rows == expected > 0


@pytest.mark.parametrize(
    "text",
    [
        "nothing:is:1", "verdict", "verdict:like:a", "width:is:many", "width:in:5", "width:in:..", "width:in:nan..",
        "width:in:1e999..", "fails:is:nonsense", "animated:is:maybe", "caption:has:" + "x" * 3000,
        'width" OR 1=1 --:is:1', "filename:has:tmp",
    ],
)  # fmt: skip
def test_nonsense_is_refused_in_words(output: Output, cursor: Any, text: str) -> None:
    with pytest.raises(BadQuery):
        output.query(cursor, "rows", [text])


def test_a_value_is_never_sql(output: Output, cursor: Any) -> None:
    for value in ("' OR 1=1 --", "keep'; DROP VIEW rows; --", "keep' UNION SELECT 1 --"):
        assert total(output.query(cursor, "rows", [f"verdict:is:{value}"])).rows == 0
    assert total(output.query(cursor, "rows", [])).rows == 48


def test_the_number_of_filters_is_bounded(output: Output, cursor: Any) -> None:
    with pytest.raises(BadQuery, match="more than"):
        output.query(cursor, "rows", ["verdict:not:x"] * (MAX_CONDITIONS + 1))
