"""Overrides of a training recipe, mistakes in an experiment, and the shipped experiments."""

from pathlib import Path

import pytest

from qvl.pipeline.base.errors import RecipeError
from qvl.training.pages.experiments.recipe import load_experiment, planned_runs, with_overrides
from qvl.training.pages.experiments.trained_models import chain
from qvl.training.recipe import load_train_recipe
from tests.docs.pages import blocks, page
from tests.training.made import stage, write_recipe

SHIPPED = sorted(
    path for path in Path("training/recipes/experiments").glob("*.yaml") if "arms:" in path.read_text("utf-8")
)
CONTENT = {
    "seed": 0, "datasets": {"a": {"path": "x"}},
    "stages": [
        {"stage": "multitask", "name": "first", "steps": 3, "mix": [{"dataset": "a", "name": None, "weight": 1}]},
        {"stage": "sft", "name": None, "steps": 4, "mix": []},
    ],
}  # fmt: skip


def test_overrides_when_the_node_is_a_list_find_entries_by_name() -> None:
    found = with_overrides(
        CONTENT, {"stages.first.steps": 9, "stages.sft.steps": 8, "stages.first.mix.a.weight": 5}, "arm x"
    )
    assert [stage["steps"] for stage in found["stages"]] == [9, 8]
    assert found["stages"][0]["mix"][0]["weight"] == 5
    assert CONTENT["stages"][0]["steps"] == 3


def test_overrides_when_the_key_is_unknown_are_refused_unless_it_is_a_dataset() -> None:
    assert with_overrides(CONTENT, {"datasets.b": {"path": "y"}}, "")["datasets"]["b"] == {"path": "y"}
    with pytest.raises(RecipeError, match=r"arm x: set stages\.first\.stepz: the training recipe has no such key"):
        with_overrides(CONTENT, {"stages.first.stepz": 1}, "arm x")
    with pytest.raises(RecipeError, match="there is nothing called multitask"):
        with_overrides(CONTENT, {"stages.multitask.steps": 1}, "arm x")  # its name is first


@pytest.mark.parametrize(
    ("mistake", "message"),
    [
        ("arms: {a: {}}", "arm a has no `model`, and there is no `training` recipe"),
        ("arms: {a: {model: m, set: {seed: 1}}}", "`set` would change nothing"),
        ("arms: {a: {model: m}}\nfigures: [{title: t, asks: [other]}]", "unknown asks other"),
        ("arms: {a: {model: m}}\nfigures: [{title: t, x: area, lines: ask}]", "needs `lines: arm`"),
        ("arms: {a: {model: m}}\nseed: [1]", "seed: unknown key"),
        ("arms: {a: {model: m, x: 1}, b: {model: n}}", "give all of them one, or none"),
        ("arms: {a: {model: m}}\nseeds: [0, 1, 0]", "names a seed twice"),
        ("arms: {a: {model: m}}\nedges: {area: []}", "edges of area: give at least one"),
        ("arms: {a: {model: m}}\nedges: {words: [4, 2]}", "in increasing order"),
    ],
)
def test_load_experiment_when_the_recipe_has_a_mistake_names_it(tmp_path: Path, mistake: str, message: str) -> None:
    path = tmp_path / "e.yaml"
    path.write_text(f"name: e\nquestion: q\nask: [{{name: n, dataset: d, task: vqa}}]\n{mistake}\n")
    with pytest.raises(RecipeError, match=message):
        load_experiment(path)


def test_load_experiment_when_overrides_are_paths_anchors_them_to_its_folder(tmp_path: Path) -> None:
    changes = "{start: models/one, tokenizer: t.json, datasets.a.path: a, datasets.b: {path: b}, stages.x.steps: 3}"
    arms = "{one: {set: {start: nano}}, two: {set: {start: s3://bucket/m}}}"
    path = tmp_path / "e.yaml"
    path.write_text(
        f"name: e\nquestion: q\nask: [{{name: n, dataset: d, task: vqa}}]\ntraining: t.yaml\nset: {changes}\narms: {arms}\n"
    )
    experiment = load_experiment(path)
    assert experiment.set == {
        "start": str(tmp_path / "models/one"), "tokenizer": str(tmp_path / "t.json"),
        "datasets.a.path": str(tmp_path / "a"), "datasets.b": {"path": str(tmp_path / "b")}, "stages.x.steps": 3,
    }  # fmt: skip
    assert [arm.set["start"] for arm in experiment.arms.values()] == ["nano", "s3://bucket/m"]


def test_chain_when_the_precision_differs_gives_another_fingerprint(tmp_path: Path) -> None:
    path = tmp_path / "r.yaml"
    datasets = {"a": tmp_path / "a"}
    fingerprints = set()
    for engine in ({"precision": "float32"}, {"precision": "bfloat16"}, {"precision": "bfloat16", "recompute": True}):
        content = stage(mix=[{"dataset": "a", "weight": 1}], engine=engine)
        recipe = load_train_recipe(write_recipe(path, Path("nano"), datasets, content))
        fingerprints.add(chain(recipe, {"a": "hash"}, tmp_path)[0].fingerprint)
    assert len(fingerprints) == 2


def test_shipped_experiments_are_the_five_questions() -> None:
    assert [path.stem for path in SHIPPED] == ["grounding", "languages", "prompts", "resolution", "unseen"]


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_planned_runs_when_the_experiment_is_shipped_has_every_arm_and_seed(path: Path) -> None:
    experiment = load_experiment(path)
    plans = planned_runs(experiment)
    assert len(plans) == 3 * len(experiment.arms)
    assert [plan.seed for plan in plans[: len(experiment.arms)]] == [0] * len(experiment.arms)
    assert {plan.recipe.seed for plan in plans if plan.recipe} == {0, 1, 2}
    assert len({plan.recipe.start for plan in plans if plan.recipe}) == 3  # first weights of each seed
    first = plans[0].recipe
    assert first is not None
    assert first.holdout is not None and {ask.dataset for ask in experiment.ask} <= set(first.datasets)
    recipes = [plan.recipe.model_copy(update={"seed": 0, "start": ""}) for plan in plans if plan.recipe]
    assert all(recipes.count(recipe) == 3 for recipe in recipes)  # no two arms are the same


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_a_shipped_experiment_says_how_the_full_model_is_asked(path: Path) -> None:
    assert "# The full model:" in path.read_text("utf-8")


def test_only_and_seeds_choose_runs() -> None:
    experiment = load_experiment(SHIPPED[-1])
    arm = next(iter(experiment.arms))
    assert [(plan.arm, plan.seed) for plan in planned_runs(experiment, 2, (arm,))] == [(arm, 0), (arm, 1)]
    with pytest.raises(RecipeError, match="--only nothing: the arms are"):
        planned_runs(experiment, None, ("nothing",))


def test_the_recipe_of_the_guide_is_read(tmp_path: Path) -> None:
    (text,) = blocks(page("docs/experiments.md"), "yaml")
    (tmp_path / "recipe.yaml").write_text(text, "utf-8")
    assert set(load_experiment(tmp_path / "recipe.yaml").arms) == {"224", "released"}
