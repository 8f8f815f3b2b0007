"""Searches in a text, in parts: they add up to one reading, and never look at files without a hit again."""

from pathlib import Path
from typing import Any

import pytest

from qvl.pipeline.recipe.recipe import Recipe
from qvl.pipeline.view.output import Output
from qvl.pipeline.view.tables import search
from qvl.pipeline.view.tables.conditions import BadQuery
from qvl.pipeline.view.tables.queries import RowCount, counts, facets, keys, total
from qvl.pipeline.view.tables.search import Progress, Search

BY = ("verdict", "source", "fails")


@pytest.fixture(params=[(1, 0.0), (1, 60.0), (1 << 40, 0.0)], ids=["a file a time", "file after file", "at once"])
def parts(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files of one statement, and seconds after which an answer is given."""
    monkeypatch.setattr(search, "AT_ONCE", request.param[0])
    monkeypatch.setattr(search, "SECONDS", request.param[1])


def counted(found: Search, query: Any) -> tuple[dict[str, int], dict[str, set[tuple[Any, ...]]], list[float]]:
    """All parts added up, and the shares that they told."""
    by, place = [query.table.column(name) for name in BY], ""
    sums: dict[str, dict[Any, list[int]]] = {name: {} for name in BY}
    whole, shares = {"rows": 0, "kept": 0}, []
    while place is not None:
        part = found.facets(query, by, place)
        for name in whole:
            whole[name] += getattr(part.total, name)
        for name, cells in part.counts.items():
            for word, rows, kept in cells:
                cell = sums[name].setdefault(word, [0, 0])
                cell[0], cell[1] = cell[0] + rows, cell[1] + kept
        shares.append(part.share)
        place = part.next
    return whole, {name: {(word, *cell) for word, cell in found.items()} for name, found in sums.items()}, shares


def listed(found: Search, query: Any) -> list[str]:
    place: str | None = ""
    every: list[str] = []
    while place is not None:
        some, then = found.keys(query, place)
        every, place = every + some, then.next
    return every


@pytest.mark.usefixtures("parts")
@pytest.mark.parametrize(
    "text", ["caption:has:house", "caption:has:SAME", "caption:has:the", "caption:has:nowhere", "url:has:u2"]
)
def test_parts_add_up_to_one_reading(output: Output, cursor: Any, text: str) -> None:
    query = output.query(cursor, "rows", [text, "source:not:third"])
    assert query.condition.slow
    by = [query.table.column(name) for name in BY]
    one = facets(query, by)
    for first in (True, False):  # the rows first, as the page asks, or the counts
        found = Search(query.table)
        if first:
            assert listed(found, query) == keys(query, None, False, 0)
        whole, cells, shares = counted(found, query)
        assert RowCount(**whole) == one.total == total(query)
        assert cells == {name: {tuple(cell) for cell in one.counts[name]} for name in BY}
        assert shares == sorted(shares) and shares[-1] == 1.0
        assert listed(found, query) == keys(query, None, False, 0)
        assert found.covered == {0, 1, 2}
        assert counts(found.narrowed(query), by[:1]) == counts(query, by[:1])


def test_pages_of_a_search_follow_one_another(output: Output, cursor: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    query, every = output.query(cursor, "rows", ["caption:has:e"]), []
    whole = keys(query, None, False, 0)
    for size in (1, 3, 7):
        monkeypatch.setattr(search, "PAGE", size)
        found, every, place = Search(query.table), [], ""
        while place is not None:
            some, then = found.keys(query, place)
            assert len(some) <= size
            every, place = every + some, then.next
        assert every == whole and len(every) > 7


def test_files_without_a_hit_are_not_read_again(output: Output, cursor: Any) -> None:
    query = output.query(cursor, "rows", ["url:has:u2/"])
    found = Search(query.table)
    found.keys(query, "")
    (holding,) = found.hits
    assert found.narrowed(query).files == (query.table.files[holding],)
    empty = output.query(cursor, "rows", ["caption:has:nowhere"])
    nothing = Search(empty.table)
    assert nothing.keys(empty, "") == ([], Progress(None, 1.0))
    assert nothing.facets(empty, [], "").total == RowCount(0, 0)
    assert total(nothing.narrowed(empty)) == RowCount(0, 0)


@pytest.mark.parametrize("place", ["1", "a:b", "1:2:3", "-1:0", "9999999999:1"])
def test_a_position_that_is_not_two_numbers_is_refused(output: Output, cursor: Any, place: str) -> None:
    query = output.query(cursor, "rows", ["caption:has:house"])
    with pytest.raises(BadQuery, match="is not a position"):
        Search(query.table).keys(query, place)


def test_other_filters_are_no_search(curated: tuple[Path, Recipe], output: Output, cursor: Any) -> None:
    for text in ("width:in:1..", "verdict:has:keep", "caption:is:two cats", "id:is:x", "caption:some:"):
        assert not output.query(cursor, "rows", [text]).condition.slow
