"""Rules that choose among captions, and what a recipe refuses about them."""

from typing import Any

import pytest

from qvl.pipeline.recipe.caption import Caption
from qvl.pipeline.recipe.recipe import Recipe

TWO = {"alt": "TEXT", "recaption": "top_caption"}


def recipe(columns: dict[str, Any], **more: Any) -> Recipe:
    read = {"kind": "table", "paths": ["t.csv"], "columns": columns}
    return Recipe.model_validate({"name": "d", "sources": [{"name": "web", "read": read}], **more})


def test_caption_of_when_a_source_has_one_caption_is_none() -> None:
    assert recipe({"caption": "TEXT"}).caption_of("web") is None
    assert recipe({"captions": TWO}).caption_of("web") == Caption()


def test_candidates_when_the_rule_names_none_are_all() -> None:
    assert Caption().candidates(["b", "a"]) == ("b", "a")
    assert Caption(order=("a",)).candidates(["b", "a"]) == ("a",)
    assert Caption(mix={"a": 1, "b": 2}).candidates(["b", "a"]) == ("a", "b")


def test_recipe_when_captions_would_be_scored_refuses() -> None:
    score = {"clip": {"english": {"model": "ViT-B-32", "pretrained": "x"}}}
    with pytest.raises(ValueError, match="cannot be scored by CLIP yet"):
        recipe({"captions": TWO}, score=score)


@pytest.mark.parametrize(
    ("columns", "caption", "message"),
    [
        ({"caption": "TEXT"}, {"order": ["alt"]}, "there is nothing to choose"),
        ({"captions": TWO}, {"order": ["alt", "other"]}, "there is no text other; there are alt, recaption"),
        ({"captions": TWO}, {"order": ["alt", "alt"]}, "order names alt twice"),
        ({"captions": TWO}, {"mix": {"alt": 0}}, "greater than 0"),
        ({"captions": TWO}, {"mix": {"alt": 1}, "best": "words"}, "draws the order itself"),
        ({"captions": TWO}, {"best": "clip"}, "'characters', 'words' or 'language_probability'"),
        ({"captions": TWO, "caption": "TEXT"}, {}, "either one `caption` or several"),
    ],
)
def test_recipe_when_captions_make_no_sense_says_why(
    columns: dict[str, Any], caption: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        recipe(columns, caption=caption)
