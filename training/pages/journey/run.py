"""From datasets to the page: train with held-out images, ask every model the same questions, show what came of it.

OUT/journey.json     recipe and datasets; others are refused
OUT/recipe.yaml      the training recipe with the folders of these datasets
OUT/train/           the run of `qvl train run`; its start/ is the model with its first weights
OUT/eval/<model>/    answers and scores of `qvl eval run`
OUT/loss/<model>.json
OUT/steps.json       seconds and memory of each step
OUT/index.html       the page
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from qvl.pipeline.base.errors import RecipeError, StaleError
from qvl.pipeline.commit.fingerprint import fingerprint
from qvl.pipeline.commit.lock import output_lock
from qvl.pipeline.commit.manifests import read_manifest
from qvl.pipeline.shards.reader import open_dataset
from qvl.pipeline.storage.atomic import replace_file
from qvl.pipeline.storage.paths import remove_tree
from qvl.training.heldout.loss import HeldOut, Loss, held_out_loss, held_out_samples
from qvl.training.heldout.questions import LIMIT, LONGEST, ModelAnswers, evaluate_model, questions
from qvl.training.pages.journey.page import JourneyPart, JourneyResults, write_page
from qvl.training.pages.journey.steps import forget, measured, read_costs
from qvl.training.recipe import Holdout, TrainRecipe, load_train_recipe

LOADER_WORKERS = 2
LOSS_LIMIT = 200
LOSS_VERSION = 3
MADE = ("train", "eval", "loss")
FIRST = "start"
STEPS = ("training", "evaluation", "page")


@dataclass(frozen=True)
class Journey:
    """A journey: its training recipe over these datasets, the part that made each of them, and where it goes."""

    recipe: TrainRecipe
    holdout: Holdout
    parts: tuple[JourneyPart, ...]
    out: Path

    @property
    def paths(self) -> dict[str, str]:
        return {name: spec.path for name, spec in self.recipe.datasets.items()}

    @property
    def steps(self) -> Path:
        return self.out / "steps.json"

    @property
    def models(self) -> dict[str, Path]:
        """Model folders in order: the first weights, then the model of each stage."""
        first = Path(self.recipe.start) if Path(self.recipe.start).is_dir() else self.out / "train" / FIRST
        return {FIRST: first} | {s.label: self.out / "train" / s.label / "model" for s in self.recipe.stages}


def plan_journey(recipe: Path, outputs: Mapping[str, Path], out: Path) -> Journey:
    """A journey over the outputs of the parts, by name of the recipe's dataset.

    Raises RecipeError where the recipe holds nothing out, or names other datasets.
    """
    loaded = load_train_recipe(recipe)
    if loaded.holdout is None:
        raise RecipeError(
            f"{recipe}: a journey needs `holdout: {{share: ...}}`, the images that its models are asked about"
        )
    if set(loaded.datasets) != set(outputs):
        raise RecipeError(f"{recipe}: its datasets are {', '.join(loaded.datasets)}, not {', '.join(outputs)}")
    datasets = {name: {"path": str(outputs[name].resolve())} for name in loaded.datasets}
    placed = TrainRecipe.model_validate(loaded.model_dump(mode="json") | {"datasets": datasets})
    parts = tuple(JourneyPart(name, outputs[name].resolve()) for name in loaded.datasets)
    return Journey(placed, loaded.holdout, parts, out.resolve())


def run_journey(journey: Journey, fresh: bool = False) -> Path | None:
    """Everything that is not done yet; the page, or None where a signal stopped the training. Raises QvlError."""
    journey.out.mkdir(parents=True, exist_ok=True)
    with output_lock(journey.out):
        _accept(journey, fresh)
        with measured(journey.steps, "training"):
            if not _train(journey):
                return None
        answered, losses = {}, {}
        samples, words = questions(journey.paths, journey.holdout)
        told = held_out_samples(journey.paths, journey.holdout, LOSS_LIMIT)
        for name, folder in journey.models.items():
            with measured(journey.steps, "evaluation"):
                answered[name] = evaluate_model(folder, samples, words, journey.out / "eval" / name, _device(), fresh)
                losses[name] = _loss(journey, name, folder, told)
        with measured(journey.steps, "page"):
            page = write_page(journey.out / "index.html", _results(journey, answered, losses, samples))
    return page


def _accept(journey: Journey, fresh: bool) -> None:
    """Note what this journey is, or refuse another one in the same folder."""
    from qvl.training.loop.run import recipe_fingerprint

    datasets = {name: open_dataset(path).hash for name, path in journey.paths.items()}
    content = {
        "recipe": recipe_fingerprint(journey.recipe),
        "limits": [LIMIT, LONGEST, LOSS_LIMIT],
        "datasets": datasets,
    }
    noted = read_manifest(journey.out / "journey.json")
    if noted is not None and noted != content:
        changed = [key for key in content if noted.get(key) != content[key]]
        if not fresh:
            raise StaleError(
                f"{journey.out} holds a journey with other {', '.join(changed)}; choose another --output, or run with "
                "--fresh to train and evaluate anew"
            )
        for name in MADE:
            remove_tree(journey.out / name)
        forget(journey.steps, STEPS)
    replace_file(journey.out / "journey.json", json.dumps(content, indent=2).encode())
    text = yaml.safe_dump(journey.recipe.model_dump(mode="json"), sort_keys=False, allow_unicode=True)
    replace_file(journey.out / "recipe.yaml", text.encode())


def _train(journey: Journey) -> bool:
    from qvl.training.loop.launch import Launch, launch_here

    if all((folder / "config.json").exists() for folder in journey.models.values()):
        return True
    launch = Launch(journey.out / "recipe.yaml", journey.out / "train", LOADER_WORKERS, None, 0, False)
    return launch_here(launch, 1)


def _loss(journey: Journey, name: str, folder: Path, samples: list[HeldOut]) -> dict[str, Loss]:
    """The held-out losses of a model; measured once for its weights."""
    from qvl.training.evaluation.run import model_identity

    file = journey.out / "loss" / f"{name}.json"
    mark = fingerprint([LOSS_VERSION, model_identity(folder), [sample.content["id"] for sample in samples]])
    noted: dict[str, Any] | None = read_manifest(file)
    if noted is None or noted["fingerprint"] != mark:
        found = held_out_loss(folder, samples, _device())
        noted = {"fingerprint": mark, "loss": {task: list(loss) for task, loss in found.items()}}
        file.parent.mkdir(parents=True, exist_ok=True)
        replace_file(file, json.dumps(noted, indent=2).encode())
    return {task: Loss(*values) for task, values in noted["loss"].items()}


def _results(
    journey: Journey, answered: dict[str, ModelAnswers], losses: dict[str, dict[str, Loss]], samples: list[Any]
) -> JourneyResults:
    from qvl.training.data.datasets import used_datasets
    from qvl.training.pages.mix.stats import recipe_plan
    from qvl.training.pages.report.history import read_history

    mix = recipe_plan(journey.recipe, used_datasets(journey.recipe), 1, 16, journey.out / "train")
    return JourneyResults(
        journey.recipe, journey.parts, mix, read_history(journey.out / "train"), samples, answered, losses,
        read_costs(journey.steps),
    )  # fmt: skip


def _device() -> str:
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"
