"""The recipe of an experiment: a training recipe, arms that change some of its keys, seeds, questions and figures."""

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import Field, ValidationError, model_validator

from qvl.pipeline.base.errors import RecipeError
from qvl.pipeline.base.recipe_model import RecipeModel
from qvl.pipeline.recipe.file import RecipeContent, anchored, read_recipe
from qvl.training.evaluation.samples.sample import Metric
from qvl.training.recipe import TrainRecipe, load_train_recipe

Task = Literal["caption", "region_caption", "vqa", "referring", "grounded_caption", "ocr"]
Column = Literal["ask", "language", "source", "area", "objects", "words"]
Measure = Literal["score", "loss", "iou", "wrong_language", "agreement"]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,40}$")]
EDGES: dict[str, tuple[float, ...]] = {"area": (0.03, 0.08, 0.16), "objects": (2, 3, 4), "words": (2, 4)}
SEED_SLOT = "{seed}"
"""In ``start``, it is replaced by the seed: each seed may start from its own model folder."""
ENTRY_NAMES = ("name", "stage", "dataset")
"""An override calls an entry of a list by the first of these keys that the entry has."""


class Arm(RecipeModel):
    """One setting. ``set`` changes keys of the training recipe; ``model`` is a finished model, which is not trained.

    ``x``: the position of the arm on a numeric axis.
    """

    set: RecipeContent = Field(default_factory=dict)
    model: Path | None = None
    x: float | None = None


class Ask(RecipeModel):
    """At most ``limit`` held-out samples of one task that every model is asked, images that other asks share first.

    ``language``: the language of the answers, if it differs from the dataset's column. ``metric`` and ``longest`` (tokens of
    an answer) replace the task's own. ``prompt``: texts to replace in the user's turns, and their replacements.
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
    """A curve with error bars: ``measure`` over ``x``, with one line for each value of ``lines``.

    ``x``: the arms, their cost (GFLOP per training sample), or a column of the questions. ``asks``: the asks that are shown,
    by default all.
    """

    title: str
    x: Literal["arm", "cost"] | Column = "arm"
    lines: Literal["arm"] | Column = "ask"
    measure: Measure = "score"
    asks: tuple[Name, ...] = ()

    @model_validator(mode="after")
    def _arms_are_told_apart(self) -> "Figure":
        if self.x not in ("arm", "cost") and self.lines != "arm":
            raise ValueError(f"x: {self.x} needs `lines: arm`, or several arms would share one line")
        return self


class Experiment(RecipeModel):
    """``training``: the recipe that arms change; ``set``: changes for all arms. ``tells``: what the result can show.

    ``edges``: the lower bounds of the buckets of numeric columns. Without ``training`` every arm needs a ``model``.
    """

    name: Name
    question: str
    tells: str = ""
    training: Path | None = None
    set: RecipeContent = Field(default_factory=dict)
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
                raise ValueError(f"arm {name} is a finished model, so `set` would change nothing")
        if len({arm.x is None for arm in self.arms.values()}) > 1:
            raise ValueError("some arms have an `x` and some do not: give all of them one, or none")
        if len(set(self.seeds)) != len(self.seeds):
            raise ValueError("`seeds` names a seed twice: its runs would be counted as independent")
        for column, edges in self.edges.items():
            if not edges or list(edges) != sorted(set(edges)):
                raise ValueError(f"edges of {column}: give at least one, in increasing order")
        known = {ask.name for ask in self.ask}
        for figure in self.figures:
            if not known.issuperset(figure.asks):
                raise ValueError(f"figure {figure.title!r}: unknown asks {', '.join(sorted(set(figure.asks) - known))}")
        return self


@dataclass(frozen=True, slots=True)
class PlannedRun:
    """An arm with one seed. ``recipe`` is None if a finished model is asked."""

    arm: str
    seed: int
    recipe: TrainRecipe | None
    model: Path | None

    @property
    def name(self) -> str:
        return f"{self.arm}, seed {self.seed}"


def load_experiment(path: Path) -> Experiment:
    """Read an experiment. Paths are relative to its folder. Raises RecipeError with the position of each mistake."""
    return read_recipe(path, Experiment, _anchor_paths)


def planned_runs(experiment: Experiment, seeds: int | None = None, only: tuple[str, ...] = ()) -> list[PlannedRun]:
    """All runs, seed by seed, so that an interrupted experiment has every arm of its first seeds. Raises RecipeError."""
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
                start = recipes[name].start.replace(SEED_SLOT, str(seed))
                found.append(
                    PlannedRun(name, seed, recipes[name].model_copy(update={"seed": seed, "start": start}), None)
                )
            elif seed == used[0]:
                found.append(PlannedRun(name, seed, None, arm.model))
    return found


def _recipe(experiment: Experiment, name: str, arm: Arm) -> TrainRecipe:
    assert experiment.training is not None, "checked by the recipe"
    base = load_train_recipe(experiment.training)
    content = with_overrides(base.model_dump(mode="json"), {**experiment.set, **arm.set}, f"arm {name}")
    try:
        return TrainRecipe.model_validate(content)
    except ValidationError as error:
        raise RecipeError(f"arm {name}: {'; '.join(str(fault['msg']) for fault in error.errors())}") from None


def with_overrides(content: Mapping[str, Any], overrides: Mapping[str, Any], owner: str) -> RecipeContent:
    """A recipe's content with other values for keys such as ``stages.multitask.resolution``.

    Entries of a list are called by their name. ``owner`` is named in errors. Raises RecipeError for an unknown key.
    """
    result = copy.deepcopy(dict(content))
    for key, value in overrides.items():
        *path, last = key.split(".")
        node: Any = result
        for part in path:
            node = _child(node, part, key, owner)
        if isinstance(node, list):
            node[node.index(_child(node, last, key, owner))] = value
        elif isinstance(node, dict) and (last in node or path[-1:] == ["datasets"]):
            node[last] = value
        else:
            raise RecipeError(f"{owner}: set {key}: the training recipe has no such key")
    return result


def _child(node: Any, part: str, key: str, owner: str) -> Any:
    if isinstance(node, dict) and part in node:
        return node[part]
    if isinstance(node, list):
        for entry in node:
            names = [entry[name] for name in ENTRY_NAMES if isinstance(entry, dict) and entry.get(name)]
            if names[:1] == [part]:
                return entry
    raise RecipeError(f"{owner}: set {key}: there is nothing called {part}")


def _anchor_paths(content: RecipeContent, folder: Path) -> RecipeContent:
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
    """The value of an override; a path becomes relative to the experiment's folder."""
    is_folder = isinstance(value, str) and ("/" in value or (folder / value).is_dir())
    if key == "tokenizer" or (key == "start" and is_folder) or (key.startswith("datasets.") and key.endswith(".path")):
        return anchored(value, folder)
    if key.startswith("datasets.") and isinstance(value, dict) and "path" in value:
        return value | {"path": anchored(value["path"], folder)}
    return value


def as_yaml(recipe: TrainRecipe) -> bytes:
    """The YAML of a training recipe."""
    return yaml.safe_dump(recipe.model_dump(mode="json"), sort_keys=False, allow_unicode=True).encode()
