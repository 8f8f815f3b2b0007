"""Writes ``RUN/report.html``: a run's curves, scores, resumes, skipped steps and quarantined samples."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import cast

import yaml

from qvl.pipeline.html.charts import Band, Curves, Line, captioned, chart, charts_page
from qvl.pipeline.html.document import document
from qvl.pipeline.html.elements import Html, count, join, percent, short, table, tag, untrusted
from qvl.pipeline.html.sections import Section, Tile, header, section
from qvl.pipeline.storage.atomic import replace_file
from qvl.training.loop.records import QuarantineLine
from qvl.training.pages.report.curves import ScoreSeries, Series, StageCurves, curves, scores
from qvl.training.pages.report.history import History, StageHistory, read_history

ROWS_SHOWN = 200
IDS_SHOWN = 12


@dataclass(frozen=True, slots=True)
class Curve:
    """A chart of a stage: the name of its values, title, note, and the scale of its y axis (see ``Curves``)."""

    name: str
    title: str
    note: str = ""
    scale: str = ""


CURVES = (
    Curve("loss", "Loss", "mean per token; the line is smoothed, the band runs from the lowest to the highest step"),
    Curve("by_source", "Loss by source", "smoothed, per token of the source"),
    Curve("by_class", "Loss by kind of token", "text, digits of boxes, markers, words of OCR pages"),
    Curve("lr", "Learning rate", scale="exponent"),
    Curve("grad_norm", "Gradient norm", "before clipping"),
    Curve("samples_per_second", "Samples per second", "over all processes", "from_zero"),
    Curve("tokens_per_second", "Tokens per second", "without padding", "from_zero"),
    Curve("useful", "Useful share", "tokens of all positions; the rest is padding", "percent"),
    Curve("mfu", "MFU", "of the GPUs' peak", "percent"),
    Curve("data_wait", "Data wait", "share of the time in which a GPU waited for data", "percent"),
    Curve("memory_gb", "Memory", "GB at the peak", "from_zero"),
)


def write_report(run: Path) -> Path:
    """Write the page of a run, finished or not, and return its path. Raises DataError if nothing was logged."""
    page = run / "report.html"
    replace_file(page, render(read_history(run)).encode())
    return page


def render(history: History) -> Html:
    """The page."""
    sections = [*(_stage(stage) for stage in history.stages), _recipe(history)]
    title = f"{history.name}: training report"
    return document(charts_page(title, history.name, _header(history), sections))


def _header(history: History) -> Html:
    lines = [line for stage in history.stages for line in stage.steps]
    seconds = sum(line.seconds for line in lines)
    processes = max(line.world for line in lines)
    done = sum(len(stage.steps) for stage in history.stages)
    planned = history.planned
    tiles = [
        Tile(count(done), f"of {count(planned)} steps"),
        Tile(_large(sum(line.samples for line in lines)), "samples seen"),
        Tile(_large(sum(line.tokens for line in lines)), "tokens"),
        Tile(_duration(seconds), f"on up to {count(processes)} process{'es' if processes > 1 else ''}"),
        Tile(count(sum(len(stage.resumes) for stage in history.stages)), "resumes"),
        Tile(count(sum(len(stage.quarantine) for stage in history.stages)), "samples quarantined"),
    ]
    return header("Training report", history.name, tiles, _overview(history))


def _overview(history: History) -> Html:
    head = ["stage", "steps", "samples", "loss", "useful", "data wait", "MFU", "time", "skipped", "quarantined"]
    return table(head, [_overview_row(stage) for stage in history.stages], ".numbers.full")


def _overview_row(stage: StageHistory) -> list[str]:
    lines = stage.steps
    seconds = sum(line.seconds for line in lines)
    measured = [line.mfu for line in lines if line.mfu is not None]
    latest = [line.loss for line in lines[-max(1, len(lines) // 20) :] if line.loss is not None]
    return [
        tag("a", stage.name, attributes={"href": f"#stage-{stage.name}"}),
        f"{count(len(lines))} of {count(stage.planned)}",
        _large(sum(line.samples for line in lines)),
        f"{sum(latest) / len(latest):.3f}" if latest else "–",
        percent(sum(line.tokens for line in lines), sum(line.positions for line in lines)),
        f"{sum(line.data_wait for line in lines) / seconds:.1%}" if seconds else "–",
        f"{sum(measured) / len(measured):.1%}" if measured else "–",
        _duration(seconds),
        count(sum(bool(line.skipped) for line in lines)),
        count(len(stage.quarantine)),
    ]


def _stage(stage: StageHistory) -> Section:
    values, evaluated = curves(stage), scores(stage)
    shown = [stage_chart(stage, values, curve) for curve in CURVES if _measured(_lines(values, curve))]
    parts = [_resumes(stage), shown[0], tag("div.pair", *shown[1:])]
    if evaluated:
        charts = [_score_chart(stage, name, series) for name, series in evaluated.items()]
        parts += [tag("h3", "Evaluation"), tag("div.pair", *charts)]
    parts += [_spikes(stage), _quarantine(stage)]
    first, last = stage.steps[0].step, stage.steps[-1].step
    lead = (
        f"Steps {count(first)} to {count(last)} of {count(stage.planned)}. Drag over a curve to zoom in; double-click to "
        "zoom out."
    )
    return section(f"stage-{stage.name}", stage.name, lead, *parts)


def _lines(values: StageCurves, curve: Curve) -> dict[str, Series]:
    """The lines of a chart by their names in its legend."""
    found: Series | dict[str, Series] = getattr(values, curve.name)
    return found if isinstance(found, dict) else {curve.title: found}


def _measured(lines: dict[str, Series]) -> bool:
    return any(each is not None for series in lines.values() for each in series)


def stage_chart(stage: StageHistory, values: StageCurves, curve: Curve) -> Html:
    """A chart of a stage, with its title. ``values`` are those of ``curves``."""
    name, height = f"{stage.name}|{curve.name}", 300 if curve.name == "loss" else 230
    content = _curve(stage, values, curve)
    return captioned(
        curve.title, curve.note, chart(name, f"{curve.title} over the steps of {stage.name}", height, content)
    )


def _curve(stage: StageHistory, values: StageCurves, curve: Curve) -> Curves:
    steps, dotted = values.step, [resume.step for resume in stage.resumes]
    span = steps[0], steps[-1]
    if curve.name == "loss":
        band = Band(values.loss, values.loss_low, values.loss_high, values.loss_smooth, values.skipped)
        return Curves(steps, span, [], band, dotted)
    return Curves(
        steps, span, [Line(name, series) for name, series in _lines(values, curve).items()], None, dotted, curve.scale
    )


def _score_chart(stage: StageHistory, name: str, series: ScoreSeries) -> Html:
    span, dotted = (stage.steps[0].step, stage.steps[-1].step), [resume.step for resume in stage.resumes]
    content = Curves(series.step, span, [Line(name, series.value)], None, dotted, "", True)
    return captioned(
        name, "", chart(f"{stage.name}|score:{name}", f"{name} over the steps of {stage.name}", 230, content)
    )


def _resumes(stage: StageHistory) -> Html:
    if not stage.resumes:
        return Html()
    steps = [f"step {count(each.step)} ({each.world} processes)" for each in stage.resumes]
    return tag("p.note", f"Resumed before {', '.join(steps)} (dotted lines).")


def _spikes(stage: StageHistory) -> Html:
    if not stage.spikes:
        return Html()
    rows = [
        [count(line.step), _figure(line.loss), _figure(line.mean), count(len(line.ids)), _ids(line.ids)]
        for line in stage.spikes[-ROWS_SHOWN:]
    ]
    return tag(
        "div", tag("h3", "Skipped steps"),
        tag("p.lead", "Their loss was not a finite number or far above the running mean, so no weights were updated."),
        _cut(len(stage.spikes)), table(["step", "loss", "running mean", "samples", "ids"], rows),
    )  # fmt: skip


def _ids(ids: list[str]) -> Html:
    shown = [tag("code", untrusted(name, 80)) for name in ids[:IDS_SHOWN]]
    more = f" and {count(len(ids) - IDS_SHOWN)} more in spikes.jsonl" if len(ids) > IDS_SHOWN else ""
    return tag("details", tag("summary", untrusted(ids[0], 60) if ids else "–"), tag("p.ids", join(shown, " "), more))


def _quarantine(stage: StageHistory) -> Html:
    if not stage.quarantine:
        return Html()
    reasons = Counter(_reason(line) for line in stage.quarantine)
    rows = [
        [untrusted(line.id, 80), untrusted(line.shard, 60), untrusted(line.reason, 120), count(line.step)]
        for line in stage.quarantine[-ROWS_SHOWN:]
    ]
    lead = "They could not be read or used. Padding replaced them, so that the order of the others did not change."
    totals = [[untrusted(reason), count(number)] for reason, number in reasons.most_common()]
    return tag(
        "div",
        tag("h3", "Quarantined samples"),
        tag("p.lead", lead),
        table(["reason", "samples"], totals, ".numbers.tight"),
        _cut(len(stage.quarantine)),
        table(["id", "shard", "reason", "step"], rows),
    )


def _reason(line: QuarantineLine) -> str:
    return str(line.reason).partition(":")[0]


def _cut(rows: int) -> Html:
    return tag("p.note", f"Only the last {ROWS_SHOWN} of {count(rows)} are shown.") if rows > ROWS_SHOWN else Html()


def _recipe(history: History) -> Section:
    """The recipe, without folders of this machine."""
    content = dict(history.recipe)
    datasets = cast(dict[str, dict[str, str]], content["datasets"])
    content["datasets"] = {name: {"path": PurePosixPath(each["path"]).name} for name, each in datasets.items()}
    for name in ("start", "tokenizer"):
        if content.get(name):
            content[name] = PurePosixPath(str(content[name])).name
    text = yaml.safe_dump(content, sort_keys=False, allow_unicode=True, default_flow_style=None, width=110)
    return section("recipe", "Recipe", "From run.json, without folders.", tag("pre", tag("code", text)))


def _large(number: float) -> str:
    for size, letter in ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e5, "k")):
        if number >= size:
            unit = 1e3 if letter == "k" else size
            return f"{number / unit:.3g}{letter}"
    return count(int(number))


def _duration(seconds: float) -> str:
    """2 d 4 h, 3 h 20 min, 5 min 3 s, 12 s."""
    for size, unit, smaller, rest in ((86400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s")):
        if seconds >= size:
            whole, left = divmod(int(seconds), size)
            return f"{whole} {unit} {left // smaller} {rest}"
    return f"{seconds:.0f} s"


def _figure(number: float | None) -> str:
    return "not a number" if number is None else short(round(number, 4))
