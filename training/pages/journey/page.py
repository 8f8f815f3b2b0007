"""The page of a journey: what went in, the mix, the curves, scores after each stage, held-out images side by side."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qvl.pipeline.base.verdicts import KEEP
from qvl.pipeline.commit.manifests import read_manifest
from qvl.pipeline.html.document import document
from qvl.pipeline.html.elements import Html, count, foreign, join, percent, table, tag
from qvl.pipeline.report.sections import chart, section
from qvl.pipeline.storage.atomic import replace_file
from qvl.training.evaluation.samples.sample import EvalSample
from qvl.training.heldout.loss import Loss
from qvl.training.heldout.questions import LONGEST, ModelAnswers
from qvl.training.pages.journey.progress import conclusions, loss_table, score_table, teaches
from qvl.training.pages.journey.side_by_side import side_by_side
from qvl.training.pages.journey.steps import Cost
from qvl.training.pages.mix.figures import LanguageShare, MixFigures, SourceShare, StageMix, TaskShare
from qvl.training.pages.report import page as training_page
from qvl.training.pages.report.curves import curves
from qvl.training.pages.report.history import History
from qvl.training.recipe import TrainRecipe

Data = dict[str, Any]
HERE = Path(__file__).parent
REASONS_SHOWN = 30


@dataclass(frozen=True)
class JourneyPart:
    """A dataset of the journey by its name in the recipe, and the output that it was made in."""

    name: str
    folder: Path

    @property
    def dataset(self) -> Data:
        return read_manifest(self.folder / "shards" / "dataset.json") or {}

    @property
    def verdicts(self) -> dict[str, dict[str, int]]:
        """Rows by source and verdict; empty for shards that others made."""
        found: dict[str, dict[str, int]] = self.dataset["lineage"].get("verdicts", {})
        return found


@dataclass(frozen=True)
class JourneyResults:
    """All that the page shows. ``mix``: of ``recipe_plan``; answers and losses by model, in their order."""

    recipe: TrainRecipe
    parts: Sequence[JourneyPart]
    mix: MixFigures
    history: History
    samples: Sequence[EvalSample]
    answered: Mapping[str, ModelAnswers]
    losses: Mapping[str, Mapping[str, Loss]]
    costs: Mapping[str, Cost]


def write_page(path: Path, results: JourneyResults) -> Path:
    """Write the page in one step."""
    replace_file(path, render(results, path.parent).encode())
    return path


def render(results: JourneyResults, beside: Path) -> Html:
    """The page; links to the parts' own pages are relative to the folder ``beside``."""
    drawn = {
        stage.name: curves(stage) | {"scores": {}, "resumes": [resume.step for resume in stage.resumes]}
        for stage in results.history.stages
    }
    own = Path(training_page.__file__).parent
    sections = [
        _input(results, beside), _mix(results), _curves(results), _scores(results),
        side_by_side(results.samples, results.answered), _costs(results),
    ]  # fmt: skip
    return document(
        f"{results.recipe.name}: one journey",
        _contents(results),
        _header(results),
        sections,
        {"stages": drawn},
        (own / "script.js").read_text("utf-8"),
        (own / "style.css").read_text("utf-8") + (HERE / "page.css").read_text("utf-8"),
    )


def _contents(results: JourneyResults) -> Html:
    names = {
        "top": results.recipe.name, "input": "What went in", "mix": "The mix", "curves": "Loss by source",
        "scores": "Held-out scores", "shown": "Side by side", "costs": "Time and memory",
    }  # fmt: skip
    links = [tag("a", title, attributes={"href": f"#{name}"}) for name, title in names.items()]
    return tag("nav", *links, attributes={"aria-label": "contents"})


def _header(results: JourneyResults) -> Html:
    verdicts = [counts for part in results.parts for counts in part.verdicts.values()]
    rows, kept = sum(sum(each.values()) for each in verdicts), sum(each.get(KEEP, 0) for each in verdicts)
    samples = sum(part.dataset["samples"] for part in results.parts)
    steps = sum(len(stage.steps) for stage in results.history.stages)
    held = {image for sample in results.samples for image in sample.images}
    seconds = sum(cost.seconds for cost in results.costs.values())
    tiles = [
        ("rows in", count(rows)), (f"kept, {percent(kept, rows)}", count(kept)), ("samples in shards", count(samples)),
        (f"in {len(results.history.stages)} stages", f"{count(steps)} steps"),
        ("held-out images asked about", count(len(held))),
        ("altogether", _duration(seconds)),
    ]  # fmt: skip
    shown = [tag("div.tile", tag("b", value), tag("span", name)) for name, value in tiles]
    return tag(
        "header",
        tag("p.kind", "From raw rows to held-out answers"),
        tag("h1", results.recipe.name),
        tag("div.tiles", *shown),
    )


def _input(results: JourneyResults, beside: Path) -> Html:
    says = (
        "Rows of every source, what was kept of them, and why the others were dropped. One row may become several samples "
        "(a picture with five boxes is asked about five times)."
    )
    return section("input", "What went in, what was dropped", says, *(_funnel(part, beside) for part in results.parts))


def _funnel(part: JourneyPart, beside: Path) -> Html:
    dataset, verdicts = part.dataset, part.verdicts
    reasons = {reason for counts in verdicts.values() for reason in counts} - {KEEP}
    total = {reason: sum(counts.get(reason, 0) for counts in verdicts.values()) for reason in reasons}
    ordered = sorted(reasons, key=lambda reason: (-total[reason], reason))

    def line(name: str, cells: list[int]) -> list[str]:
        return [name, *(count(cell) if cell else "" for cell in [*cells, sum(cells)])]

    rows = [line("rows in", [sum(counts.values()) for counts in verdicts.values()])]
    rows += [
        line(f"− {_words(reason)}", [c.get(reason, 0) for c in verdicts.values()]) for reason in ordered[:REASONS_SHOWN]
    ]
    rest = ordered[REASONS_SHOWN:]
    if rest:
        rows.append(line(f"− {len(rest)} other reasons", [sum(c.get(r, 0) for r in rest) for c in verdicts.values()]))
    rows.append(line("kept", [counts.get(KEEP, 0) for counts in verdicts.values()]))
    made = ", ".join(f"{count(number)} {task.replace('_', ' ')}" for task, number in dataset["tasks"].items())
    link = tag("a", "its own report", attributes={"href": os.path.relpath(part.folder / "report.html", beside)})
    says = tag("p.says", f"{count(dataset['samples'])} samples: {made}. ", link)
    return tag(
        "div", tag("h3", part.name, " ", tag("code", dataset["name"])), says,
        table(["", *(foreign(source, 40) for source in verdicts), "all"], rows, ".numbers.last"),
    )  # fmt: skip


def _words(reason: str) -> str:
    name, _, detail = reason.partition(":")
    return name.replace("_", " ") + (f" ({detail.replace('_', ' ')})" if detail else "")


def _mix(results: JourneyResults) -> Html:
    says = (
        "What each stage drew, beside the paper: captions of stage 1 by source and language (Table 2), samples of stage 2 "
        "by task (Table 3). The bar is the share here, the line in it the paper's."
    )
    stages = results.mix.stages
    taught = set(teaches({stage.label: stage.stage for stage in results.recipe.stages}).values())
    shown = [_stage_mix(stage, stage.name in taught) for stage in stages]
    return section("mix", "The mix beside Tables 2 and 3", says, *shown)


def _stage_mix(stage: StageMix, compared: bool) -> Html:
    """A stage that the paper does not have (``compared`` is false) shows its parts alone."""
    paper, parts = stage.paper, []
    if compared and stage.stage == "multitask":
        parts.append(_against("task", [(row.name or row.task, row) for row in paper.tasks if row.share or row.paper]))
    if compared and stage.stage == "pretrain" and paper.languages:
        parts.append(_against("source", [(row.name or row.source, row) for row in paper.sources]))
        parts.append(_against("language", [(row.language, row) for row in paper.languages]))
    head = ["part", "samples", "seen", "epochs", "share of samples", "share of tokens"]
    rows = [
        [foreign(part.part), count(int(part.samples)), count(round(part.seen)), f"{part.epochs:.1f}",
         f"{part.share:.1%}", f"{part.token_share:.1%}"]
        for part in stage.parts
    ]  # fmt: skip
    facts = f"{stage.stage}, {count(stage.steps or 0)} steps at {stage.train_resolution} pixels"
    return tag("div", tag("h3", stage.name), tag("p.says", facts), *parts, table(head, rows, ".numbers"))


def _against(kind: str, rows: Sequence[tuple[str, TaskShare | SourceShare | LanguageShare]]) -> Html:
    top = max((max(row.share, row.paper or 0.0) for _, row in rows), default=1.0) or 1.0
    body = [
        [foreign(name, 60), _bar(row.share, row.paper, top), f"{row.share:.1%}",
         "–" if row.paper is None else f"{row.paper:.1%}"]
        for name, row in rows
    ]  # fmt: skip
    return table([kind, "", "here", "paper"], body, ".numbers.against")


def _bar(share: float, paper: float | None, top: float) -> Html:
    fill = tag("span.fill", attributes={"style": f"width:{100 * share / top:.2f}%"})
    mark = Html() if paper is None else tag("span.mark", attributes={"style": f"left:{100 * paper / top:.2f}%"})
    return tag("span.track", fill, mark)


def _curves(results: JourneyResults) -> Html:
    shown = []
    for stage in results.history.stages:
        if any(each is not None for series in curves(stage)["by_source"].values() for each in series):
            place = chart(f"{stage.name}|by_source", f"Loss by source over the steps of {stage.name}", 260)
            shown.append(
                tag("div.curve", tag("h4", stage.name, tag("span", f" {count(len(stage.steps))} steps")), place)
            )
    says = "Loss per learnt token of each part of the mix, smoothed. All other curves are in the run's own report."
    return section("curves", "Loss by source", says, tag("div.pair", *shown))


def _scores(results: JourneyResults) -> Html:
    stages = {stage.label: stage.stage for stage in results.recipe.stages}
    says = (
        "Every model answers the same held-out questions: images, and dialogues or texts, that no stage trains on. The "
        "outlined cell is the stage in which the paper's reason lies: captions in stage 1, reading and grounding in stage "
        "2, dialogues in stage 3. Stage 0 is not the paper's: it stands for the pretrained model that the paper starts "
        "from. Changes are of the same samples, ± standard error; two of them count as moved. What a loss rises by "
        "beside another picture is what the model has from looking."
    )
    about_loss = (
        "Loss per token of the true answer, ± standard error; lower is better. It moves before answers come right."
    )
    about_score = (
        f"Answers decoded greedily, at most {LONGEST} tokens (a longer page cannot be read to its end); higher is better. "
        "CIDEr of so few samples is not comparable with published figures."
    )
    return section(
        "scores", "Held-out scores before and after each stage", says, conclusions(results.losses, stages),
        tag("h3", "Loss"), tag("p.says", about_loss), loss_table(results.losses, stages),
        tag("h3", "Answers"), tag("p.says", about_score),
        score_table({name: each.sets for name, each in results.answered.items()}, stages),
    )  # fmt: skip


def _costs(results: JourneyResults) -> Html:
    rows = [
        [name, _duration(cost.seconds), f"{cost.cpu:,.0f} s", f"{cost.peak_mb:,.0f} MB"]
        for name, cost in results.costs.items()
    ]
    says = "Wall time, processor time and the largest process of each step, added up over all runs of this journey."
    return section(
        "costs",
        "Time and memory",
        says,
        table(["step", "time", "processor", "peak memory"], rows, ".numbers"),
        join([]),
    )


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{seconds:.1f} s"
