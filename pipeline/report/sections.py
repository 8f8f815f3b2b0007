"""The sections of the page, from the report's records. All text passes through ``tag``, which escapes it."""

from collections.abc import Iterable, Mapping

import orjson
from pydantic import JsonValue

from qvl.pipeline.html.charts import (
    BeforeAfter,
    Columns,
    Histogram,
    Series,
    StackedBars,
    chart,
    share_cell,
)  # fmt: skip
from qvl.pipeline.html.elements import Html, count, join, percent, plural, short, table, tag
from qvl.pipeline.html.sections import Section, Tile, dataset_hash, header, section
from qvl.pipeline.report.cards import cluster_gallery, side_gallery
from qvl.pipeline.report.gallery import Card
from qvl.pipeline.report.records import (
    CountBySource,
    DuplicateReport,
    FilterReport,
    Funnel,
    Mix,
    NumberChart,
    PaperRow,
    Report,
    SetChart,
    SourceRow,
    TotalRow,
)  # fmt: skip

Cards = Mapping[str, Card]
EQUAL = {
    "image": "the same image",
    "text": "the same text",
    "pair": "the same image and text",
    "look": "images that look nearly the same",
    "vector": "nearly the same CLIP vector",
}


def top(report: Report) -> Html:
    """The header of the page."""
    tiles = [
        Tile(count(report.rows), "rows in"),
        Tile(count(report.kept), "samples kept"),
        Tile(percent(report.kept, report.rows), "kept"),
        Tile(f"{count(report.shards)} ({short(round(report.bytes / 1e6, 1))} MB)", "shards"),
    ]
    return header("Curation report", report.name, tiles, dataset_hash(report.hash))


def funnel(data: Funnel) -> Section:
    """Rows left after each reason, as a chart and as a table."""
    rows = [["rows in", "", count(sum(data.rows.values())), *(count(data.rows[source]) for source in data.sources)]]
    for step in data.steps:
        lost = sum(step.dropped.values())
        cells = [_left(step.left[source], step.dropped[source]) for source in data.sources]
        rows.append([step.reason, count(lost) if lost else "", count(sum(step.left.values())), *cells])
    shares = [percent(data.kept[source], data.rows[source]) for source in data.sources]
    rows.append(["kept", "", percent(sum(data.kept.values()), sum(data.rows.values())), *shares])
    lead = (
        "How many rows are left after each reason. A row is dropped for the first reason that applies, in this order."
    )
    labels = ["rows in", *(step.reason.replace("_", " ") for step in data.steps)]
    series = [
        Series(source, [data.rows[source], *(step.left[source] for step in data.steps)], i)
        for i, source in enumerate(data.sources)
    ]
    bars = chart("funnel", "Rows left after each reason, stacked by source", 35 + 25 * (len(labels) + 1),
                 StackedBars(labels, series))  # fmt: skip
    head = ["after", "dropped here", "rows left", *data.sources]
    return section("funnel", "Funnel by source", lead, bars, table(head, rows, ".numbers.last.full"), link="Funnel")


def _left(left: int, dropped: int) -> Html:
    lost = tag("span.lost", f"−{count(dropped)} ") if dropped else Html()
    return join([lost, count(left)])


def against_paper(report: Report) -> Section:
    """Our figures and the paper's Table 2."""
    rows = [[row.source, *_paper_cells(row)] for row in report.table2.rows]
    rows.append(["total", *_paper_cells(report.table2.total)])
    head = ["source", "original", "cleaned", "remaining", "paper's dataset", "original", "cleaned", "remaining"]
    lead = "What our cleaning leaves compared with Table 2 of the Qwen-VL paper (stage 1: 5B pairs before, 1.4B after, 28%)."
    named = any(row.paper for row in report.table2.rows)
    note = "" if named else "This recipe names no row of Table 2 for its sources; only the paper's total is shown."
    grid = table(head, rows, ".numbers.last.full")
    return section("table2", "Beside the paper's Table 2", lead, tag("p.note", note), grid, link="Table 2")


def _paper_cells(row: SourceRow | TotalRow) -> list[str]:
    ours = [count(row.original), count(row.cleaned), _share(row.remaining)]
    return [*ours, *(_of_paper(row.paper) if row.paper else ["–", "", "", ""])]


def _of_paper(paper: PaperRow) -> list[str]:
    return [paper.dataset, _large(paper.original), _large(paper.cleaned), _share(paper.remaining)]


def _large(number: int) -> str:
    """Rows as the paper writes them: 1.4B, 280M, 0.8M."""
    return f"{short(number / 1e9)}B" if number >= 1e9 else f"{short(number / 1e6)}M"


def _share(share: float | None) -> Html:
    return share_cell(share, "" if share is None else f"{share:.1%}")


def mix(data: Mix) -> Section:
    """Shares before and after by each dimension, and any two dimensions crossed."""
    charts = []
    for axis, (name, labels) in enumerate(data.dimensions.items()):
        before, after = [0] * len(labels), [0] * len(labels)
        for cell in data.cells:
            before[cell[axis]] += cell[-2]
            after[cell[axis]] += cell[-1]
        bars = chart(f"mix:{name}", f"Share of rows by {name}, before and after", 80 + 26 * len(labels),
                     BeforeAfter(labels, before, after))  # fmt: skip
        charts.append(tag("div", tag("h3", name.capitalize()), bars))
    lead = "What the data consists of: the share of all rows in, and of all kept rows."
    crossed = tag("p.lead", "Any two of these dimensions crossed; darker cells hold more.")
    attributes = {"id": "cross", "tabindex": "0", "data-mix": orjson.dumps(data).decode()}
    return section(
        "mix", "Mix before and after", lead, tag("div.pair", *charts), tag("h3", "Crossed"), crossed,
        _cross_controls(data), tag("div.scroll", attributes=attributes), link="Mix",
    )  # fmt: skip


def _cross_controls(data: Mix) -> Html:
    cells = ["kept, % of rows in", "share after, %", "rows before", "rows after"]
    selects = [
        _select("rows", "rows", data.dimensions, "language"),
        _select("columns", "columns", data.dimensions, "source"),
        _select("cells", "show", cells, None),
    ]
    return tag("div.controls", *selects, attributes={"id": "cross-controls"})


def _select(name: str, label: str, options: Iterable[str], chosen: str | None) -> Html:
    listed = (tag("option", each, attributes={"selected": "" if each == chosen else None}) for each in options)
    return tag("label", f"{label} ", tag("select", *listed, attributes={"name": name}))


def filters(report: Report, cards: Cards) -> Section:
    """Every filter with its settings, losses, histograms and nearest rows."""
    parts = [_filter(number, data, report.funnel, cards) for number, data in enumerate(report.filters)]
    lead = (
        "Every filter, with what it judged. Move a slider to see what another threshold would keep: the counts are exact "
        "at the edges of the bins and approximate inside a bin; duplicates are not searched again."
    )
    entries = [(f"filter-{each.word}", each.word.replace("_", " ")) for each in report.filters]
    return section("filters", "Filters", lead, *parts, parts=entries)


def _filter(number: int, data: FilterReport, rows: Funnel, cards: Cards) -> Html:
    readable, failed, dropped = (sum(each.values()) for each in (data.readable, data.failed, data.dropped))
    facts = join(
        [
            tag("b", count(failed)), f" of {count(readable)} readable rows fail this rule; for ", tag("b", count(dropped)),
            " of them it is the reason in the ledger",
            " (the others failed an earlier rule too)." if failed > dropped else ".",
        ]
    )  # fmt: skip
    charts = [_filter_chart(f"filter:{number}:{i}", each, rows) for i, each in enumerate(data.charts)]
    return tag(
        "article", tag("h3", data.word.replace("_", " ").capitalize(), " ", tag("code", data.word)),
        tag("p.lead", data.about), tag("p.rules", *_rules(data.rules, len(rows.sources))), tag("p", facts), *charts,
        *(side_gallery(part, data, cards) for part in data.gallery), attributes={"id": f"filter-{data.word}"},
    )  # fmt: skip


def _rules(rules: dict[str, dict[str, JsonValue]], sources: int) -> list[Html]:
    """The filter's settings; written once where all sources share them."""
    texts = {source: " · ".join(map(_setting, rule.items())) or "on" for source, rule in rules.items()}
    if len(set(texts.values())) == 1:
        judged = "all sources" if len(texts) == sources else ", ".join(texts)
        return [tag("code", next(iter(texts.values()))), tag("span", f" {judged}")]
    return [tag("span", tag("code", text), f" {source}") for source, text in texts.items()]


def _setting(setting: tuple[str, JsonValue]) -> str:
    name, value = setting
    if isinstance(value, list):
        return f"{name} {', '.join(map(str, value))}"
    return f"{name} {short(value) if isinstance(value, int | float) else value}"


def _filter_chart(name: str, data: NumberChart | SetChart, rows: Funnel) -> Html:
    if isinstance(data, SetChart):
        lead = "Rows by value, stacked by source; ✓ marks the values that pass, ✗ those that are dropped."
        return join([tag("p.lead", lead), chart(name, lead, 70 + 24 * len(data.values), _value_bars(data, rows))])
    scale = "" if data.integer and len(data.edges) < 12 else " All bins are drawn equally wide."
    lead = f"Rows by {data.label}. The line is the recipe's threshold; the shaded side is dropped.{scale}"
    content = Histogram(data.label, data.integer, data.closed, data.edges, data.bounds, data.every, data.alone,
                        data.unmeasured, rows.rows)  # fmt: skip
    return join([tag("p.lead", lead), chart(name, lead, 260, content), _sliders(name, data)])


def _value_bars(data: SetChart, rows: Funnel) -> StackedBars:
    labels = [f"{'✓' if each.allowed else '✗'} {each.value}" for each in data.values]
    series = [
        Series(source, [each.rows.get(source, 0) for each in data.values], i)
        for i, source in enumerate(rows.sources)
        if any(each.rows.get(source) for each in data.values)
    ]
    return StackedBars(labels, series)


def _sliders(name: str, data: NumberChart) -> Html:
    """Sliders on the thresholds, and a line that says what they keep."""
    bounds = list(data.bounds.values())
    rows = []
    for side, bound in enumerate(("minimum", "maximum")):
        if any(pair[side] is not None for pair in bounds):
            slide = {"type": "range", "min": "0", "max": str(len(data.edges) + 1), "step": "1", "name": bound}
            typed = {"type": "number", "step": "any", "name": f"{bound}-value"}
            box = tag("span.top", tag("span", bound), tag("input", attributes={**typed, "aria-label": bound}))
            rows.append(tag("label.slider", box, tag("input", attributes={**slide, "aria-label": f"{bound}, slider"})))
    sources = ["all sources", *data.bounds] if len(data.bounds) > 1 else []
    choice = _select("source", "source", sources, None) if sources else Html()
    log = tag("label", tag("input", attributes={"type": "checkbox", "name": "log"}), " log scale")
    reset = tag("button", "back to the recipe", attributes={"type": "button", "name": "reset"})
    live = tag("p.live", attributes={"aria-live": "polite"})
    return tag("form.sliders", *rows, live, tag("div.controls", choice, log, reset), attributes={"data-for": name})


def duplicates(rules: list[DuplicateReport], cards: Cards) -> Section:
    """Every duplicate rule with its clusters."""
    parts = [_duplicates(number, rule, cards) for number, rule in enumerate(rules)]
    lead = "Rows that repeat another row, in clusters by size (kept rows included). The kept row comes first."
    return section("duplicates", "Duplicates", lead, *(parts or [tag("p.note", "This recipe has no duplicate rule.")]))


def _duplicates(number: int, rule: DuplicateReport, cards: Cards) -> Html:
    found = (
        f"{plural(rule.dropped, 'row')} dropped, in {plural(rule.clusters, 'cluster')} of rows with {EQUAL[rule.equal]}"
    )
    kept = "; one row of each is kept." if rule.allowed == 1 else f"; {rule.allowed} rows of each are kept."
    inside: list[str] = [tag("h3", rule.word.replace("_", " ").capitalize(), " ", tag("code", rule.word))]
    inside.append(tag("p.lead", found, kept))
    if rule.clusters:
        labels = [_sizes(size["from"], size["to"]) for size in rule.sizes]
        content = Columns(labels, [size["clusters"] for size in rule.sizes], "rows in the cluster", "clusters")
        inside.append(chart(f"duplicates:{number}", "Clusters by number of rows", 230, content))
        inside.extend(cluster_gallery(cluster, cards) for cluster in rule.largest)
    return tag("article", *inside, attributes={"id": f"duplicates-{rule.word}"})


def _sizes(smallest: int, largest: int) -> str:
    return str(smallest) if smallest == largest else f"{count(smallest)}–{count(largest)}"


def faults(data: dict[str, CountBySource], sources: list[str]) -> Section:
    """Rows that could not be judged, by reason and source."""
    lead = "Rows that could not be judged at all: pictures that were never downloaded, and rows that cannot be read."
    title, link = "Unreadable rows and failed downloads", "Unreadable"
    if not data:
        return section("faults", title, lead, tag("p.note", "There are none."), link=link)
    rows = [
        [reason, count(sum(n.values())), *(count(n[s]) if s in n else "" for s in sources)]
        for reason, n in data.items()
    ]
    total = [sum(n.get(source, 0) for n in data.values()) for source in sources]
    rows.append(["total", count(sum(total)), *(count(n) for n in total)])
    return section("faults", title, lead, table(["reason", "rows", *sources], rows, ".numbers.last"), link=link)


def reproduce(report: Report) -> Section:
    """Command, fingerprints, recipe and input files."""
    data = report.reproduce
    fingerprints = {
        "dataset": data.fingerprints.dataset, "select": data.fingerprints.select, "scan": data.fingerprints.scan,
    }  # fmt: skip
    inputs = [[each.name, each.source, count(each.rows), tag("code", each.fingerprint)] for each in data.inputs]
    more = f" (the first {len(inputs)} of {count(data.units)})" if data.units > len(inputs) else ""
    lead = "The same recipe over the same input files gives the same shards, on any machine and any number of workers."
    return section(
        "reproduce", "How to reproduce", lead, tag("pre", tag("code", data.command)),
        table(["part", "fingerprint"], [[name, tag("code", value)] for name, value in fingerprints.items()]),
        tag("h3", "Recipe"), tag("p.lead", "Paths are left out because they differ between machines."),
        tag("pre", tag("code", data.recipe)),
        tag("h3", f"Input files{more}"), table(["file", "source", "rows", "fingerprint"], inputs), link="Reproduce",
    )  # fmt: skip
