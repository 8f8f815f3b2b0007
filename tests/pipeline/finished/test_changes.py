"""Changes of a recipe on a command line: whom they mean."""

import pytest

from qvl.pipeline.base.errors import RecipeError
from qvl.pipeline.finished.changes import apply_changes
from qvl.pipeline.recipe.recipe import Recipe


def recipe() -> Recipe:
    """A source that bears a filter's name, and one that does not."""
    read = {"kind": "webdataset", "paths": ["a.tar"]}
    sources = [{"name": name, "read": read} for name in ("emoji", "web")]
    return Recipe.model_validate({"name": "x", "sources": sources, "filters": {"emoji": {"maximum": 0}}})


@pytest.mark.parametrize(
    ("change", "emoji", "web"),
    [
        ("emoji.maximum=2", 2, 2),  # the filter
        ("emoji.emoji.maximum=2", 2, 0),  # the source's
        ("web.emoji.maximum=2", 0, 2),
        ("emoji=null", None, None),
        ("emoji.emoji=null", None, 0),
    ],
)
def test_a_source_may_bear_a_filter_s_name(change: str, emoji: int | None, web: int | None) -> None:
    changed = apply_changes(recipe(), [change])
    found = [changed.filters_of(name).emoji for name in ("emoji", "web")]
    assert [each.maximum if each else None for each in found] == [emoji, web]


def test_a_misspelt_filter_of_a_source_is_named() -> None:
    with pytest.raises(RecipeError, match="no filter emojis"):
        apply_changes(recipe(), ["web.emojis.maximum=2"])
