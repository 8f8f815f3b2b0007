"""An experiment from start to end: every arm with every seed is trained, asked and measured; then the page is written.

OUT/runs/<fingerprint>/eval/        answers and scores of `qvl eval run`
OUT/runs/<fingerprint>/values.json  the values of each question; if it exists, the run is done
OUT/results.json                    means with errors
OUT/index.html                      the page

A fingerprint covers everything that a result depends on, so changed recipes and datasets use other folders.
"""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
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
from qvl.training.pages.experiments.measure import AnswerValues, answer_values
from qvl.training.pages.experiments.page import write_page
from qvl.training.pages.experiments.questions import Question, load_questions, paths_of
from qvl.training.pages.experiments.recipe import Experiment, PlannedRun, planned_runs
from qvl.training.pages.experiments.results import ExperimentResults, FinishedRun, results_json
from qvl.training.pages.experiments.trained_models import TrainedStage, chain, train
from qvl.training.pages.journey.steps import measured, read_costs
from qvl.training.recipe import Holdout

MEASURES_VERSION = 2
ASKING = "asking"
Report = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class RunSettings:
    """Where and how an experiment runs. Nothing here alters a result.

    ``trained``: folder of the trained stages, which experiments may share.
    """

    output: Path
    trained: Path
    device: str
    processes: int = 1
    loader_workers: int = 2


@dataclass(frozen=True, slots=True)
class ValuesManifest:
    """``values.json`` of a run."""

    values: AnswerValues


@dataclass(frozen=True, slots=True)
class ExperimentRun:
    """A planned run with its stages and its folder."""

    plan: PlannedRun
    stages: list[TrainedStage]
    folder: Path

    @property
    def model(self) -> Path:
        return self.stages[-1].model if self.plan.model is None else self.plan.model

    @property
    def values(self) -> AnswerValues | None:
        """The values of its answers, or None if the run is not done."""
        manifest = read_manifest(self.folder / "values.json", ValuesManifest)
        return None if manifest is None else manifest.values


def run_experiment(
    experiment: Experiment, settings: RunSettings, report: Report, seeds: int | None = None, only: tuple[str, ...] = ()
) -> ExperimentResults | None:
    """Do what is not done yet and write the page. Returns None if a signal stopped a training. Raises QvlError."""
    requested, every = planned_runs(experiment, seeds, only), planned_runs(experiment)
    with output_lock(settings.output):
        questions = _questions(experiment, every)
        runs = _runs(every, questions, settings)
        chosen = {(plan.arm, plan.seed) for plan in requested}
        waiting = [run for run in runs if (run.plan.arm, run.plan.seed) in chosen and run.values is None]
        began = time.monotonic()
        for number, run in enumerate(waiting):
            report(progress(number, len(waiting), time.monotonic() - began, run.plan.name))
            if run.stages and not train(run.stages, settings.processes, settings.loader_workers):
                return None
            _ask(run, questions, settings.device)
        results = ExperimentResults(experiment, questions, _finished(runs))
        content = json.dumps(results_json(results), indent=1, ensure_ascii=False)
        replace_file(settings.output / "results.json", content.encode())
        write_page(settings.output / "index.html", results)
    return results


def _questions(experiment: Experiment, plans: Sequence[PlannedRun]) -> list[Question]:
    """The questions to all models. Raises RecipeError for an ask without any."""
    recipes = [plan.recipe for plan in plans if plan.recipe is not None]
    datasets = {name: spec.path for recipe in recipes[:1] for name, spec in recipe.datasets.items()}
    questions = load_questions(experiment, paths_of(experiment, datasets), _holdout(plans))
    empty = [ask.name for ask in experiment.ask if all(question.ask != ask.name for question in questions)]
    if empty:
        raise RecipeError(f"ask {', '.join(empty)}: the dataset has no held-out sample of that kind")
    return questions


def progress(done: int, waiting: int, seconds: float, name: str) -> str:
    """A line to print before each run, with the remaining time estimated from the runs so far."""
    left = f", about {seconds / done * (waiting - done) / 60:.0f} min left" if done else ""
    return f"run {done + 1} of {waiting}: {name}{left}"


def _holdout(plans: Sequence[PlannedRun]) -> Holdout | None:
    """What all arms hold out. Raises RecipeError if they differ, or if trained models hold nothing out."""
    recipes = [plan.recipe for plan in plans if plan.recipe is not None]
    holdouts = {recipe.holdout for recipe in recipes}
    if len(holdouts) > 1:
        raise RecipeError("the arms hold out different images: `holdout` must be the same in all of them")
    if recipes and recipes[0].holdout is None:
        raise RecipeError(
            "the training recipe needs `holdout: {share: ...}`, the images that its models are asked about"
        )
    return next(iter(holdouts), None)


def _runs(plans: Sequence[PlannedRun], questions: Sequence[Question], settings: RunSettings) -> list[ExperimentRun]:
    paths = {spec.path for plan in plans if plan.recipe is not None for spec in plan.recipe.datasets.values()}
    hashes = {path: open_dataset(path).hash for path in paths}
    questions_identity = [
        samples_hash([question.sample for question in questions]),
        [[question.loss_sample.task, question.columns["language"], question.thing] for question in questions],
    ]
    found = []
    for plan in plans:
        stages: list[TrainedStage] = []
        if plan.recipe is None:
            assert plan.model is not None, "an arm is trained, or names a model"
            identity: Any = model_identity(plan.model)
        else:
            own = {name: hashes[spec.path] for name, spec in plan.recipe.datasets.items()}
            stages = chain(plan.recipe, own, settings.trained)
            identity = stages[-1].fingerprint
        run_fingerprint = fingerprint([MEASURES_VERSION, identity, questions_identity])
        found.append(ExperimentRun(plan, stages, settings.output / "runs" / run_fingerprint[:16]))
    return found


def _ask(run: ExperimentRun, questions: Sequence[Question], device: str) -> None:
    """Ask the model, measure its losses, and write the values; their file marks the run as done."""
    with measured(run.folder / "steps.json", ASKING):
        samples = [question.sample for question in questions]
        description: dict[str, JsonValue] = {"questions": len(samples), "run": run.plan.name}
        answered = evaluate_model(run.model, samples, description, run.folder / "eval", device)
        losses = held_out_loss(run.model, [question.loss_sample for question in questions])
    values = answer_values(questions, answered.answers, answered.scores, losses)
    replace_file(run.folder / "values.json", json.dumps(asdict(ValuesManifest(values))).encode())


def _finished(runs: Sequence[ExperimentRun]) -> Mapping[str, list[FinishedRun]]:
    """The finished runs of each arm, in the order of the seeds. Raises RecipeError if a run's model is elsewhere."""
    finished: dict[str, list[FinishedRun]] = {run.plan.arm: [] for run in runs}
    for run in runs:
        values = run.values
        if values is None:
            continue
        if run.stages and not run.stages[-1].done:
            raise RecipeError(
                f"{run.plan.name} is done, but its model is not in {run.stages[-1].folder.parent}: name the folder in "
                "which it was trained with --trained"
            )
        asking = read_costs(run.folder / "steps.json")[ASKING]
        finished[run.plan.arm].append(
            FinishedRun(
                run.plan.seed, values, run.model, tuple(run.stages), run.plan.recipe, run.folder / "eval", asking
            )
        )
    return finished
