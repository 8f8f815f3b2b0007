"""The recipe of an experiment: a training recipe, arms that change some of its keys, seeds, what is asked, what is drawn."""

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import Field, ValidationError, model_validator

from qvl.pipeline.base.errors import RecipeError
from qvl.pipeline.base.recipe_model import RecipeModel
from qvl.pipeline.recipe.file import anchored, read_recipe
from qvl.training.evaluation.samples.sample import Metric
from qvl.training.recipe import TrainRecipe, load_train_recipe

Task = Literal["caption", "region_caption", "vqa", "referring", "grounded_caption", "ocr"]
Column = Literal["ask", "language", "source", "area", "objects", "words"]
Measure = Literal["score", "loss", "iou", "wrong_language", "agreement"]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,40}$")]
EDGES: dict[str, tuple[float, ...]] = {"area": (0.03, 0.08, 0.16), "objects": (2, 3, 4), "words": (2, 4)}
SEED_PLACE = "{seed}"
"""In ``start``: each seed has a model folder of its own."""
SURNAME = ("name", "stage", "dataset")
"""Keys by which an entry of a list is called in an override, the first that it has."""


class Arm(RecipeModel):
    """One setting: ``set`` changes keys of the training recipe; or ``model``, a folder that is asked and not trained.

    ``x``: the arm's place on a numeric axis, where it has one.
    """

    set: dict[str, Any] = Field(default_factory=dict)
    model: Path | None = None
    x: float | None = None


class Ask(RecipeModel):
    """Held-out samples of one task that every model is asked: at most ``limit``, pictures that other asks share first.

    ``language``: of the answers, where the dataset's own column does not tell. ``metric`` and ``longest`` (tokens of an
    answer) replace the task's own. ``prompt``: texts that are replaced in the user's turns.
    """

    name: Name
    dataset: str
    task: Task
    languages: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    limit: int = Field(default=100, ge=1)
    language: str | None = None
    metric: Metric | None = None
    longest: int | None = Field(default=None, ge=1)
    prompt: dict[str, str] = Field(default_factory=dict)


class Figure(RecipeModel):
    """A curve with error bars: ``measure`` over ``x``, a line for each value of ``lines``.

    ``x``: the arms, their cost (GFLOP per trained sample), or a column of the questions. ``asks``: which are drawn.
    """

    title: str
    x: Literal["arm", "cost"] | Column = "arm"
    lines: Literal["arm"] | Column = "ask"
    measure: Measure = "score"
    asks: tuple[Name, ...] = ()

    @model_validator(mode="after")
    def _arms_are_told_apart(self) -> "Figure":
        if self.x not in ("arm", "cost") and self.lines != "arm":
            raise ValueError(f"x: {self.x} needs `lines: arm`, or several arms would be one line")
        return self


class Experiment(RecipeModel):
    """``training``: the recipe that arms change; ``set``: changes for all of them. ``tells``: what the result can tell.

    ``edges``: where the buckets of numeric columns begin. Without ``training`` every arm needs a ``model``.
    """

    name: Name
    question: str
    tells: str = ""
    training: Path | None = None
    set: dict[str, Any] = Field(default_factory=dict)
    arms: dict[Name, Arm] = Field(min_length=1)
    seeds: tuple[int, ...] = Field(default=(0, 1, 2), min_length=1)
    datasets: dict[str, str] = Field(default_factory=dict)
    ask: tuple[Ask, ...] = Field(min_length=1)
    edges: dict[Literal["area", "objects", "words"], tuple[float, ...]] = Field(default_factory=dict)
    figures: tuple[Figure, ...] = ()

    @model_validator(mode="after")
    def _whole(self) -> "Experiment":
        if len({ask.name for ask in self.ask}) != len(self.ask):
            raise ValueError("two entries of `ask` have the same name")
        for name, arm in self.arms.items():
            if arm.model is None and self.training is None:
                raise ValueError(f"arm {name} has no `model`, and there is no `training` recipe")
            if arm.model is not None and arm.set:
                raise ValueError(f"arm {name} is a finished model: `set` changes nothing there")
        if len({arm.x is None for arm in self.arms.values()}) > 1:
            raise ValueError("some arms have an `x` and some have none: all or none")
        if len(set(self.seeds)) != len(self.seeds):
            raise ValueError("a seed stands twice in `seeds`: its runs would be counted as independent ones")
        for column, edges in self.edges.items():
            if not edges or list(edges) != sorted(set(edges)):
                raise ValueError(f"edges of {column}: at least one, each above the one before it")
        known = {ask.name for ask in self.ask}
        for figure in self.figures:
            if not known.issuperset(figure.asks):
                raise ValueError(f"figure {figure.title!r}: asks {', '.join(set(figure.asks) - known)} are not there")
        return self


@dataclass(frozen=True)
class PlannedRun:
    """An arm with one seed. ``recipe`` is None where a finished model is asked."""

    arm: str
    seed: int
    recipe: TrainRecipe | None
    model: Path | None

    @property
    def name(self) -> str:
        return f"{self.arm}, seed {self.seed}"


def load_experiment(path: Path) -> Experiment:
    """Read an experiment; relative paths count from its folder. Raises RecipeError with the place of each mistake."""
    return read_recipe(path, Experiment, _anchor_paths)


def planned(experiment: Experiment, seeds: int | None = None, only: tuple[str, ...] = ()) -> list[PlannedRun]:
    """All runs, seed by seed, so that a stopped experiment has every arm of its first seeds. Raises RecipeError."""
    unknown = [name for name in only if name not in experiment.arms]
    if unknown:
        raise RecipeError(f"--only {', '.join(unknown)}: the arms are {', '.join(experiment.arms)}")
    chosen = {name: arm for name, arm in experiment.arms.items() if not only or name in only}
    used = experiment.seeds[:seeds]
    recipes = {name: _recipe(experiment, name, arm) for name, arm in chosen.items() if arm.model is None}
    found = []
    for seed in used:
        for name, arm in chosen.items():
            if arm.model is None:
                start = recipes[name].start.replace(SEED_PLACE, str(seed))
                found.append(
                    PlannedRun(name, seed, recipes[name].model_copy(update={"seed": seed, "start": start}), None)
                )
            elif seed == used[0]:
                found.append(PlannedRun(name, seed, None, arm.model))
    return found


def _recipe(experiment: Experiment, name: str, arm: Arm) -> TrainRecipe:
    assert experiment.training is not None, "checked by the recipe"
    base = load_train_recipe(experiment.training)
    content = changed(base.model_dump(mode="json"), {**experiment.set, **arm.set}, f"arm {name}")
    try:
        return TrainRecipe.model_validate(content)
    except ValidationError as error:
        raise RecipeError(f"arm {name}: {'; '.join(str(fault['msg']) for fault in error.errors())}") from None


def changed(content: Mapping[str, Any], changes: Mapping[str, Any], where: str) -> dict[str, Any]:
    """A recipe's content with keys such as ``stages.multitask.resolution`` replaced: entries of a list go by their name.

    Raises RecipeError for a place that is not there.
    """
    result = copy.deepcopy(dict(content))
    for key, value in changes.items():
        *path, last = key.split(".")
        place: Any = result
        for part in path:
            place = _inside(place, part, key, where)
        if isinstance(place, list):
            place[place.index(_inside(place, last, key, where))] = value
        elif isinstance(place, dict) and (last in place or path[-1:] == ["datasets"]):
            place[last] = value
        else:
            raise RecipeError(f"{where}: set {key}: the training recipe has no such place")
    return result


def _inside(place: Any, part: str, key: str, where: str) -> Any:
    if isinstance(place, dict) and part in place:
        return place[part]
    if isinstance(place, list):
        for entry in place:
            names = [entry[name] for name in SURNAME if isinstance(entry, dict) and entry.get(name)]
            if names[:1] == [part]:
                return entry
    raise RecipeError(f"{where}: set {key}: nothing is called {part} there")


def _anchor_paths(content: dict[str, Any], folder: Path) -> dict[str, Any]:
    named = content.get("arms")
    arms = [arm for arm in named.values() if isinstance(arm, dict)] if isinstance(named, dict) else []
    for holder in [content, *arms]:
        if isinstance(holder.get("set"), dict):
            holder["set"] = {key: _anchor_override(key, value, folder) for key, value in holder["set"].items()}
    if content.get("training") is not None:
        content["training"] = anchored(content["training"], folder)
    for arm in arms:
        if arm.get("model") is not None:
            arm["model"] = anchored(arm["model"], folder)
    if isinstance(content.get("datasets"), dict):
        content["datasets"] = {name: anchored(path, folder) for name, path in content["datasets"].items()}
    return content


def _anchor_override(key: str, value: Any, folder: Path) -> Any:
    """An override whose value is a path, with the path from the experiment's folder."""
    is_folder = isinstance(value, str) and ("/" in value or (folder / value).is_dir())
    if key == "tokenizer" or (key == "start" and is_folder) or (key.startswith("datasets.") and key.endswith(".path")):
        return anchored(value, folder)
    if key.startswith("datasets.") and isinstance(value, dict) and "path" in value:
        return value | {"path": anchored(value["path"], folder)}
    return value


def as_yaml(recipe: TrainRecipe) -> bytes:
    """A training recipe as a file of its own."""
    return yaml.safe_dump(recipe.model_dump(mode="json"), sort_keys=False, allow_unicode=True).encode()
