"""The page of an experiment: the answer as a table, curves with error bars, loss during training, pictures, cost."""

from dataclasses import replace
from pathlib import Path

from qvl.pipeline.html.charts import PointLine, Points, captioned, chart, charts_page
from qvl.pipeline.html.document import document
from qvl.pipeline.html.elements import Html, count, table, tag, untrusted
from qvl.pipeline.html.sections import Section, Tile, header, section
from qvl.pipeline.storage.atomic import replace_file
from qvl.training.heldout.questions import read_model_answers
from qvl.training.pages.experiments.estimate import Estimate, estimate
from qvl.training.pages.experiments.recipe import Figure, Measure
from qvl.training.pages.experiments.results import MEASURES, ExperimentResults, against, curve
from qvl.training.pages.journey.side_by_side import side_by_side
from qvl.training.pages.report.curves import curves
from qvl.training.pages.report.history import read_history
from qvl.training.pages.report.page import Curve, stage_chart

NAMES: dict[Measure, str] = {
    "score": "right answers", "iou": "mean IoU", "loss": "loss per token", "wrong_language": "in the wrong language",
    "agreement": "agrees with the first language",
}  # fmt: skip
SHARES: tuple[Measure, ...] = ("score", "wrong_language", "agreement")
METRICS = {
    "box": "box with IoU of at least 0.5, %", "cider": "CIDEr × 100", "exact": "exact answer, %",
    "vqa_score": "VQA accuracy, %", "grounded": "F1, %", "ocr": "1 − CER, %",
}  # fmt: skip
LOWER: tuple[Measure, ...] = ("loss", "wrong_language")


def write_page(path: Path, results: ExperimentResults) -> Path:
    """Write the page in one step."""
    replace_file(path, render(results).encode())
    return path


def render(results: ExperimentResults) -> Html:
    """The page. It says so if some runs of the experiment are still missing."""
    sections = [_answer(results), _figures(results), _pictures(results), _training(results), _costs(results)]
    name = results.experiment.name
    return document(charts_page(f"{name}: an experiment", name, _header(results), sections))


def _header(results: ExperimentResults) -> Html:
    seeds = max((len(done) for done in results.done.values()), default=0)
    runs = sum(len(done) for done in results.done.values())
    training = {
        stage.fingerprint: stage.cost.cpu for done in results.done.values() for run in done for stage in run.stages
    }
    tiles = [
        Tile(count(len(results.arms)), "arms"),
        Tile(count(seeds), "seeds of each"),
        Tile(count(runs), "models asked"),
        Tile(count(len(results.questions)), "questions to each"),
        Tile(count(len({question.image for question in results.questions})), "held-out pictures"),
        Tile(f"{sum(training.values()) / 60:.0f}", "processor minutes of training"),
    ]
    notes = [tag("p.lead", results.experiment.tells)] if results.experiment.tells else []
    if not results.complete:
        notes.append(
            tag("p.note", "Not all runs are done: the same command continues them and writes this page again.")
        )
    return header("An experiment", results.experiment.question, tiles, *notes)


def _answer(results: ExperimentResults) -> Section:
    lead = (
        "Mean over seeds ± one standard error, which covers the spread over seeds and over the chosen questions. The best "
        "value is bold. Below each value is its difference to the first arm, question by question; it is outlined if it "
        "exceeds twice its error."
    )
    asks = results.experiment.ask
    parts = [_measure(results, measure) for measure in MEASURES]
    named = ", ".join(
        f"{ask.name}: {count(len(results.indexes(ask.name)))} {ask.task.replace('_', ' ')}" for ask in asks
    )
    return section("answer", "Answer", lead, tag("p.lead", f"Held-out questions: {named}."), *parts)


def _measure(results: ExperimentResults, measure: Measure) -> Html:
    rows = []
    for ask in results.experiment.ask:
        places = results.indexes(ask.name)
        found = {arm: estimate(results.values(arm), measure, places) for arm in results.arms}
        if any(found.values()):
            metric = results.questions[places[0]].sample.metric
            how = METRICS.get(metric, metric) if measure == "score" else NAMES[measure]
            rows.append([ask.name, how, *_cells(results, measure, places, found)])
    if not rows:
        return Html()
    table_of_arms = table(["ask", "measure", *results.arms], rows, ".numbers.models")
    return tag("div", tag("h3", NAMES[measure][0].upper() + NAMES[measure][1:]), table_of_arms)


def _cells(
    results: ExperimentResults, measure: Measure, places: list[int], found: dict[str, Estimate | None]
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


def shown(value: float, measure: Measure) -> str:
    """A value as people read it, shares in percent."""
    return f"{100 * value:.1f}" if measure in SHARES else f"{value:.3f}"


def _signed(other: Estimate, measure: Measure) -> str:
    sign = "+" if other.mean >= 0 else "−"
    return f"{sign}{shown(abs(other.mean), measure)} ± {shown(other.error, measure)}"


def _figures(results: ExperimentResults) -> Section:
    charts = []
    for number, figure in enumerate(results.experiment.figures):
        content = _points(results, figure)
        charts.append(captioned(figure.title, "", chart(f"figure:{number}", figure.title, 300, content)))
    lead = "Bars are one standard error of seeds and questions together; the small marks are the seeds."
    return section("figures", "Curves", lead, tag("div.pair", *charts))


def _points(results: ExperimentResults, figure: Figure) -> Points:
    is_share = figure.measure in SHARES
    scale = 100 if is_share else 1
    lines = [
        PointLine(
            line.name,
            line.x,
            [scale * value for value in line.y],
            [scale * value for value in line.error],
            [[scale * value for value in seeds] for seeds in line.seeds],
            line.questions,
        )
        for line in curve(results, figure)
    ]
    named = any(isinstance(x, str) for line in lines for x in line.x)
    y_title = NAMES[figure.measure] + (", %" if is_share else "")
    x_title = "GFLOP per training sample" if figure.x == "cost" else ""
    return Points(lines, y_title, x_title, not (figure.x == "arm" and named), figure.measure != "loss")


def _pictures(results: ExperimentResults) -> Section:
    answered = {arm: read_model_answers(results.done[arm][0].answers) for arm in results.arms}
    return side_by_side([question.sample for question in results.questions], answered)


def _training(results: ExperimentResults) -> Section:
    lead = "Training loss of the first seed in the last stage: whether it was still falling when training ended."
    charts = []
    for arm in results.prices:
        stage = read_history(results.done[arm][0].stages[-1].run).stages[-1]
        charts.append(stage_chart(replace(stage, name=arm), curves(stage), Curve("loss", arm)))
    return section("training", "During training", lead, tag("div.pair", *charts))


def _costs(results: ExperimentResults) -> Section:
    rows = [
        [untrusted(arm), f"{price.gflop:,.2f}", f"{1000 * price.seconds:,.1f}", f"{price.training:,.0f}",
         f"{1000 * price.asking:,.0f}"]
        for arm, price in results.prices.items()
    ]  # fmt: skip
    lead = (
        "Counted operations of one training sample of the last stage (forward and backward), its wall time (median over "
        "steps), processor seconds of all stages of one model, and processor time per question (decoding and loss)."
    )
    head = ["arm", "GFLOP per sample", "ms per sample", "training, s", "ms per question"]
    return section("costs", "Cost", lead, table(head, rows, ".numbers"))
