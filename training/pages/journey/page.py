"""The page of a journey: input, mix, curves, scores after each stage, and held-out images side by side."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from qvl.pipeline.base.verdicts import KEEP
from qvl.pipeline.commit.manifests import committed_manifest
from qvl.pipeline.html.charts import Bar, bar_chart, charts_page, reference_legend
from qvl.pipeline.html.document import document
from qvl.pipeline.html.elements import Html, count, percent, table, tag, untrusted
from qvl.pipeline.html.sections import Section, Tile, header, section
from qvl.pipeline.shards.manifests import DatasetManifest
from qvl.pipeline.storage.atomic import replace_file
from qvl.training.evaluation.samples.sample import EvalSample
from qvl.training.heldout.loss import TaskLoss
from qvl.training.heldout.questions import LONGEST, ModelAnswers
from qvl.training.pages.journey.progress import conclusions, loss_table, score_table, teaches
from qvl.training.pages.journey.side_by_side import side_by_side
from qvl.training.pages.journey.steps import Cost
from qvl.training.pages.mix.figures import LanguageShare, MixFigures, SourceShare, StageMix, TaskShare
from qvl.training.pages.report.curves import curves
from qvl.training.pages.report.history import History
from qvl.training.pages.report.page import Curve, stage_chart
from qvl.training.recipe import TrainRecipe

REASONS_SHOWN = 30


@dataclass(frozen=True)
class JourneyPart:
    """A dataset of the journey by its name in the recipe, and the output that holds it."""

    name: str
    folder: Path

    @property
    def dataset(self) -> DatasetManifest:
        return committed_manifest(self.folder / "shards" / "dataset.json", DatasetManifest)

    @property
    def verdicts(self) -> dict[str, dict[str, int]]:
        """Rows by source and verdict; empty for third-party shards."""
        return self.dataset.verdicts


@dataclass(frozen=True)
class JourneyResults:
    """All that the page shows. ``mix`` is the result of ``recipe_plan``; answers and losses are by model, in order."""

    recipe: TrainRecipe
    parts: Sequence[JourneyPart]
    mix: MixFigures
    history: History
    samples: Sequence[EvalSample]
    answered: Mapping[str, ModelAnswers]
    losses: Mapping[str, Mapping[str, TaskLoss]]
    costs: Mapping[str, Cost]


def write_page(path: Path, results: JourneyResults) -> Path:
    """Write the page in one step."""
    replace_file(path, render(results, path.parent).encode())
    return path


def render(results: JourneyResults, folder: Path) -> Html:
    """The page. Links to the pages of the datasets are relative to ``folder``, which holds this page."""
    sections = [
        _input(results, folder), _mix(results), _curves(results), _scores(results),
        side_by_side(results.samples, results.answered), _costs(results),
    ]  # fmt: skip
    name = results.recipe.name
    return document(charts_page(f"{name}: one journey", name, _header(results), sections))


def _header(results: JourneyResults) -> Html:
    verdicts = [counts for part in results.parts for counts in part.verdicts.values()]
    rows, kept = sum(sum(each.values()) for each in verdicts), sum(each.get(KEEP, 0) for each in verdicts)
    samples = sum(part.dataset.samples for part in results.parts)
    steps = sum(len(stage.steps) for stage in results.history.stages)
    held = {image for sample in results.samples for image in sample.images}
    seconds = sum(cost.seconds for cost in results.costs.values())
    tiles = [
        Tile(count(rows), "rows in"),
        Tile(count(kept), f"kept, {percent(kept, rows)}"),
        Tile(count(samples), "samples in shards"),
        Tile(f"{count(steps)} steps", f"in {len(results.history.stages)} stages"),
        Tile(count(len(held)), "held-out images in questions"),
        Tile(_duration(seconds), "in total"),
    ]
    return header("From raw rows to held-out answers", results.recipe.name, tiles)


def _input(results: JourneyResults, folder: Path) -> Section:
    lead = (
        "Rows of every source, how many were kept, and why the others were dropped. One row may become several samples: "
        "a picture with five boxes becomes five questions."
    )
    parts = [_funnel(part, folder) for part in results.parts]
    return section("input", "What went in, what was dropped", lead, *parts, link="What went in")


def _funnel(part: JourneyPart, folder: Path) -> Html:
    dataset, verdicts = part.dataset, part.verdicts
    reasons = {reason for counts in verdicts.values() for reason in counts} - {KEEP}
    total = {reason: sum(counts.get(reason, 0) for counts in verdicts.values()) for reason in reasons}
    ordered = sorted(reasons, key=lambda reason: (-total[reason], reason))

    def line(name: str, cells: list[int]) -> list[str]:
        return [name, *(count(cell) if cell else "" for cell in [*cells, sum(cells)])]

    rows = [line("rows in", [sum(counts.values()) for counts in verdicts.values()])]
    rows += [
        line(f"− {_readable(reason)}", [c.get(reason, 0) for c in verdicts.values()])
        for reason in ordered[:REASONS_SHOWN]
    ]
    rest = ordered[REASONS_SHOWN:]
    if rest:
        rows.append(line(f"− {len(rest)} other reasons", [sum(c.get(r, 0) for r in rest) for c in verdicts.values()]))
    rows.append(line("kept", [counts.get(KEEP, 0) for counts in verdicts.values()]))
    tasks = ", ".join(f"{count(number)} {task.replace('_', ' ')}" for task, number in dataset.tasks.items())
    link = tag("a", "its own report", attributes={"href": os.path.relpath(part.folder / "report.html", folder)})
    lead = tag("p.lead", f"{count(dataset.samples)} samples: {tasks}. ", link)
    return tag(
        "div", tag("h3", part.name, " ", tag("code", dataset.name)), lead,
        table(["", *(untrusted(source, 40) for source in verdicts), "all"], rows, ".numbers.last"),
    )  # fmt: skip


def _readable(reason: str) -> str:
    name, _, detail = reason.partition(":")
    return name.replace("_", " ") + (f" ({detail.replace('_', ' ')})" if detail else "")


def _mix(results: JourneyResults) -> Section:
    lead = (
        "What each stage trained on and the paper's: captions of stage 1 by source and language (Table 2), samples of "
        "stage 2 by task (Table 3)."
    )
    stages = results.mix.stages
    taught = set(teaches({stage.label: stage.stage for stage in results.recipe.stages}).values())
    shown = [_stage_mix(stage, stage.name in taught) for stage in stages]
    legend = reference_legend("share here", "the paper's share")
    return section("mix", "The mix compared with Tables 2 and 3", lead, legend, *shown, link="The mix")


def _stage_mix(stage: StageMix, compared: bool) -> Html:
    """The mix of a stage. One that the paper does not have (``compared`` is false) shows only its parts."""
    paper, parts = stage.paper, []
    if compared and stage.stage == "multitask":
        parts.append(_against("task", [(row.name or row.task, row) for row in paper.tasks if row.share or row.paper]))
    if compared and stage.stage == "pretrain" and paper.languages:
        parts.append(_against("source", [(row.name or row.source, row) for row in paper.sources]))
        parts.append(_against("language", [(row.language, row) for row in paper.languages]))
    head = ["part", "samples", "seen", "epochs", "share of samples", "share of tokens"]
    rows = [
        [untrusted(part.part), count(int(part.samples)), count(round(part.seen)), f"{part.epochs:.1f}",
         f"{part.share:.1%}", f"{part.token_share:.1%}"]
        for part in stage.parts
    ]  # fmt: skip
    facts = f"{stage.stage}, {count(stage.steps or 0)} steps at {stage.train_resolution} pixels"
    return tag("div", tag("h3", stage.name), tag("p.lead", facts), *parts, table(head, rows, ".numbers"))


def _against(kind: str, rows: Sequence[tuple[str, TaskShare | SourceShare | LanguageShare]]) -> Html:
    """Shares as bars, with the paper's as marks."""
    top = max((max(row.share, row.paper or 0.0) for _, row in rows), default=1.0) or 1.0
    return bar_chart(f"By {kind}", [_bar(name, row.share, row.paper, top) for name, row in rows])


def _bar(name: str, share: float, paper: float | None, top: float) -> Bar:
    if paper is None:
        return Bar(name, share / top, f"{share:.1%}")
    return Bar(name, share / top, f"{share:.1%}", paper / top, f"{paper:.1%}")


def _curves(results: JourneyResults) -> Section:
    shown = []
    for stage in results.history.stages:
        values = curves(stage)
        if any(each is not None for series in values.by_source.values() for each in series):
            shown.append(stage_chart(stage, values, Curve("by_source", stage.name, f"{count(len(stage.steps))} steps")))
    lead = "Loss per supervised token of each part of the mix, smoothed. The run's own report has all other curves."
    return section("curves", "Loss by source", lead, tag("div.pair", *shown))


def _scores(results: JourneyResults) -> Section:
    stages = {stage.label: stage.stage for stage in results.recipe.stages}
    lead = (
        "Every model answers the same held-out questions, about images, dialogues and texts that no stage trains on. The "
        "outlined cell is the stage in which the paper expects the gain: captions in stage 1, reading and grounding in "
        "stage 2, dialogues in stage 3. Stage 0 is not in the paper: it replaces the pretrained model that the paper "
        "starts from. Changes are over the same samples, ± standard error; two standard errors count as a change. The "
        "increase of a loss with another picture is what the model gains from looking."
    )
    about_loss = (
        "Loss per token of the true answer, ± standard error; lower is better. It improves before answers become right."
    )
    about_score = (
        f"Answers decoded greedily, at most {LONGEST} tokens (longer pages cannot be read to their end); higher is "
        "better. CIDEr over so few samples is not comparable with published figures."
    )
    return section(
        "scores", "Held-out scores before and after each stage", lead, conclusions(results.losses, stages),
        tag("h3", "Loss"), tag("p.lead", about_loss), loss_table(results.losses, stages),
        tag("h3", "Answers"), tag("p.lead", about_score),
        score_table({name: each.sets for name, each in results.answered.items()}, stages), link="Held-out scores",
    )  # fmt: skip


def _costs(results: JourneyResults) -> Section:
    rows = [
        [name, _duration(cost.seconds), f"{cost.cpu:,.0f} s", f"{cost.peak_mb:,.0f} MB"]
        for name, cost in results.costs.items()
    ]
    lead = "Wall time, processor time and the largest process of each step, added up over all runs of this journey."
    head = ["step", "time", "processor", "peak memory"]
    return section("costs", "Time and memory", lead, table(head, rows, ".numbers"))


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{seconds:.1f} s"
