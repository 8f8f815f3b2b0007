"""Answers to addresses of the app, against the ledger as Arrow reads it."""

import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from starlette.requests import Request

from qvl.pipeline.recipe.recipe import Recipe
from qvl.pipeline.view.answers import Answers
from qvl.pipeline.view.output import UserInputs
from qvl.pipeline.view.tables.conditions import BadQuery


@pytest.fixture(scope="module")
def answers(curated: tuple[Path, Recipe]) -> Answers:
    return Answers(curated[0], UserInputs(recipe=curated[1]))


@pytest.fixture
def asking(answers: Answers) -> Iterator[Any]:
    """A cursor of the app."""
    found = answers.cursor()
    yield found
    found.close()


def request(name: str, **query: Any) -> Request:
    scope = {
        "type": "http",
        "path": f"/api/{name}",
        "query_string": urlencode(query, doseq=True).encode(),
        "headers": [],
    }
    found = Request(scope)
    found.state.gone = threading.Event()
    return found


def test_every_name_is_a_method_of_a_cursor_and_a_request(answers: Answers) -> None:
    assert all(callable(getattr(answers, name)) for name in answers.NAMES)


def test_total_counts_the_rows_under_the_filters(answers: Answers, asking: Any, ledger: list[dict[str, Any]]) -> None:
    found = answers.total(asking, request("total"))
    assert (found.rows, found.kept) == (len(ledger), sum(row["verdict"] == "keep" for row in ledger))
    narrowed = answers.total(asking, request("total", f=["source:is:first", "verdict:is:keep"]))
    assert narrowed.rows == sum(row["source"] == "first" and row["verdict"] == "keep" for row in ledger)


def test_counts_by_two_columns_are_those_of_the_ledger(
    answers: Answers, asking: Any, ledger: list[dict[str, Any]]
) -> None:
    found = answers.counts(asking, request("counts", by=["verdict", "source"]))
    expected = Counter((row["verdict"], row["source"]) for row in ledger)
    assert {(verdict, source): rows for verdict, source, rows, *_ in found} == expected


def test_an_answer_is_computed_once_for_an_address(answers: Answers, asking: Any) -> None:
    first = answers.counts(asking, request("counts", by="verdict"))
    assert answers.counts(asking, request("counts", by="verdict")) is first
    assert answers.counts(asking, request("counts", by="source")) is not first


def test_rows_follow_a_sort_and_name_the_next_page(answers: Answers, asking: Any, ledger: list[dict[str, Any]]) -> None:
    page = answers.rows(asking, request("rows", sort="-width", column="url"))
    widths = [row["width"] for row in page.rows if row["width"] is not None]
    assert widths == sorted(widths, reverse=True)
    assert {"verdict", "caption", "url"} <= set(page.rows[0])
    assert page.next is None and len(page.rows) == len(ledger) and page.share == 1.0
    whole, rest = (answers.rows(asking, request("rows", **{"from": position})) for position in ("0", "40"))
    assert rest.rows == whole.rows[40:] and len(rest.rows) == 8


@pytest.mark.parametrize("text", ["-1", "x", "1.5", "9" * 10])
def test_a_number_that_is_not_whole_or_too_long_is_refused(answers: Answers, asking: Any, text: str) -> None:
    with pytest.raises(BadQuery, match="is not a whole number"):
        answers.rows(asking, request("rows", **{"from": text}))


def test_scores_of_a_table_without_predictions_are_refused(answers: Answers, asking: Any) -> None:
    with pytest.raises(BadQuery, match="does not hold predictions"):
        answers.scores(asking, request("scores"))


def test_what_if_without_a_change_keeps_what_the_run_kept(answers: Answers, asking: Any) -> None:
    found = answers.whatif(asking, request("whatif"))
    assert (found.gained, found.lost) == (0, 0)
    assert found.kept_after == answers.total(asking, request("total")).kept
    assert answers.thresholds(asking, request("thresholds")).sources == ["first", "second"]
