"""What-if while the search for duplicates has not ended: the filters answer alone, and say so."""

import shutil
import threading
from pathlib import Path
from typing import Any

import pytest

from qvl.pipeline.base.errors import DataError
from qvl.pipeline.finished.changes import apply_changes
from qvl.pipeline.finished.stored_columns import StoredColumns
from qvl.pipeline.finished.whatif import whatif as exact
from qvl.pipeline.recipe.recipe import Recipe
from qvl.pipeline.view import whatif
from qvl.pipeline.view.cached_run import CachedRun
from qvl.pipeline.view.output import Output
from qvl.pipeline.view.whatif import WhatIf
from tests.shared import HANG

LOOSER = ["image_size.minimum_side=1", "text_length.minimum=1"]


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """A search for duplicates that waits until the event is set."""
    go, find = threading.Event(), CachedRun.duplicate_candidates

    def waiting(stored: CachedRun, recipe: Recipe, rule: int) -> Any:
        assert go.wait(HANG)
        return find(stored, recipe, rule)

    monkeypatch.setattr(CachedRun, "duplicate_candidates", waiting)
    monkeypatch.setattr(whatif, "WAIT_SECONDS", 0.01)
    return go


def test_filters_answer_alone_until_duplicates_are_found(
    curated: tuple[Path, Recipe],
    output: Output,
    cursor: Any,
    ledger: list[dict[str, Any]],
    held: threading.Event,
    tmp_path: Path,
) -> None:
    asked, query, gone = WhatIf(output), output.query(cursor, "rows", []), threading.Event()
    first = asked.ask(query, LOOSER, gone)
    assert first.searching == 0 and asked.searching() == 0
    duplicates = sum(row["verdict"] == "duplicate_image" for row in ledger)
    assert duplicates > 3
    after = {word: sum(f.get(word, 0) for f in first.after.values()) for word in ("keep", "duplicate_image")}
    assert after["duplicate_image"] == duplicates  # they stay where they are
    held.set()
    assert asked.search is not None
    asked.search.result(30)
    assert asked.searching() is None
    second = asked.ask(query, LOOSER, gone)
    assert second.searching is None
    stored = StoredColumns.open(
        Path(shutil.copytree(curated[0], tmp_path / "out"))
    )  # this one leaves its findings there
    whole = exact(stored, apply_changes(stored.recipe, LOOSER)).counts()
    assert {name: getattr(second, name) for name in ("kept_after", "gained", "lost")} == {
        name: getattr(whole, name) for name in ("kept_after", "gained", "lost")
    }
    # among the rows that enter are copies of one another
    assert second.gained < first.gained and second.lost >= first.lost == 0


def test_a_rule_that_is_taken_away_needs_no_search(output: Output, cursor: Any, held: threading.Event) -> None:
    asked, gone = WhatIf(output), threading.Event()
    found = asked.ask(
        output.query(cursor, "rows", []), ["dedup.image=false", "dedup.pair=false", "dedup.repeated_text=null"], gone
    )
    assert found.searching is None and found.gained > 0 and not held.is_set()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
@pytest.mark.parametrize(
    ("error", "told"), [(DataError("a column is gone"),) * 2, (ValueError("?"), "duplicates failed")]
)
def test_what_ends_the_search_is_told(
    error: Exception, told: Any, output: Output, cursor: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(stored: CachedRun, recipe: Recipe, rule: int) -> Any:
        raise error

    monkeypatch.setattr(CachedRun, "duplicate_candidates", broken)
    asked, query, gone = WhatIf(output), output.query(cursor, "rows", []), threading.Event()
    asked.ask(query, LOOSER, gone)
    with pytest.raises(DataError, match=str(told)):
        asked.ask(query, LOOSER, gone)
    monkeypatch.undo()
    assert asked.ask(query, LOOSER, gone).gained > 0  # told once; then it may be searched again
