"""A journey from datasets to a page: train with held-out images, ask every model the same questions, show the results.

OUT/journey.json     recipe and datasets; a journey with others is refused
OUT/recipe.yaml      the training recipe with the folders of these datasets
OUT/train/           the run of `qvl train run`; its start/ is the model with its initial weights
OUT/eval/<model>/    answers and scores of `qvl eval run`
OUT/loss/<model>.json
OUT/steps.json       seconds and memory of each step
OUT/index.html       the page
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import yaml

from qvl.pipeline.base.errors import RecipeError, StaleError
from qvl.pipeline.commit.fingerprint import fingerprint
from qvl.pipeline.commit.lock import output_lock
from qvl.pipeline.commit.manifests import read_manifest
from qvl.pipeline.shards.reader import open_dataset
from qvl.pipeline.storage.atomic import replace_file
from qvl.pipeline.storage.paths import remove_tree
from qvl.training.evaluation.samples.sample import EvalSample
from qvl.training.heldout.loss import HeldOutSample, TaskLoss, held_out_loss, held_out_samples
from qvl.training.heldout.questions import LIMIT, LONGEST, ModelAnswers, evaluate_model, questions
from qvl.training.pages.journey.page import JourneyPart, JourneyResults, write_page
from qvl.training.pages.journey.steps import forget, measured, read_costs
from qvl.training.recipe import Holdout, TrainRecipe, load_train_recipe

LOADER_WORKERS = 2
LOSS_LIMIT = 200
LOSS_VERSION = 3
RESULT_FOLDERS = ("train", "eval", "loss")
FIRST = "start"
STEPS = ("training", "evaluation", "page")


@dataclass(frozen=True, slots=True)
class JourneyManifest:
    """``journey.json``: what the results in a folder depend on.

    ``recipe``: fingerprint of the training recipe; ``limits``: samples per set, tokens of an answer, samples per loss;
    ``datasets``: hashes by name.
    """

    recipe: str
    limits: list[int]
    datasets: dict[str, str]


@dataclass(frozen=True, slots=True)
class LossManifest:
    """``loss/<model>.json``: the held-out losses of a model, as ``TaskLoss.to_json`` writes them."""

    fingerprint: str
    loss: dict[str, tuple[float, float, int, int, dict[str, tuple[float, int]]]]


@dataclass(frozen=True, slots=True)
class Journey:
    """A journey: a training recipe over these datasets, the part that built each of them, and the output folder."""

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
        """The folders of the models in order: the initial weights, then the model of each stage."""
        first = Path(self.recipe.start) if Path(self.recipe.start).is_dir() else self.out / "train" / FIRST
        return {FIRST: first} | {s.label: self.out / "train" / s.label / "model" for s in self.recipe.stages}


def plan_journey(recipe: Path, outputs: Mapping[str, Path], out: Path) -> Journey:
    """A journey over the outputs of the parts, which are named like the datasets of the recipe.

    Raises RecipeError if the recipe holds nothing out, or names other datasets.
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
    """Do everything that is not done yet. Returns the page, or None if a signal stopped the training. Raises QvlError."""
    journey.out.mkdir(parents=True, exist_ok=True)
    with output_lock(journey.out):
        _accept(journey, fresh)
        with measured(journey.steps, "training"):
            if not _train(journey):
                return None
        answered, losses = {}, {}
        samples, description = questions(journey.paths, journey.holdout)
        loss_samples = held_out_samples(journey.paths, journey.holdout, LOSS_LIMIT)
        for name, folder in journey.models.items():
            with measured(journey.steps, "evaluation"):
                out = journey.out / "eval" / name
                answered[name] = evaluate_model(folder, samples, description, out, _device(), fresh)
                losses[name] = _loss(journey, name, folder, loss_samples)
        with measured(journey.steps, "page"):
            page = write_page(journey.out / "index.html", _results(journey, answered, losses, samples))
    return page


def _accept(journey: Journey, fresh: bool) -> None:
    """Write what this journey is, or refuse a folder that holds another one."""
    from qvl.training.loop.run_manifest import recipe_fingerprint

    datasets = {name: open_dataset(path).hash for name, path in journey.paths.items()}
    manifest = JourneyManifest(recipe_fingerprint(journey.recipe), [LIMIT, LONGEST, LOSS_LIMIT], datasets)
    before = read_manifest(journey.out / "journey.json", JourneyManifest)
    if before is not None and before != manifest:
        changed = [
            field.name for field in fields(manifest) if getattr(before, field.name) != getattr(manifest, field.name)
        ]
        if not fresh:
            raise StaleError(
                f"{journey.out} holds a journey with another {', '.join(changed)}; choose another --output, or run with "
                "--fresh to train and evaluate again"
            )
        for name in RESULT_FOLDERS:
            remove_tree(journey.out / name)
        forget(journey.steps, STEPS)
    replace_file(journey.out / "journey.json", json.dumps(asdict(manifest), indent=2).encode())
    text = yaml.safe_dump(journey.recipe.model_dump(mode="json"), sort_keys=False, allow_unicode=True)
    replace_file(journey.out / "recipe.yaml", text.encode())


def _train(journey: Journey) -> bool:
    from qvl.training.loop.launch import Launch, launch_here

    if all((folder / "config.json").exists() for folder in journey.models.values()):
        return True
    launch = Launch(journey.out / "recipe.yaml", journey.out / "train", LOADER_WORKERS, None, 0, False)
    return launch_here(launch, 1)


def _loss(journey: Journey, name: str, folder: Path, samples: list[HeldOutSample]) -> dict[str, TaskLoss]:
    """The held-out losses of a model, measured once for its weights."""
    from qvl.training.evaluation.run import model_identity

    file = journey.out / "loss" / f"{name}.json"
    loss_fingerprint = fingerprint([LOSS_VERSION, model_identity(folder), [sample.record.id for sample in samples]])
    before = read_manifest(file, LossManifest)
    if before is not None and before.fingerprint == loss_fingerprint:
        return {task: TaskLoss(*values) for task, values in before.loss.items()}
    losses = held_out_loss(folder, samples, _device())
    content = {"fingerprint": loss_fingerprint, "loss": {task: loss.to_json() for task, loss in losses.items()}}
    replace_file(file, json.dumps(content, indent=2).encode())
    return losses


def _results(
    journey: Journey,
    answered: dict[str, ModelAnswers],
    losses: dict[str, dict[str, TaskLoss]],
    samples: list[EvalSample],
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
