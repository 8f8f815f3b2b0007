"""An experiment from start to end: every arm with every seed is trained, asked and measured; then the page.

OUT/runs/<mark>/eval/        answers and scores of `qvl eval run`
OUT/runs/<mark>/values.json  question by question; where it exists, the run is done
OUT/results.json             means with errors
OUT/index.html               the page

A mark names everything that a result depends on, so changed recipes and datasets give other folders, never a mix.
"""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import JsonValue

from qvl.pipeline.base.errors import RecipeError
from qvl.pipeline.commit.fingerprint import fingerprint
from qvl.pipeline.commit.lock import output_lock
from qvl.pipeline.commit.manifests import read_manifest
from qvl.pipeline.shards.reader import open_dataset
from qvl.pipeline.storage.atomic import replace_file
from qvl.training.evaluation.run import model_identity, samples_hash
from qvl.training.heldout.loss import held_out_loss
from qvl.training.heldout.questions import evaluate_model
from qvl.training.pages.experiments.measure import Values, values
from qvl.training.pages.experiments.page import write_page
from qvl.training.pages.experiments.questions import Question, paths_of, questions
from qvl.training.pages.experiments.recipe import Experiment, PlannedRun, planned
from qvl.training.pages.experiments.results import ExperimentResults, FinishedRun, summary
from qvl.training.pages.experiments.trained_models import TrainedStage, chain, train
from qvl.training.pages.journey.steps import measured, read_costs
from qvl.training.recipe import Holdout

MEASURES_VERSION = 2
ASKING = "asking"
Say = Callable[[str], None]


@dataclass(frozen=True)
class RunSettings:
    """Where and how it runs: nothing here alters a result. ``trained``: stages that experiments may share."""

    output: Path
    trained: Path
    device: str
    processes: int = 1
    loader_workers: int = 2


@dataclass(frozen=True)
class ExperimentRun:
    """A planned run with its stages and its folder."""

    plan: PlannedRun
    stages: list[TrainedStage]
    folder: Path

    @property
    def model(self) -> Path:
        return self.stages[-1].model if self.plan.model is None else self.plan.model

    @property
    def values(self) -> Values | None:
        noted = read_manifest(self.folder / "values.json")
        return None if noted is None else noted["values"]


def run_experiment(
    experiment: Experiment, where: RunSettings, say: Say, seeds: int | None = None, only: tuple[str, ...] = ()
) -> ExperimentResults | None:
    """Everything that is not done yet, and the page; None where a signal stopped a training. Raises QvlError."""
    todo, every = planned(experiment, seeds, only), planned(experiment)
    with output_lock(where.output):
        holdout = _holdout(every)
        recipes = [plan.recipe for plan in every if plan.recipe is not None]
        datasets = {name: spec.path for recipe in recipes[:1] for name, spec in recipe.datasets.items()}
        asked = questions(experiment, paths_of(experiment, datasets), holdout)
        empty = [ask.name for ask in experiment.ask if all(question.ask != ask.name for question in asked)]
        if empty:
            raise RecipeError(f"ask {', '.join(empty)}: no held-out sample of that kind in the dataset")
        runs = _runs(every, asked, where)
        chosen = {(plan.arm, plan.seed) for plan in todo}
        waiting = [run for run in runs if (run.plan.arm, run.plan.seed) in chosen and run.values is None]
        began = time.monotonic()
        for number, run in enumerate(waiting):
            say(progress(number, len(waiting), time.monotonic() - began, run.plan.name))
            if run.stages and not train(run.stages, where.processes, where.loader_workers):
                return None
            _ask(run, asked, where.device)
        results = ExperimentResults(experiment, asked, _done(runs))
        content = json.dumps(summary(results), indent=1, ensure_ascii=False)
        replace_file(where.output / "results.json", content.encode())
        write_page(where.output / "index.html", results)
    return results


def progress(done: int, waiting: int, seconds: float, name: str) -> str:
    """A line before each run, with the time left as the runs before took it."""
    left = f", about {seconds / done * (waiting - done) / 60:.0f} min left" if done else ""
    return f"run {done + 1} of {waiting}: {name}{left}"


def _holdout(plans: Sequence[PlannedRun]) -> Holdout | None:
    """What all arms hold out. Raises RecipeError where they differ, or where models that are trained hold nothing out."""
    recipes = [plan.recipe for plan in plans if plan.recipe is not None]
    found = {recipe.holdout for recipe in recipes}
    if len(found) > 1:
        raise RecipeError("the arms hold out different images: `holdout` must be the same in all of them")
    if recipes and recipes[0].holdout is None:
        raise RecipeError(
            "the training recipe needs `holdout: {share: ...}`, the images that its models are asked about"
        )
    return next(iter(found), None)


def _runs(plans: Sequence[PlannedRun], asked: Sequence[Question], where: RunSettings) -> list[ExperimentRun]:
    names = {spec.path for plan in plans if plan.recipe is not None for spec in plan.recipe.datasets.values()}
    hashes = {path: open_dataset(path).hash for path in names}
    what = [
        samples_hash([question.sample for question in asked]),
        [[question.told.task, question.columns["language"], question.thing] for question in asked],
    ]
    found = []
    for plan in plans:
        stages: list[TrainedStage] = []
        if plan.recipe is None:
            assert plan.model is not None, "an arm is trained, or names a model"
            identity: Any = model_identity(plan.model)
        else:
            own = {name: hashes[spec.path] for name, spec in plan.recipe.datasets.items()}
            stages = chain(plan.recipe, own, where.trained)
            identity = stages[-1].mark
        mark = fingerprint([MEASURES_VERSION, identity, what])
        found.append(ExperimentRun(plan, stages, where.output / "runs" / mark[:16]))
    return found


def _ask(run: ExperimentRun, asked: Sequence[Question], device: str) -> None:
    """Answers, losses, and the file that says that the run is done."""
    with measured(run.folder / "steps.json", ASKING):
        samples = [question.sample for question in asked]
        description: dict[str, JsonValue] = {"questions": len(samples), "run": run.plan.name}
        answered = evaluate_model(run.model, samples, description, run.folder / "eval", device)
        losses = held_out_loss(run.model, [question.told for question in asked])
    found = values(asked, answered.answers, answered.scores, losses)
    replace_file(run.folder / "values.json", json.dumps({"values": found}).encode())


def _done(runs: Sequence[ExperimentRun]) -> Mapping[str, list[FinishedRun]]:
    """By arm, its finished runs in the order of the seeds."""
    found: dict[str, list[FinishedRun]] = {run.plan.arm: [] for run in runs}
    for run in runs:
        noted = run.values
        if noted is not None:
            if run.stages and not run.stages[-1].done:
                raise RecipeError(
                    f"{run.plan.name} is done, but its model is not in {run.stages[-1].folder.parent}: name the folder "
                    "that it was trained in with --trained"
                )
            asking = read_costs(run.folder / "steps.json")[ASKING]
            done = FinishedRun(
                run.plan.seed, noted, run.model, tuple(run.stages), run.plan.recipe, run.folder / "eval", asking
            )
            found[run.plan.arm].append(done)
    return found
