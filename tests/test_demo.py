"""``qvl demo --full``: flags that do not fit are refused in one line before any work."""

import pytest
from typer.testing import CliRunner

from qvl import demo
from qvl.command import app
from qvl.pipeline.base.errors import RecipeError


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
        CliRunner().invoke(app, ["demo", *arguments], catch_exceptions=False)


def test_without_training_installed_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "find_spec", lambda name: None if name == "deepspeed" else object())
    with pytest.raises(RecipeError, match=r"deepspeed: not installed; pip install 'qvl\[train\]'"):
        CliRunner().invoke(app, ["demo", "--full"], catch_exceptions=False)


@pytest.mark.parametrize("name", ["journey.yaml", "journey_gpu.yaml"])
def test_the_journeys_recipe_names_the_parts_of_the_demo(name: str) -> None:
    from qvl.training.recipe import load_train_recipe

    recipe = load_train_recipe(demo.EXAMPLES / name)
    assert set(recipe.datasets) == set(demo.JOURNEY.values())
    assert set(demo.JOURNEY) == set(demo.RECIPES)
    assert recipe.holdout is not None


def test_on_one_gpu_it_should_take_less_than_twenty_minutes() -> None:
    """At a fifth of an H100's peak, for texts as long as the demo's; never measured."""
    from qvl.training.plan.plan import make_plan
    from qvl.training.plan.records import Terms
    from qvl.training.recipe import load_train_recipe

    plan = make_plan(load_train_recipe(demo.EXAMPLES / "journey_gpu.yaml"), Terms(gpus=1, mfu=0.2), text=350)
    assert plan.total.gpu_hours < 1 / 3
