"""The figures of a mixture as one HTML file: shares as bars, with the paper's as marks across them."""

from pathlib import Path

from qvl.pipeline.commands.tables import count
from qvl.pipeline.html.charts import Bar, bar_chart, heat_cell, reference_legend, share_cell
from qvl.pipeline.html.document import Page, document
from qvl.pipeline.html.elements import Html, join, plural, table, tag, untrusted
from qvl.pipeline.html.sections import Section, header, section
from qvl.pipeline.storage.atomic import replace_file
from qvl.training.pages.mix.content import LENGTHS, RESOLUTIONS
from qvl.training.pages.mix.figures import Duplicates, MixFigures, Preflight, StageMix
from qvl.training.pages.mix.tables import counted, percent, preflight_rows, times

NAMES = {
    None: "no stage: every sample once",
    "language": "before stage 1, without pictures",
    "pretrain": "stage 1",
    "multitask": "stage 2",
    "sft": "stage 3",
}


def write_page(path: Path, stats: MixFigures) -> None:
    """Write the page in one step."""
    replace_file(path, page(stats).encode())


def page(stats: MixFigures) -> Html:
    """The whole page."""
    found = stats.duplicates
    sections = [*map(_stage, stats.stages), *([_duplicates(found)] if found else [])]
    return document(Page(f"Mixture: {stats.name}", stats.name, _header(stats), sections))


def _header(stats: MixFigures) -> Html:
    rows = [
        [
            untrusted(found.name), f"{found.samples:,}", f"{found.shards:,}", f"{found.bytes / 1e6:,.1f}",
            tag("code", found.hash[:16]),
        ]
        for found in stats.datasets
    ]  # fmt: skip
    datasets = table(["dataset", "samples", "shards", "MB", "hash"], rows, ".numbers")
    return header("Mixture", stats.name, (), datasets)


def _stage(stage: StageMix) -> Section:
    facts = NAMES[stage.stage]
    if stage.stage is not None:
        facts += f", {stage.steps:,} steps at {stage.train_resolution} pixels, sequences of {stage.length:,}"
    return section(
        f"stage-{stage.name.replace(' ', '-')}",
        stage.name,
        facts,
        _preflight(stage.preflight) if stage.preflight else "",
        _paper(stage),
        _parts(stage),
        _cells(stage),
        _heat("Images by shorter side, in pixels", RESOLUTIONS, stage.resolutions),
        _heat("Samples by characters", LENGTHS, stage.lengths),
    )


def _preflight(check: Preflight) -> Html:
    lines = [tag("li.bad", line) for line in check.problems] + [tag("li.warning", line) for line in check.notes]
    lines = lines or [tag("li.good", "no problem found")]
    return tag(
        "div", tag("h3", f"Preflight: {plural(check.world, 'rank')}"), tag("ul.checks", *lines),
        table(["of a step", ""], map(list, preflight_rows(check)), ".numbers"),
    )  # fmt: skip


def _paper(stage: StageMix) -> Html:
    """Shares as bars, with the paper's as marks across them."""
    paper, charts = stage.paper, []
    if stage.stage in (None, "multitask"):
        tasks = [_bar(row.name or row.task, row.share, row.paper) for row in paper.tasks]
        charts.append(bar_chart("Samples by task compared with Table 3", tasks))
    if stage.stage in (None, "pretrain") and paper.languages:
        sources = [_bar(row.name or row.source, row.share, row.paper) for row in paper.sources]
        languages = [_bar(row.language, row.share, row.paper) for row in paper.languages]
        captions = bar_chart("Captions by source compared with Table 2", sources)
        charts.append(tag("div", captions, bar_chart("Captions by language", languages)))
    if not charts:
        return Html()
    return join([reference_legend("share here", "the paper's share"), tag("div.pair", *charts)])


def _bar(name: str, share: float, paper: float | None) -> Bar:
    return Bar(name, share, percent(share), paper, "" if paper is None else percent(paper))


def _parts(stage: StageMix) -> Html:
    head = ["part", "samples", "images", "tokens", "tokens of one", "epochs", "seen", "share", "share of tokens"]
    rows = [
        [
            untrusted(part.part), count(part.samples), count(part.images), count(part.tokens),
            f"{part.tokens / max(1, part.samples):,.0f}", times(part.epochs), count(part.seen),
            percent(part.share), percent(part.token_share),
        ]
        for part in stage.parts
    ]  # fmt: skip
    return tag("div", tag("h3", "Parts"), table(head, rows, ".numbers"), tag("p.soft", counted(stage)))


def _cells(stage: StageMix) -> Html:
    head = ["task", "source", "language", "samples", "images", "seen", "share of samples", "share of tokens"]
    rows = [
        [
            cell.task, untrusted(cell.source), cell.language, count(cell.samples), count(cell.images),
            count(cell.seen), _share(cell.share), _share(cell.token_share),
        ]
        for cell in stage.cells
    ]  # fmt: skip
    return tag("div", tag("h3", "By task, source and language"), table(head, rows))


def _share(share: float) -> Html:
    return share_cell(share, percent(share))


def _heat(title: str, names: tuple[str, ...], counts: dict[str, list[float]]) -> Html:
    """A row for each task; the shade of a cell is its share of the row."""
    rows = [[task, *map(_heat_share, _shares(numbers))] for task, numbers in counts.items()]
    return tag("div", tag("h3", title), table(["task", *names], rows)) if rows else Html()


def _shares(numbers: list[float]) -> list[float]:
    whole = sum(numbers) or 1
    return [number / whole for number in numbers]


def _heat_share(share: float) -> Html:
    return heat_cell(share, percent(share) if share else "")


def _duplicates(found: Duplicates) -> Section:
    inside = [
        [untrusted(row.dataset), *(f"{number:,}" for number in (row.images, row.distinct, row.repeated))]
        for row in found.inside
    ]
    parts = [
        tag("h3", "Inside a dataset"),
        table(["dataset", "images", "distinct", "used more than once"], inside, ".numbers"),
    ]
    if found.across:
        rows = [
            [
                " + ".join(row.datasets), f"{row.images:,}", " + ".join(f"{n:,}" for n in row.samples),
                untrusted("; ".join(" = ".join(pair) for pair in row.examples[:3]), 400),
            ]
            for row in found.across
        ]  # fmt: skip
        parts += [tag("h3", "In two datasets"), table(["datasets", "images", "samples", "for example"], rows, ".wrap")]
    else:
        parts.append(tag("p", "No image occurs in two datasets."))
    lead = "By the hash of the images' bytes. Grounding and dialogues use one picture in several samples by design."
    return section("duplicates", "Duplicates", lead, *parts)
