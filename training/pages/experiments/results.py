"""What an experiment found, as data: a table of arms by ask and measure, the curves, and what each arm costs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from statistics import median
from typing import Any

from qvl.training.pages.experiments.estimate import Estimate, difference, estimate
from qvl.training.pages.experiments.measure import Values
from qvl.training.pages.experiments.questions import Question, bucket
from qvl.training.pages.experiments.recipe import EDGES, Experiment, Figure
from qvl.training.pages.experiments.trained_models import TrainedStage
from qvl.training.pages.journey.steps import Cost
from qvl.training.pages.report.history import read_history
from qvl.training.plan.plan import make_plan
from qvl.training.plan.records import Terms
from qvl.training.recipe import TrainRecipe

MEASURES = ("score", "iou", "loss", "wrong_language", "agreement")
DRAWN = 256
"""Samples that the operations per sample are counted on."""


@dataclass(frozen=True)
class FinishedRun:
    """A finished run: an arm with a seed. ``stages`` and ``recipe`` are empty where a finished model was asked."""

    seed: int
    values: Values
    model: Path
    stages: tuple[TrainedStage, ...]
    recipe: TrainRecipe | None
    answers: Path
    asking: Cost


@dataclass(frozen=True)
class Price:
    """What an arm costs. ``gflop``: of one trained sample of the last stage; ``seconds``: of one, by the median step."""

    gflop: float
    seconds: float
    training: float
    asking: float


@dataclass(frozen=True)
class ExperimentResults:
    """``done``: by arm, in the order of the recipe, arms without a finished run too."""

    experiment: Experiment
    asked: Sequence[Question]
    done: Mapping[str, list[FinishedRun]]

    @property
    def arms(self) -> list[str]:
        """Arms with at least one finished run."""
        return [arm for arm in self.experiment.arms if self.done.get(arm)]

    @property
    def whole(self) -> bool:
        """Whether every arm has every seed (a finished model is asked once)."""
        wanted = {name: 1 if arm.model else len(self.experiment.seeds) for name, arm in self.experiment.arms.items()}
        return all(len(self.done.get(name, ())) == number for name, number in wanted.items())

    def runs(self, arm: str) -> list[Values]:
        return [done.values for done in self.done[arm]]

    def places(self, ask: str) -> list[int]:
        return [place for place, question in enumerate(self.asked) if question.ask == ask]

    @cached_property
    def prices(self) -> dict[str, Price]:
        """By arm that was trained."""
        return {arm: _price(self.done[arm], len(self.asked)) for arm in self.arms if self.done[arm][0].stages}


def _price(done: Sequence[FinishedRun], questions: int) -> Price:
    last = done[0].stages[-1]
    plan = make_plan(last.recipe.model_copy(update={"start": str(last.model)}), Terms(gpus=1), samples=DRAWN)
    steps = [line for each in done for line in read_history(each.stages[-1].run).stages[-1].steps]
    return Price(
        gflop=round(1e3 * plan.stages[-1].tflop_per_sample.total, 4),
        seconds=round(median(line["seconds"] / max(1, line["samples"]) for line in steps), 5),
        training=round(sum(stage.cost.cpu for each in done for stage in each.stages) / len(done), 1),
        asking=round(sum(each.asking.cpu for each in done) / len(done) / questions, 4),
    )


def summary(results: ExperimentResults) -> dict[str, Any]:
    """The JSON of the results."""
    experiment = results.experiment
    return {
        "name": experiment.name,
        "question": experiment.question,
        "tells": experiment.tells,
        "complete": results.whole,
        "seeds": {arm: [done.seed for done in results.done[arm]] for arm in results.arms},
        "cost": {arm: vars(price) for arm, price in results.prices.items()},
        "asks": {ask.name: _ask(results, ask.name) for ask in experiment.ask},
        "figures": [{"title": figure.title, "lines": curve(results, figure)} for figure in experiment.figures],
    }


def _ask(results: ExperimentResults, name: str) -> dict[str, Any]:
    places = results.places(name)
    sample = results.asked[places[0]].sample
    measured: dict[str, Any] = {}
    for measure in MEASURES:
        found = {arm: estimate(results.runs(arm), measure, places) for arm in results.arms}
        if any(each is not None for each in found.values()):
            measured[measure] = {arm: each.record() for arm, each in found.items() if each is not None}
            measured[measure + "_difference"] = _differences(results, measure, places)
    return {"task": sample.set, "metric": sample.metric, "questions": len(places), "measures": measured}


def _differences(results: ExperimentResults, measure: str, places: Sequence[int]) -> dict[str, Any]:
    """Each arm less the first one, over the seeds that both have."""
    first, found = results.arms[0], {}
    for arm in results.arms[1:]:
        each = against(results, arm, first, measure, places)
        if each is not None:
            found[arm] = each.record()
    return found


def against(results: ExperimentResults, arm: str, other: str, measure: str, places: Sequence[int]) -> Estimate | None:
    """An arm less another, paired by seed; a finished model stands against every seed."""
    own = {done.seed: done.values for done in results.done[arm]}
    theirs = {done.seed: done.values for done in results.done[other]}
    arms = results.experiment.arms
    if arms[arm].model is not None and own:
        own = dict.fromkeys(theirs, next(iter(own.values())))
    elif arms[other].model is not None and theirs:
        theirs = dict.fromkeys(own, next(iter(theirs.values())))
    both = [seed for seed in own if seed in theirs]
    return difference([own[seed] for seed in both], [theirs[seed] for seed in both], measure, places)


def curve(results: ExperimentResults, figure: Figure) -> list[dict[str, Any]]:
    """The lines of a figure: name, places on the axis, values with errors, the value of each seed."""
    chosen = [at for at, each in enumerate(results.asked) if not figure.asks or each.ask in figure.asks]
    lines = []
    for name, points in _lines(results, figure, chosen):
        found = [(x, estimate(runs, figure.measure, places)) for x, runs, places in points]
        there = [(x, each) for x, each in found if each is not None]
        if there:
            lines.append(
                {
                    "name": name, "x": [x for x, _ in there], "y": [each.mean for _, each in there],
                    "error": [each.error for _, each in there], "seeds": [list(each.seeds) for _, each in there],
                    "questions": [each.questions for _, each in there],
                }
            )  # fmt: skip
    return lines


Point = tuple[str | float, list[Values], list[int]]


def _lines(results: ExperimentResults, figure: Figure, chosen: list[int]) -> list[tuple[str, list[Point]]]:
    if figure.x in ("arm", "cost"):
        parts = _parts(results, figure.lines, chosen) if figure.lines != "arm" else [("", chosen)]
        arms = [arm for arm in results.arms if figure.x == "arm" or arm in results.prices]
        return [(name, [(_at(results, figure, arm), results.runs(arm), places) for arm in arms])
                for name, places in parts]  # fmt: skip
    parts = _parts(results, figure.x, chosen)
    return [(arm, [(name, results.runs(arm), places) for name, places in parts]) for arm in results.arms]


def _at(results: ExperimentResults, figure: Figure, arm: str) -> str | float:
    if figure.x == "cost":
        return results.prices[arm].gflop
    x = results.experiment.arms[arm].x
    return arm if x is None else x


def _parts(results: ExperimentResults, column: str, chosen: list[int]) -> list[tuple[str, list[int]]]:
    """The questions by bucket of a column; numbers in their order, words as they first come."""
    found: dict[str, list[int]] = {}
    lowest: dict[str, float] = {}
    for place in chosen:
        value = results.asked[place].columns.get(column)
        if value is not None:
            name = bucket(column, value, results.experiment.edges)
            found.setdefault(name, []).append(place)
            if not isinstance(value, str):
                lowest[name] = min(value, lowest.get(name, value))
    names = sorted(found, key=lambda name: lowest[name]) if column in EDGES else list(found)
    return [(name, found[name]) for name in names]
