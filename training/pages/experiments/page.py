"""The page of an experiment: the answer as a table, curves with error bars, loss while training, pictures, cost."""

from pathlib import Path
from typing import Any

from qvl.pipeline.html.document import document
from qvl.pipeline.html.elements import Html, count, foreign, table, tag
from qvl.pipeline.report.sections import chart, section
from qvl.pipeline.storage.atomic import replace_file
from qvl.training.heldout.questions import read_answered
from qvl.training.pages.experiments.estimate import Estimate, estimate
from qvl.training.pages.experiments.results import MEASURES, ExperimentResults, against, curve
from qvl.training.pages.journey import page as journey_page
from qvl.training.pages.journey.side_by_side import side_by_side
from qvl.training.pages.report import page as training_page
from qvl.training.pages.report.curves import curves
from qvl.training.pages.report.history import read_history

HERE = Path(__file__).parent
NAMES = {
    "score": "right answers", "iou": "mean IoU", "loss": "loss per token", "wrong_language": "in the wrong language",
    "agreement": "agrees with the first language",
}  # fmt: skip
SHARES = ("score", "wrong_language", "agreement")
METRICS = {
    "box": "box with IoU of at least 0.5, %", "cider": "CIDEr × 100", "exact": "exact answer, %",
    "vqa_score": "VQA accuracy, %", "grounded": "F1, %", "ocr": "1 − CER, %",
}  # fmt: skip
LOWER = ("loss", "wrong_language")


def write_page(path: Path, results: ExperimentResults) -> Path:
    """Write the page in one step."""
    replace_file(path, render(results).encode())
    return path


def render(results: ExperimentResults) -> Html:
    """The page. Raises nothing for an experiment of which some runs are still to be done: it says so."""
    figures = results.experiment.figures
    data = {
        "stages": {arm: _training(results, arm) for arm in results.prices},
        "figures": [
            {"lines": curve(results, figure), "measure": figure.measure, "name": _figure_name(results, figure.measure),
             "percent": figure.measure in SHARES, "arms": figure.x == "arm", "cost": figure.x == "cost"}
            for figure in figures
        ],
    }  # fmt: skip
    report, journey = Path(training_page.__file__).parent, Path(journey_page.__file__).parent
    sections = [_answer(results), _figures(results), _pictures(results), _learnt(results), _costs(results)]
    return document(
        f"{results.experiment.name}: an experiment",
        _contents(results),
        _header(results),
        sections,
        data,
        (report / "script.js").read_text("utf-8") + (HERE / "figures.js").read_text("utf-8"),
        (report / "style.css").read_text("utf-8") + (journey / "page.css").read_text("utf-8"),
    )


def _training(results: ExperimentResults, arm: str) -> dict[str, Any]:
    stage = read_history(results.done[arm][0].stages[-1].run).stages[-1]
    return curves(stage) | {"scores": {}, "resumes": [resume.step for resume in stage.resumes]}


def _contents(results: ExperimentResults) -> Html:
    names = {
        "top": results.experiment.name, "answer": "Answer", "figures": "Curves", "shown": "Side by side",
        "learnt": "While training", "costs": "Cost",
    }  # fmt: skip
    links = [tag("a", title, attributes={"href": f"#{name}"}) for name, title in names.items()]
    return tag("nav", *links, attributes={"aria-label": "contents"})


def _header(results: ExperimentResults) -> Html:
    seeds = max((len(done) for done in results.done.values()), default=0)
    runs = sum(len(done) for done in results.done.values())
    training = {stage.mark: stage.cost.cpu for done in results.done.values() for run in done for stage in run.stages}
    tiles = [
        ("arms", count(len(results.arms))), ("seeds of each", count(seeds)), ("models asked", count(runs)),
        ("questions to each", count(len(results.asked))),
        ("held-out pictures", count(len({question.image for question in results.asked}))),
        ("processor minutes of training", f"{sum(training.values()) / 60:.0f}"),
    ]  # fmt: skip
    shown = [tag("div.tile", tag("b", value), tag("span", name)) for name, value in tiles]
    parts = [tag("p.kind", "An experiment"), tag("h1", results.experiment.question), tag("div.tiles", *shown)]
    if results.experiment.tells:
        parts.append(tag("p.says", results.experiment.tells))
    if not results.whole:
        parts.append(tag("p.note", "Not all runs are done: the same command goes on, and writes this page again."))
    return tag("header", *parts)


def _answer(results: ExperimentResults) -> Html:
    says = (
        "Mean over seeds ± one standard error, which holds the spread over seeds and that over the questions drawn. Bold is "
        "best. Below it the difference to the first arm, question by question; outlined where it is over twice its error."
    )
    asks = results.experiment.ask
    parts = [_measure(results, measure) for measure in MEASURES]
    named = ", ".join(
        f"{ask.name}: {count(len(results.places(ask.name)))} {ask.task.replace('_', ' ')}" for ask in asks
    )
    return section("answer", "Answer", says, tag("p.says", f"Held-out questions: {named}."), *parts)


def _measure(results: ExperimentResults, measure: str) -> Html:
    rows = []
    for ask in results.experiment.ask:
        places = results.places(ask.name)
        found = {arm: estimate(results.runs(arm), measure, places) for arm in results.arms}
        if any(found.values()):
            metric = results.asked[places[0]].sample.metric
            how = METRICS.get(metric, metric) if measure == "score" else NAMES[measure]
            rows.append([ask.name, how, *_cells(results, measure, places, found)])
    if not rows:
        return Html()
    table_of_arms = table(["ask", "measure", *results.arms], rows, ".numbers.models")
    return tag("div", tag("h3", NAMES[measure][0].upper() + NAMES[measure][1:]), table_of_arms)


def _cells(
    results: ExperimentResults, measure: str, places: list[int], found: dict[str, Estimate | None]
) -> list[Html]:
    means = [each.mean for each in found.values() if each is not None]
    best = min(means) if measure in LOWER else max(means)
    cells = []
    for number, (arm, each) in enumerate(found.items()):
        if each is None:
            cells.append(tag("span", "–"))
            continue
        other = against(results, arm, results.arms[0], measure, places) if number else None
        clear = other is not None and abs(other.mean) > 2 * other.error
        classes = (".best" if each.mean == best and means.count(best) < len(means) else "") + (
            ".expected" if clear else ""
        )
        seeds = ", ".join(shown(value, measure) for value in each.seeds)
        about = {"title": f"seeds: {seeds}; error of the questions alone {shown(each.questions_error, measure)}"}
        value = tag("span", shown(each.mean, measure), tag("small", f" ± {shown(each.error, measure)}"))
        below = [tag("br"), tag("small", _signed(other, measure))] if other is not None else []
        cells.append(tag(f"span.value{classes}", value, *below, attributes=about))
    return cells


def shown(value: float, measure: str) -> str:
    """A value as people read it: shares in percent."""
    return f"{100 * value:.1f}" if measure in SHARES else f"{value:.3f}"


def _signed(other: Estimate, measure: str) -> str:
    sign = "+" if other.mean >= 0 else "−"
    return f"{sign}{shown(abs(other.mean), measure)} ± {shown(other.error, measure)}"


def _figure_name(results: ExperimentResults, measure: str) -> str:
    return NAMES[measure] + (", %" if measure in SHARES else "")


def _figures(results: ExperimentResults) -> Html:
    drawn = []
    for number, figure in enumerate(results.experiment.figures):
        attributes = {"data-figure": str(number), "role": "img", "aria-label": figure.title, "style": "height:300px"}
        place = tag("div.chart", attributes=attributes)
        drawn.append(tag("div.curve", tag("h4", figure.title), place))
    says = "Bars are one standard error of seeds and questions together; the small marks are the seeds."
    return section("figures", "Curves", says, tag("div.pair", *drawn))


def _pictures(results: ExperimentResults) -> Html:
    answered = {arm: read_answered(results.done[arm][0].answers) for arm in results.arms}
    return side_by_side([question.sample for question in results.asked], answered)


def _learnt(results: ExperimentResults) -> Html:
    says = "Training loss of the first seed in the last stage: whether it was still falling when training ended."
    drawn = [
        tag("div.curve", tag("h4", arm), chart(f"{arm}|loss", f"Training loss of {arm}", 220)) for arm in results.prices
    ]
    return section("learnt", "While training", says, tag("div.pair", *drawn))


def _costs(results: ExperimentResults) -> Html:
    rows = [
        [foreign(arm), f"{price.gflop:,.2f}", f"{1000 * price.seconds:,.1f}", f"{price.training:,.0f}",
         f"{1000 * price.asking:,.0f}"]
        for arm, price in results.prices.items()
    ]  # fmt: skip
    says = (
        "Operations of one training sample of the last stage, counted (forward and backward); its wall time, the median "
        "over steps; processor seconds of all stages of one model; processor time of one question (decoding and loss)."
    )
    head = ["arm", "GFLOP per sample", "ms per sample", "training, s", "ms per question"]
    return section("costs", "Cost", says, table(head, rows, ".numbers"))
