"""The figures of a mixture as one HTML file that loads nothing: shares as bars, the paper's as marks beside them."""

from pathlib import Path

from qvl.pipeline.commands.tables import count
from qvl.pipeline.html.elements import Html, foreign, join, table, tag
from qvl.pipeline.storage.atomic import replace_file
from qvl.training.pages.mix.content import LENGTHS, RESOLUTIONS
from qvl.training.pages.mix.figures import Duplicates, MixFigures, Preflight, StageMix
from qvl.training.pages.mix.tables import counted, percent, preflight_rows, times

STYLE = Path(__file__).parent / "page.css"
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
    policy = "default-src 'none'; style-src 'unsafe-inline'"
    head = join(
        [
            tag("meta", attributes={"charset": "utf-8"}),
            tag("meta", attributes={"http-equiv": "Content-Security-Policy", "content": policy}),
            tag("meta", attributes={"name": "viewport", "content": "width=device-width, initial-scale=1"}),
            tag("title", f"Mixture: {stats.name}"),
            tag("style", Html(STYLE.read_text("utf-8"))),
        ]
    )
    found = stats.duplicates
    sections = [*(_stage(stage) for stage in stats.stages), *([_duplicates(found)] if found else [])]
    body = join([_header(stats), *sections])
    return Html(f'<!doctype html>\n<html lang="en"><head>{head}</head><body><main>{body}</main></body></html>\n')


def _header(stats: MixFigures) -> Html:
    rows = [
        [
            foreign(found.name), f"{found.samples:,}", f"{found.shards:,}", f"{found.bytes / 1e6:,.1f}",
            tag("code", found.hash[:16]),
        ]
        for found in stats.datasets
    ]  # fmt: skip
    stages = [tag("a", foreign(stage.name), attributes={"href": f"#{_id(stage)}"}) for stage in stats.stages]
    return tag(
        "header", tag("p.soft", "Mixture"), tag("h1", stats.name), tag("p", *join_with(stages, " · ")),
        table(["dataset", "samples", "shards", "MB", "hash"], rows),
    )  # fmt: skip


def join_with(parts: list[Html], between: str) -> list[str]:
    """Parts with a text between each two."""
    return [each for part in parts for each in (between, part)][1:]


def _id(stage: StageMix) -> str:
    return f"stage-{stage.name.replace(' ', '-')}"


def _stage(stage: StageMix) -> Html:
    facts = NAMES[stage.stage]
    if stage.stage is not None:
        facts += f", {stage.steps:,} steps at {stage.train_resolution} pixels, sequences of {stage.length:,}"
    return tag(
        "section",
        tag("h2", stage.name),
        tag("p.soft", facts),
        *([_preflight(stage.preflight)] if stage.preflight else []),
        *_paper(stage),
        _parts(stage),
        _cells(stage),
        _heat("Images by shorter side, in pixels", RESOLUTIONS, stage.resolutions),
        _heat("Samples by characters", LENGTHS, stage.lengths),
        attributes={"id": _id(stage)},
    )


def _preflight(check: Preflight) -> Html:
    lines = [tag("li.bad", line) for line in check.problems] + [tag("li.note", line) for line in check.notes]
    lines = lines or [tag("li.good", "nothing stands in the way")]
    return tag(
        "div", tag("h3", f"Preflight: {check.world:,} rank{'s' if check.world > 1 else ''}"),
        tag("ul", *lines), table(["of a step", ""], map(list, preflight_rows(check))),
    )  # fmt: skip


def _paper(stage: StageMix) -> list[Html]:
    """Shares as bars over the paper's marks."""
    paper, charts = stage.paper, []
    if stage.stage in (None, "multitask"):
        rows = [_bar(row.name or row.task, row.share, row.paper) for row in paper.tasks]
        charts.append(tag("div", tag("h3", "Samples by task, beside Table 3"), *rows))
    if stage.stage in (None, "pretrain") and paper.languages:
        sources = [_bar(row.name or row.source, row.share, row.paper) for row in paper.sources]
        languages = [_bar(row.language, row.share, row.paper) for row in paper.languages]
        charts.append(tag("div", tag("h3", "Captions, beside Table 2"), *sources, tag("p.gap", ""), *languages))
    legend = tag("p.soft", tag("span.key.here", ""), " here  ", tag("span.key.paper", ""), " the paper")
    return [tag("div.side", *charts), legend] if charts else []


def _bar(name: str, share: float, paper: float | None) -> Html:
    fill = tag("span.fill", attributes={"style": f"width:{100 * share:.2f}%"})
    mark = [] if paper is None else [tag("span.mark", attributes={"style": f"left:{100 * paper:.2f}%"})]
    said = [percent(share), tag("i", f" {percent(paper)}" if paper is not None else "")]
    return tag(
        "div.bar", tag("span.label", foreign(name, 40)), tag("span.track", fill, *mark), tag("span.number", *said)
    )


def _parts(stage: StageMix) -> Html:
    head = ["part", "samples", "images", "tokens", "tokens of one", "epochs", "seen", "share", "share of tokens"]
    rows = [
        [
            foreign(part.part), count(part.samples), count(part.images), count(part.tokens),
            f"{part.tokens / max(1, part.samples):,.0f}", times(part.epochs), count(part.seen),
            percent(part.share), percent(part.token_share),
        ]
        for part in stage.parts
    ]  # fmt: skip
    return tag("div", tag("h3", "Parts"), table(head, rows), tag("p.soft", counted(stage)))


def _cells(stage: StageMix) -> Html:
    head = ["task", "source", "language", "samples", "images", "seen", "share of samples", "share of tokens"]
    rows = [
        [
            cell.task, foreign(cell.source), cell.language, count(cell.samples), count(cell.images),
            count(cell.seen), _share(cell.share), _share(cell.token_share),
        ]
        for cell in stage.cells
    ]  # fmt: skip
    return tag("div", tag("h3", "By task, source and language"), table(head, rows, ".words"))


def _share(share: float) -> Html:
    return tag("span.share", percent(share), attributes={"style": f"--share:{share:.4f}"})


def _heat(title: str, names: tuple[str, ...], found: dict[str, list[float]]) -> Html:
    """A row for each task; a cell's shade is its share of the row."""
    rows = []
    for task, counts in found.items():
        whole = sum(counts) or 1
        cells = [
            tag(
                "span.heat",
                percent(number / whole) if number else "",
                attributes={"style": f"--heat:{number / whole:.3f}"},
            )
            for number in counts
        ]
        rows.append([task, *cells])
    if not rows:
        return Html()
    return tag("div", tag("h3", title), table(["task", *names], rows, ".tight"))


def _duplicates(found: Duplicates) -> Html:
    inside = [
        [foreign(row.dataset), *(f"{number:,}" for number in (row.images, row.distinct, row.repeated))]
        for row in found.inside
    ]
    parts = [tag("h3", "Inside a dataset"), table(["dataset", "images", "distinct", "shown more than once"], inside)]
    if found.across:
        rows = [
            [
                " + ".join(row.datasets), f"{row.images:,}", " + ".join(f"{n:,}" for n in row.samples),
                foreign("; ".join(" = ".join(pair) for pair in row.examples[:3]), 400),
            ]
            for row in found.across
        ]  # fmt: skip
        parts += [tag("h3", "In two datasets"), table(["datasets", "images", "samples", "for example"], rows, ".wrap")]
    else:
        parts.append(tag("p", "No image is in two datasets."))
    says = "By the hash of the images' bytes. Grounding and dialogues show one picture in several samples by design."
    return tag("section", tag("h2", "Duplicates"), tag("p.soft", says), *parts, attributes={"id": "duplicates"})
