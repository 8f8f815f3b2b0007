"""``qvl demo --full``: flags that do not fit are refused in one line before any work."""

import pytest
from typer.testing import CliRunner

import qvl
from pipeline.errors import RecipeError


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--full", "--only", "text"], "leave --only out"),
        (["--corpus", "some"], "choose shipped or full"),
        (["--only", "pictures"], "choose from curate, text, ground, ocr"),
    ],
)
def test_flags_that_do_not_fit(arguments: list[str], said: str) -> None:
    with pytest.raises(RecipeError, match=said):
        CliRunner().invoke(qvl.app, ["demo", *arguments], catch_exceptions=False)


def test_without_training_installed_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(qvl, "find_spec", lambda name: None if name == "deepspeed" else object())
    with pytest.raises(RecipeError, match=r"deepspeed: not installed; pip install 'qvl\[train\]'"):
        CliRunner().invoke(qvl.app, ["demo", "--full"], catch_exceptions=False)


def test_the_journeys_recipe_names_the_parts_of_the_demo() -> None:
    from training.recipe import load_train_recipe

    recipe = load_train_recipe(qvl.EXAMPLES / "journey.yaml")
    assert set(recipe.datasets) == set(qvl.JOURNEY.values())
    assert set(qvl.JOURNEY) == set(qvl.RECIPES)
    assert recipe.holdout is not None
