"""The results of an experiment: a table of arms by ask and measure, the curves, and the cost of each arm."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from statistics import median

from pydantic import JsonValue

from qvl.training.pages.experiments.estimate import Estimate, difference, estimate
from qvl.training.pages.experiments.measure import AnswerValues
from qvl.training.pages.experiments.questions import Question, bucket
from qvl.training.pages.experiments.recipe import EDGES, Experiment, Figure, Measure
from qvl.training.pages.experiments.trained_models import TrainedStage
from qvl.training.pages.journey.steps import Cost
from qvl.training.pages.report.history import read_history
from qvl.training.plan.plan import make_plan
from qvl.training.plan.records import Terms
from qvl.training.recipe import TrainRecipe

MEASURES: tuple[Measure, ...] = ("score", "iou", "loss", "wrong_language", "agreement")
COUNTED_SAMPLES = 256
"""The operations per sample are counted on so many samples."""


@dataclass(frozen=True, slots=True)
class FinishedRun:
    """A finished run of an arm with one seed. If a finished model was asked, there are no ``stages`` and no ``recipe``."""

    seed: int
    values: AnswerValues
    model: Path
    stages: tuple[TrainedStage, ...]
    recipe: TrainRecipe | None
    answers: Path
    asking: Cost


@dataclass(frozen=True, slots=True)
class Price:
    """What an arm costs. ``gflop`` and ``seconds``: of one training sample of the last stage, by the median step.

    ``training``: processor seconds of all stages of one model; ``asking``: processor seconds of one question.
    """

    gflop: float
    seconds: float
    training: float
    asking: float


@dataclass(frozen=True, slots=True)
class CurveLine:
    """One line of a figure: positions on the x axis, and for each the mean, its error, the seeds' values, the questions."""

    name: str
    x: list[str | float]
    y: list[float]
    error: list[float]
    seeds: list[list[float]]
    questions: list[int]


@dataclass(frozen=True, slots=True)
class AskResults:
    """The answers to one kind of question. ``measures``: by measure and arm; MEASURE_difference is arm minus first arm."""

    task: str
    metric: str
    questions: int
    measures: dict[str, dict[str, Estimate]]


@dataclass(frozen=True, slots=True)
class DrawnFigure:
    """A figure with its lines."""

    title: str
    lines: list[CurveLine]


@dataclass(frozen=True, slots=True)
class ResultsSummary:
    """What ``results.json`` and ``--json`` hold. ``seeds``: the finished ones of each arm."""

    name: str
    question: str
    tells: str
    complete: bool
    seeds: dict[str, list[int]]
    cost: dict[str, Price]
    asks: dict[str, AskResults]
    figures: list[DrawnFigure]


@dataclass(frozen=True)
class ExperimentResults:
    """``done``: the finished runs of every arm, in the order of the recipe. Arms without any are there too."""

    experiment: Experiment
    questions: Sequence[Question]
    done: Mapping[str, list[FinishedRun]]

    @property
    def arms(self) -> list[str]:
        """Arms with at least one finished run."""
        return [arm for arm in self.experiment.arms if self.done.get(arm)]

    @property
    def complete(self) -> bool:
        """Whether every arm has every seed. A finished model is asked once."""
        expected = {name: 1 if arm.model else len(self.experiment.seeds) for name, arm in self.experiment.arms.items()}
        return all(len(self.done.get(name, ())) == number for name, number in expected.items())

    def values(self, arm: str) -> list[AnswerValues]:
        return [done.values for done in self.done[arm]]

    def indexes(self, ask: str) -> list[int]:
        """The indexes of the questions of an ask."""
        return [index for index, question in enumerate(self.questions) if question.ask == ask]

    @cached_property
    def prices(self) -> dict[str, Price]:
        """The costs of every arm that was trained."""
        return {arm: _price(self.done[arm], len(self.questions)) for arm in self.arms if self.done[arm][0].stages}


def _price(done: Sequence[FinishedRun], questions: int) -> Price:
    last = done[0].stages[-1]
    plan = make_plan(last.recipe.model_copy(update={"start": str(last.model)}), Terms(gpus=1), samples=COUNTED_SAMPLES)
    steps = [line for each in done for line in read_history(each.stages[-1].run).stages[-1].steps]
    return Price(
        gflop=round(1e3 * plan.stages[-1].tflop_per_sample.total, 4),
        seconds=round(median(line.seconds / max(1, line.samples) for line in steps), 5),
        training=round(sum(stage.cost.cpu for each in done for stage in each.stages) / len(done), 1),
        asking=round(sum(each.asking.cpu for each in done) / len(done) / questions, 4),
    )


def results_json(results: ExperimentResults) -> dict[str, JsonValue]:
    """The content of ``results.json`` and of ``--json``: a ``ResultsSummary``."""
    return asdict(_summary(results))


def _summary(results: ExperimentResults) -> ResultsSummary:
    experiment = results.experiment
    return ResultsSummary(
        name=experiment.name,
        question=experiment.question,
        tells=experiment.tells,
        complete=results.complete,
        seeds={arm: [done.seed for done in results.done[arm]] for arm in results.arms},
        cost=results.prices,
        asks={ask.name: _ask(results, ask.name) for ask in experiment.ask},
        figures=[DrawnFigure(figure.title, curve(results, figure)) for figure in experiment.figures],
    )


def _ask(results: ExperimentResults, name: str) -> AskResults:
    indexes = results.indexes(name)
    sample = results.questions[indexes[0]].sample
    measured: dict[str, dict[str, Estimate]] = {}
    for measure in MEASURES:
        found = {arm: estimate(results.values(arm), measure, indexes) for arm in results.arms}
        if any(each is not None for each in found.values()):
            measured[measure] = {arm: each for arm, each in found.items() if each is not None}
            measured[measure + "_difference"] = _differences(results, measure, indexes)
    return AskResults(sample.set, sample.metric, len(indexes), measured)


def _differences(results: ExperimentResults, measure: Measure, indexes: Sequence[int]) -> dict[str, Estimate]:
    """Each arm minus the first one, over the seeds that both have."""
    first, found = results.arms[0], {}
    for arm in results.arms[1:]:
        each = against(results, arm, first, measure, indexes)
        if each is not None:
            found[arm] = each
    return found


def against(
    results: ExperimentResults, arm: str, other: str, measure: Measure, indexes: Sequence[int]
) -> Estimate | None:
    """An arm minus another, paired by seed. A finished model is paired with every seed of the other arm."""
    own = {done.seed: done.values for done in results.done[arm]}
    theirs = {done.seed: done.values for done in results.done[other]}
    arms = results.experiment.arms
    if arms[arm].model is not None and own:
        own = dict.fromkeys(theirs, next(iter(own.values())))
    elif arms[other].model is not None and theirs:
        theirs = dict.fromkeys(own, next(iter(theirs.values())))
    both = [seed for seed in own if seed in theirs]
    return difference([own[seed] for seed in both], [theirs[seed] for seed in both], measure, indexes)


def curve(results: ExperimentResults, figure: Figure) -> list[CurveLine]:
    """The lines of a figure."""
    chosen = [at for at, each in enumerate(results.questions) if not figure.asks or each.ask in figure.asks]
    lines = []
    for name, points in _lines(results, figure, chosen):
        estimates = [(x, estimate(values, figure.measure, indexes)) for x, values, indexes in points]
        measured = [(x, each) for x, each in estimates if each is not None]
        if measured:
            lines.append(
                CurveLine(
                    name, [x for x, _ in measured], [each.mean for _, each in measured],
                    [each.error for _, each in measured], [list(each.seeds) for _, each in measured],
                    [each.questions for _, each in measured],
                )
            )  # fmt: skip
    return lines


Point = tuple[str | float, list[AnswerValues], list[int]]


def _lines(results: ExperimentResults, figure: Figure, chosen: list[int]) -> list[tuple[str, list[Point]]]:
    if figure.x in ("arm", "cost"):
        parts = _by_bucket(results, figure.lines, chosen) if figure.lines != "arm" else [("", chosen)]
        arms = [arm for arm in results.arms if figure.x == "arm" or arm in results.prices]
        return [(name, [(_position(results, figure, arm), results.values(arm), indexes) for arm in arms])
                for name, indexes in parts]  # fmt: skip
    parts = _by_bucket(results, figure.x, chosen)
    return [(arm, [(name, results.values(arm), indexes) for name, indexes in parts]) for arm in results.arms]


def _position(results: ExperimentResults, figure: Figure, arm: str) -> str | float:
    if figure.x == "cost":
        return results.prices[arm].gflop
    x = results.experiment.arms[arm].x
    return arm if x is None else x


def _by_bucket(results: ExperimentResults, column: str, chosen: list[int]) -> list[tuple[str, list[int]]]:
    """The questions by bucket of a column; numbers in increasing order, texts in the order of their first question."""
    found: dict[str, list[int]] = {}
    lowest: dict[str, float] = {}
    for index in chosen:
        value = results.questions[index].columns.get(column)
        if value is not None:
            name = bucket(column, value, results.experiment.edges)
            found.setdefault(name, []).append(index)
            if not isinstance(value, str):
                lowest[name] = min(value, lowest.get(name, value))
    names = sorted(found, key=lambda name: lowest[name]) if column in EDGES else list(found)
    return [(name, found[name]) for name in names]
