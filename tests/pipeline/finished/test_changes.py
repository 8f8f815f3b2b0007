"""Changes of a recipe on a command line: which sources and filters they mean."""

import pytest

from qvl.pipeline.base.errors import RecipeError
from qvl.pipeline.finished.changes import apply_changes
from qvl.pipeline.recipe.recipe import Recipe


def recipe() -> Recipe:
    """A source that has the name of a filter, and one that has not."""
    read = {"kind": "webdataset", "paths": ["a.tar"]}
    sources = [{"name": name, "read": read} for name in ("emoji", "web")]
    return Recipe.model_validate(
        {"name": "x", "sources": sources, "filters": {"emoji": {"maximum": 0}, "clip": {"minimum": 0.2}}}
    )


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
def test_apply_changes_when_a_source_is_named_like_a_filter_tells_them_apart(
    change: str, emoji: int | None, web: int | None
) -> None:
    changed = apply_changes(recipe(), [change])
    found = [changed.filters_of(name).emoji for name in ("emoji", "web")]
    assert [each.maximum if each else None for each in found] == [emoji, web]


def test_apply_changes_when_the_filter_of_a_source_is_misspelt_names_it() -> None:
    with pytest.raises(RecipeError, match="no filter emojis"):
        apply_changes(recipe(), ["web.emojis.maximum=2"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("clip", "NAME=VALUE"),
        ("nothing.minimum=1", "no filter nothing"),
        ("clip.minimum=high", "valid number"),
        ("clip.least=1", "not permitted"),
        ("web.clip.minimum=[", "not a value"),
        ("dedup.image=maybe", "valid boolean"),
    ],
)
def test_apply_changes_when_a_change_makes_no_sense_says_why(change: str, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        apply_changes(recipe(), [change])
