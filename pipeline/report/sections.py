"""The parts of the page, from the report's data. Every text passes through ``tag``, which escapes it."""

from collections.abc import Iterable
from typing import Any

from qvl.pipeline.html.elements import Html, count, join, percent, short, table, tag
from qvl.pipeline.report.cards import cluster_gallery, side_gallery
from qvl.pipeline.report.gallery import Card

Data = dict[str, Any]
Cards = dict[str, Card]


def section(name: str, title: str, says: str, *children: str) -> Html:
    """A part of the page: its heading, one line in plain words, its content."""
    return tag("section", tag("h2", title), tag("p.says", says), *children, attributes={"id": name})


def chart(name: str, alternative: str, height: int) -> Html:
    """The place of a chart; the script draws it when it comes into view."""
    attributes = {"data-chart": name, "role": "img", "aria-label": alternative, "style": f"height:{height}px"}
    return tag("div.chart", attributes=attributes)


def header(report: Data) -> Html:
    rows, kept = report["rows"], report["kept"]
    tiles = [
        ("rows in", count(rows)),
        ("samples kept", count(kept)),
        ("kept", percent(kept, rows)),
        ("shards", f"{count(report['shards'])} ({short(round(report['bytes'] / 1e6, 1))} MB)"),
    ]
    shown = [tag("div.tile", tag("b", value), tag("span", name)) for name, value in tiles]
    identity = tag("p.hash", "dataset hash ", tag("code", report["hash"]))
    return tag(
        "header", tag("p.kind", "Curation report"), tag("h1", report["name"]), tag("div.tiles", *shown), identity
    )


def funnel(report: Data) -> Html:
    data = report["funnel"]
    sources, steps = data["sources"], data["steps"]

    def line(name: str, left: dict[str, int], dropped: dict[str, int] | None) -> list[str]:
        cells = [count(sum(dropped.values())) if dropped and sum(dropped.values()) else "", count(sum(left.values()))]
        return [name, *cells, *(_left(left[source], dropped[source] if dropped else 0) for source in sources)]

    body = [
        line("rows in", data["rows"], None),
        *(line(step["reason"], step["left"], step["dropped"]) for step in steps),
    ]
    total_in, total = sum(data["rows"].values()), sum(data["kept"].values())
    shares = [percent(data["kept"][source], data["rows"][source]) for source in sources]
    body.append(["kept", "", percent(total, total_in), *shares])
    head = ["after", "dropped here", "rows left", *sources]
    says = (
        "How many rows are left after each reason. A row is dropped for the first reason that applies, in this order."
    )
    picture = chart("funnel", "Rows left after each reason, stacked by source", 60 + 25 * (len(steps) + 1))
    return section("funnel", "Funnel by source", says, picture, table(head, body, ".numbers.last"))


def _left(left: int, dropped: int) -> Html:
    lost = tag("span.lost", f"−{count(dropped)} ") if dropped else Html()
    return join([lost, count(left)])


def against_paper(report: Data) -> Html:
    data = report["table2"]
    head = ["source", "original", "cleaned", "remaining", "paper's dataset", "original", "cleaned", "remaining"]

    def line(name: str, row: Data) -> list[str]:
        paper = row["paper"]
        ours = [count(row["original"]), count(row["cleaned"]), _bar(row["remaining"])]
        if paper is None:
            return [name, *ours, "–", "", "", ""]
        return [
            name,
            *ours,
            paper["dataset"],
            _large(paper["original"]),
            _large(paper["cleaned"]),
            _bar(paper["remaining"]),
        ]

    body = [*(line(row["source"], row) for row in data["rows"]), line("total", data["total"])]
    says = "What our cleaning leaves, beside Table 2 of the Qwen-VL paper (stage 1: 5B pairs before, 1.4B after, 28%)."
    named = any(row["paper"] for row in data["rows"])
    note = "" if named else "This recipe names no row of Table 2 for its sources; only the paper's total is shown."
    return section(
        "table2", "Beside the paper's Table 2", says, tag("p.note", note), table(head, body, ".numbers.last")
    )


def _large(number: int) -> str:
    """Rows as the paper writes them: 1.4B, 280M, 0.8M."""
    return f"{short(number / 1e9)}B" if number >= 1e9 else f"{short(number / 1e6)}M"


def _bar(share: float | None) -> Html:
    """A percentage with a bar as long as the share."""
    if share is None:
        return tag("span", "–")
    return tag("span.bar", f"{share:.1%}", attributes={"style": f"--share:{min(1.0, share):.4f}"})


def mix(report: Data) -> Html:
    dimensions = report["mix"]["dimensions"]
    charts = []
    for name, labels in dimensions.items():
        drawn = chart(f"mix:{name}", f"Share of rows by {name}, before and after", 80 + 26 * len(labels))
        charts.append(tag("div", tag("h3", name.capitalize()), drawn))
    pick = join(
        [
            _select("rows", "rows", dimensions, "language"),
            _select("columns", "columns", dimensions, "source"),
            _select("cells", "show", ["kept, % of rows in", "share after, %", "rows before", "rows after"], None),
        ]
    )
    cross = tag("div.scroll", tag("table.numbers.heat"), attributes={"id": "cross", "tabindex": "0"})
    says = "What the data is made of: each share of all rows in, and of all rows kept."
    crossed = tag("p.says", "Any two of these, crossed; darker is more.")
    return section(
        "mix", "Mix before and after", says, tag("div.pair", *charts), tag("h3", "One against another"), crossed,
        tag("div.controls", pick, attributes={"id": "cross-controls"}), cross,
    )  # fmt: skip


def _select(name: str, label: str, options: Iterable[str], chosen: str | None) -> Html:
    marked = (tag("option", each, attributes={"selected": "" if each == chosen else None}) for each in options)
    return tag("label", f"{label} ", tag("select", *marked, attributes={"name": name}))


def filter_part(number: int, data: Data, report: Data, cards: Cards) -> Html:
    """One filter: rules, losses, histogram with sliders, galleries."""
    word = data["word"]
    readable, failed, dropped = (sum(data[name].values()) for name in ("readable", "failed", "dropped"))
    facts = join(
        [
            tag("b", count(failed)), f" of {count(readable)} readable rows fail this rule; for ", tag("b", count(dropped)),
            " of them it is the reason in the ledger",
            " (the others failed an earlier rule too)." if failed > dropped else ".",
        ]
    )  # fmt: skip
    drawn = [_filter_chart(f"filter:{number}:{i}", each) for i, each in enumerate(data["charts"])]
    return tag(
        "article", tag("h3", word.replace("_", " ").capitalize(), " ", tag("code", word)), tag("p.says", data["about"]),
        tag("p.rules", *_rules(data["rules"], len(report["funnel"]["sources"]))), tag("p", facts), *drawn,
        *(side_gallery(part, data, cards) for part in data["gallery"]), attributes={"id": f"filter-{word}"},
    )  # fmt: skip


def _rules(rules: dict[str, dict[str, Any]], sources: int) -> list[Html]:
    """The recipe's values; once where all sources share them."""

    def text(rule: dict[str, Any]) -> str:
        pairs = (f"{k} {', '.join(v) if isinstance(v, list) else short(v)}" for k, v in rule.items())
        return " · ".join(pairs) or "on"

    texts = {source: text(rule) for source, rule in rules.items()}
    if len(set(texts.values())) == 1:
        where = "all sources" if len(texts) == sources else ", ".join(texts)
        return [tag("code", next(iter(texts.values()))), tag("span", f" {where}")]
    return [tag("span.rule", tag("code", text), f" {source}") for source, text in texts.items()]


def _filter_chart(name: str, data: Data) -> Html:
    if data["kind"] == "words":
        says = "Rows by value, stacked by source; ✓ marks the values that pass, ✗ those that are dropped."
        return join([tag("p.says", says), chart(name, says, 70 + 24 * len(data["values"]))])
    scale = "" if data["integer"] and len(data["edges"]) < 12 else " All bins are drawn equally wide."
    says = f"Rows by {data['label']}; the line is the recipe's threshold, grey is what it drops.{scale}"
    return join([tag("p.says", says), chart(name, says, 260), _sliders(name, data)])


def _sliders(name: str, data: Data) -> Html:
    """Sliders on the thresholds, and where the live kept share is written."""
    bounds = list(data["bounds"].values())
    rows = []
    for side, bound in enumerate(("minimum", "maximum")):
        if any(pair[side] is not None for pair in bounds):
            slide = {"type": "range", "min": "0", "max": str(len(data["edges"]) + 1), "step": "1", "name": bound}
            typed = {"type": "number", "step": "any", "name": f"{bound}-value"}
            box = tag("span.top", tag("span", bound), tag("input", attributes={**typed, "aria-label": bound}))
            rows.append(tag("label.slider", box, tag("input", attributes={**slide, "aria-label": f"{bound}, slider"})))
    sources = ["all sources", *data["bounds"]] if len(data["bounds"]) > 1 else []
    choice = _select("source", "source", sources, None) if sources else Html()
    log = tag("label", tag("input", attributes={"type": "checkbox", "name": "log"}), " log scale")
    reset = tag("button", "back to the recipe", attributes={"type": "button", "name": "reset"})
    live = tag("p.live", attributes={"aria-live": "polite"})
    return tag("form.sliders", *rows, live, tag("div.controls", choice, log, reset), attributes={"data-for": name})


def filters(report: Data, cards: Cards) -> Html:
    parts = [filter_part(number, data, report, cards) for number, data in enumerate(report["filters"])]
    says = (
        "Every rule that judged rows, with what it saw. Move a slider to see what another threshold would keep: the counts "
        "are exact at the edges of the bins and approximate inside a bin; duplicates are not searched again."
    )
    return section("filters", "Filters", says, *parts)


EQUAL = {
    "image": "the same image",
    "text": "the same text",
    "pair": "the same image and text",
    "look": "nearly the same look",
    "vector": "nearly the same vector of CLIP",
}


def duplicates(report: Data, cards: Cards) -> Html:
    parts = []
    for number, rule in enumerate(report["duplicates"]):
        dropped, clusters = _many(rule["dropped"], "row"), _many(rule["clusters"], "cluster")
        about = f"{dropped} dropped, in {clusters} of rows with {EQUAL[rule['equal']]}"
        kept = "; one row of each is kept." if rule["allowed"] == 1 else f"; {rule['allowed']} rows of each are kept."
        inside: list[str] = [tag("h3", rule["word"].replace("_", " ").capitalize(), " ", tag("code", rule["word"]))]
        inside.append(tag("p.says", about, kept))
        if rule["clusters"]:
            inside.append(chart(f"duplicates:{number}", "Clusters by number of rows", 230))
            inside.extend(cluster_gallery(cluster, cards) for cluster in rule["largest"])
        parts.append(tag("article", *inside, attributes={"id": f"duplicates-{rule['word']}"}))
    says = "Rows that repeat another row, in clusters by size (kept rows included); the row that was kept stands first."
    return section("duplicates", "Duplicates", says, *(parts or [tag("p.note", "This recipe has no duplicate rule.")]))


def _many(number: int, thing: str) -> str:
    return f"{count(number)} {thing}{'' if number == 1 else 's'}"


def faults(report: Data) -> Html:
    sources, data = report["funnel"]["sources"], report["faults"]
    says = "Rows that could not be judged at all: pictures that were never downloaded, and rows that cannot be read."
    if not data:
        return section("faults", "Unreadable rows and failed downloads", says, tag("p.note", "None."))
    body = [
        [reason, count(sum(n.values())), *(count(n[s]) if s in n else "" for s in sources)]
        for reason, n in data.items()
    ]
    total = [sum(n.get(source, 0) for n in data.values()) for source in sources]
    body.append(["total", count(sum(total)), *(count(n) for n in total)])
    return section(
        "faults",
        "Unreadable rows and failed downloads",
        says,
        table(["reason", "rows", *sources], body, ".numbers.last"),
    )


def reproduce(report: Data) -> Html:
    data = report["reproduce"]
    marks = [[name, tag("code", value)] for name, value in data["fingerprints"].items()]
    inputs = [
        [each["name"], each["source"], count(each["rows"]), tag("code", each["fingerprint"])] for each in data["inputs"]
    ]
    more = data["units"] - len(inputs)
    says = "The same recipe over the same input files gives the same shards, on any machine and any number of workers."
    listed = "Input files" + (f" (the first {len(inputs)} of {count(data['units'])})" if more > 0 else "")
    return section(
        "reproduce", "How to reproduce", says,
        tag("pre", tag("code", data["command"])), table(["what", "fingerprint"], marks),
        tag("h3", "Recipe"), tag("p.says", "Paths are left out: they differ from machine to machine."),
        tag("pre", tag("code", data["recipe"])),
        tag("h3", listed), table(["file", "source", "rows", "fingerprint"], inputs),
    )  # fmt: skip
