"""``RUN/report.html``: a run's curves, scores, resumes, spikes and quarantined samples; nothing is loaded from elsewhere."""

from collections import Counter
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

from qvl.pipeline.html.document import document
from qvl.pipeline.html.elements import Html, count, foreign, percent, short, table, tag
from qvl.pipeline.report.sections import chart, section
from qvl.pipeline.storage.atomic import replace_file
from qvl.training.pages.report.curves import curves, scores
from qvl.training.pages.report.history import History, Line, StageHistory, read_history

HERE = Path(__file__).parent
ROWS_SHOWN = 200
IDS_SHOWN = 12
CHARTS = (
    ("loss", "Loss", "mean per token; the line is smoothed, the band runs from the lowest to the highest step"),
    ("by_source", "Loss by source", "smoothed, per token of the source"),
    ("by_class", "Loss by kind of token", "text, digits of boxes, markers, words of OCR pages"),
    ("lr", "Learning rate", ""),
    ("grad_norm", "Gradient norm", "before clipping"),
    ("samples_per_second", "Samples per second", "over all processes"),
    ("tokens_per_second", "Tokens per second", "without padding"),
    ("useful", "Useful share", "tokens of all positions; the rest is padding"),
    ("mfu", "MFU", "of the GPUs' peak"),
    ("data_wait", "Data wait", "share of the time in which a GPU waited for data"),
    ("memory_gb", "Memory", "GB at the peak"),
)


def write_report(run: Path) -> Path:
    """Write the page of a run, finished or not; returns its path. Raises DataError where nothing was logged."""
    page = run / "report.html"
    replace_file(page, render(read_history(run)).encode())
    return page


def render(history: History) -> Html:
    """The page."""
    drawn = {stage.name: curves(stage) for stage in history.stages}
    scored = {stage.name: scores(stage) for stage in history.stages}
    parts = [_stage(stage, drawn[stage.name], scored[stage.name]) for stage in history.stages]
    data = {
        "stages": {
            stage.name: drawn[stage.name]
            | {"scores": scored[stage.name], "resumes": [resume.step for resume in stage.resumes]}
            for stage in history.stages
        }
    }
    return document(
        f"{history.name}: training report",
        _contents(history),
        _header(history),
        [*parts, _recipe(history)],
        data,
        (HERE / "script.js").read_text("utf-8"),
        (HERE / "style.css").read_text("utf-8"),
    )


def _contents(history: History) -> Html:
    def link(name: str, title: str) -> Html:
        return tag("a", title, attributes={"href": f"#{name}"})

    stages = [link(f"stage-{stage.name}", stage.name) for stage in history.stages]
    names = (link("top", history.name), *stages, link("recipe", "Recipe"))
    return tag("nav", *names, attributes={"aria-label": "contents"})


def _header(history: History) -> Html:
    lines = [line for stage in history.stages for line in stage.steps]
    seconds = sum(line["seconds"] for line in lines)
    processes = max((line.get("world") or 1) for line in lines)
    done = sum(len(stage.steps) for stage in history.stages)
    planned = sum(stage["steps"] for stage in history.recipe["stages"])
    tiles = [
        (f"of {count(planned)} steps", count(done)),
        ("samples seen", _large(sum(line["samples"] for line in lines))),
        ("tokens", _large(sum(line["tokens"] for line in lines))),
        (f"on up to {count(processes)} process{'es' if processes > 1 else ''}", _duration(seconds)),
        ("resumed", f"{sum(len(stage.resumes) for stage in history.stages)} ×"),
        ("samples quarantined", count(sum(len(stage.quarantine) for stage in history.stages))),
    ]
    shown = [tag("div.tile", tag("b", value), tag("span", name)) for name, value in tiles]
    heading = tag("p.kind", "Training report"), tag("h1", history.name)
    return tag("header", *heading, tag("div.tiles", *shown), _overview(history))


def _overview(history: History) -> Html:
    head = ["stage", "steps", "samples", "loss", "useful", "data wait", "MFU", "time", "skipped", "quarantined"]
    return table(head, [_overview_row(stage) for stage in history.stages], ".numbers")


def _overview_row(stage: StageHistory) -> list[str]:
    lines = stage.steps
    seconds = sum(line["seconds"] for line in lines)
    measured = [line["mfu"] for line in lines if line.get("mfu") is not None]
    latest = [line["loss"] for line in lines[-max(1, len(lines) // 20) :] if line["loss"] is not None]
    return [
        tag("a", stage.name, attributes={"href": f"#stage-{stage.name}"}),
        f"{count(len(lines))} of {count(stage.planned)}",
        _large(sum(line["samples"] for line in lines)),
        f"{sum(latest) / len(latest):.3f}" if latest else "–",
        percent(sum(line["tokens"] for line in lines), sum(line["positions"] for line in lines)),
        f"{sum(line['data_wait'] for line in lines) / seconds:.1%}" if seconds else "–",
        f"{sum(measured) / len(measured):.1%}" if measured else "–",
        _duration(seconds),
        count(sum(bool(line["skipped"]) for line in lines)),
        count(len(stage.quarantine)),
    ]


def _stage(stage: StageHistory, drawn: dict[str, Any], scored: dict[str, Any]) -> Html:
    shown = [_chart(stage.name, *each) for each in CHARTS if _measured(drawn[each[0]])]
    parts = [_resumes(stage), shown[0], tag("div.pair", *shown[1:])]
    if scored:
        each = [_chart(stage.name, f"score:{name}", name, "") for name in scored]
        parts += [tag("h3", "Evaluation"), tag("div.pair", *each)]
    parts += [_spikes(stage), _quarantine(stage)]
    first, last = stage.steps[0]["step"], stage.steps[-1]["step"]
    says = (
        f"Steps {count(first)} to {count(last)} of {count(stage.planned)}. Drag over a curve to look closer; double-click "
        "to go back."
    )
    return section(f"stage-{stage.name}", stage.name, says, *parts)


def _measured(values: Any) -> bool:
    every: Iterable[Any] = values.values() if isinstance(values, dict) else [values]
    return any(each is not None for series in every for each in series)


def _chart(stage: str, name: str, title: str, says: str) -> Html:
    place = chart(f"{stage}|{name}", f"{title} over the steps of {stage}", 300 if name == "loss" else 230)
    return tag("div.curve", tag("h4", title, tag("span", f" {says}" if says else "")), place)


def _resumes(stage: StageHistory) -> Html:
    if not stage.resumes:
        return Html()
    words = [
        f"step {count(each.step)}" + (f" ({each.world} processes)" if each.world else "") for each in stage.resumes
    ]
    return tag("p.note", f"Resumed before {', '.join(words)}: the dotted lines.")


def _spikes(stage: StageHistory) -> Html:
    if not stage.spikes:
        return Html()
    rows = [
        [count(line["step"]), _figure(line["loss"]), _figure(line["mean"]), count(len(line["ids"])), _ids(line["ids"])]
        for line in stage.spikes[-ROWS_SHOWN:]
    ]
    return tag(
        "div", tag("h3", "Skipped steps"),
        tag("p.says", "Their loss was no number, or far above the running mean: nothing was learnt from them."),
        _cut(len(stage.spikes)), table(["step", "loss", "running mean", "samples", "ids"], rows),
    )  # fmt: skip


def _ids(ids: list[str]) -> Html:
    shown = [tag("code", foreign(name, 80)) for name in ids[:IDS_SHOWN]]
    more = f" and {count(len(ids) - IDS_SHOWN)} more in spikes.jsonl" if len(ids) > IDS_SHOWN else ""
    return tag("details", tag("summary", foreign(ids[0], 60) if ids else "–"), tag("p.ids", *_apart(shown), more))


def _apart(parts: list[Html]) -> list[Html]:
    return [Html(f"{part} ") for part in parts]


def _quarantine(stage: StageHistory) -> Html:
    if not stage.quarantine:
        return Html()
    reasons = Counter(_reason(line) for line in stage.quarantine)
    rows = [
        [foreign(line["id"], 80), foreign(line["shard"], 60), foreign(line["reason"], 120), count(line["step"])]
        for line in stage.quarantine[-ROWS_SHOWN:]
    ]
    says = "They could not be read or learnt from; padding stood in their places, so the order did not shift."
    totals = [[foreign(reason), count(number)] for reason, number in reasons.most_common()]
    return tag(
        "div",
        tag("h3", "Quarantined samples"),
        tag("p.says", says),
        table(["reason", "samples"], totals, ".numbers.tight"),
        _cut(len(stage.quarantine)),
        table(["id", "shard", "reason", "step"], rows),
    )


def _reason(line: Line) -> str:
    return str(line["reason"]).partition(":")[0]


def _cut(rows: int) -> Html:
    return tag("p.note", f"The last {ROWS_SHOWN} of {count(rows)}.") if rows > ROWS_SHOWN else Html()


def _recipe(history: History) -> Html:
    """The recipe without folders of this machine."""
    content = dict(history.recipe)
    content["datasets"] = {
        name: {"path": PurePosixPath(each["path"]).name} for name, each in content["datasets"].items()
    }
    for name in ("start", "tokenizer"):
        if content.get(name):
            content[name] = PurePosixPath(content[name]).name
    text = yaml.safe_dump(content, sort_keys=False, allow_unicode=True, default_flow_style=None, width=110)
    return section("recipe", "Recipe", "As run.json has it, folders left out.", tag("pre", tag("code", text)))


def _large(number: float) -> str:
    for size, letter in ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e5, "k")):
        if number >= size:
            unit = 1e3 if letter == "k" else size
            return f"{number / unit:.3g}{letter}"
    return count(int(number))


def _duration(seconds: float) -> str:
    """2 d 4 h, 3 h 20 min, 5 min 3 s, 12 s."""
    for size, word, smaller, rest in ((86400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s")):
        if seconds >= size:
            whole, left = divmod(int(seconds), size)
            return f"{whole} {word} {left // smaller} {rest}"
    return f"{seconds:.0f} s"


def _figure(number: float | None) -> str:
    return "not a number" if number is None else short(round(number, 4))
