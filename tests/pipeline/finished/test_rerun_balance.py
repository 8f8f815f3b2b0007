"""What-if over balance against real runs of the changed recipe."""

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from qvl.pipeline.base.errors import RecipeError
from qvl.pipeline.finished.audit import audit
from qvl.pipeline.finished.changes import apply_changes
from qvl.pipeline.finished.stored_columns import StoredColumns
from qvl.pipeline.finished.whatif import whatif
from qvl.pipeline.recipe.recipe import Recipe
from tests.pipeline.finished.small_runs import content, curate, ids, verdicts

STEPS: list[dict[str, Any]] = [
    {"name": "lengths", "cap": {"per": ["words", "source"], "count": 15}},
    {"name": "best", "top": {"by": "clip", "share": 0.7, "per": ["source"]}},
    {"name": "drawn", "seed": 3, "sample": {"by": "clip", "temperature": 0.1, "count": 25}},
]
CHANGES = [
    ["balance.lengths.cap.count=7"],
    ["balance.lengths.cap.by=clip", "balance.lengths.seed=1"],
    ["balance.lengths=null", "clip.minimum=0.1"],
    ["balance.best.top.share=0.2", "balance.drawn=null"],
    ["balance.drawn.sample.count=null", "balance.drawn.sample.share=0.5", "dedup.repeated_text=null"],
    ["balance.drawn.sample.temperature=9.5", "web.clip.minimum=0.3"],
]


def recipe_of(data: Path) -> Recipe:
    """The recipe with balance, whose other rules leave more rows to it."""
    filters = {"text_length": {"minimum": 2}, "clip": {"minimum": 0.05}}
    dedup = {"image": False, "pair": False, "repeated_text": 12}
    return Recipe.model_validate({**content(data), "filters": filters, "dedup": dedup, "balance": STEPS})


@pytest.fixture(scope="module")
def balanced(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run with three steps of balance."""
    out = tmp_path_factory.mktemp("balanced") / "out"
    curate(recipe_of(data), out)
    return out


@pytest.mark.parametrize("changes", CHANGES, ids=" ".join)
def test_whatif_when_balance_or_what_is_before_it_changes_counts_what_a_run_of_it_does(
    data: Path, balanced: Path, tmp_path: Path, changes: list[str]
) -> None:
    stored = StoredColumns.open(balanced)
    changed = apply_changes(recipe_of(data), changes)
    answer = whatif(stored, apply_changes(stored.recipe, changes))
    curate(changed, tmp_path / "changed")
    found = answer.counts()
    assert {s: Counter(c) for s, c in found.after.items()} == verdicts(tmp_path / "changed")
    assert {s: Counter(c) for s, c in found.before.items()} == verdicts(balanced)
    before, after = ids(balanced), ids(tmp_path / "changed")
    assert found.gained == sum(after[i] == "keep" != v for i, v in before.items())
    assert found.gained + found.lost > 0
    assert audit(tmp_path / "changed").discrepancy is None


def test_whatif_without_changes_leaves_a_balanced_run_as_it_is(balanced: Path) -> None:
    stored = StoredColumns.open(balanced)
    answer = whatif(stored, apply_changes(stored.recipe, []))
    assert (answer.before == answer.after).all()
    dropped = sum(verdicts(balanced).values(), Counter[str]())
    assert all(dropped[f"balanced:{step['name']}"] > 0 for step in STEPS)
    assert dropped["keep"] == 25


def test_whatif_when_a_change_names_no_step_of_balance_is_refused(balanced: Path) -> None:
    recipe = StoredColumns.open(balanced).recipe
    for change, message in (
        ("balance.nothing.seed=1", "there are: lengths, best, drawn"),
        ("balance.best=3", "name a setting"),
        ("balance.best.top.share=2", "less than or equal to 1"),
        ("balance.best.top.by=nothing", "there is no column nothing"),
    ):
        with pytest.raises(RecipeError, match=message):
            apply_changes(recipe, [change])
