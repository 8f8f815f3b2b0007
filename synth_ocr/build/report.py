"""Writes ``OUT/report.html`` and ``OUT/report.json``: verdicts, lines, text, and pages with their quads."""

from collections import Counter
from itertools import pairwise
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc

from qvl.pipeline.base.errors import ContractError
from qvl.pipeline.base.verdicts import KEEP
from qvl.pipeline.commit.layout import Layout
from qvl.pipeline.commit.manifests import read_manifest
from qvl.pipeline.html.charts import counted_bars
from qvl.pipeline.html.document import Page, document
from qvl.pipeline.html.elements import Html, count, percent, table, tag, untrusted
from qvl.pipeline.html.pictures import framed
from qvl.pipeline.html.sections import Section, Tile, dataset_hash, header, section
from qvl.pipeline.storage.arrow_files import read_parquet
from qvl.pipeline.storage.atomic import replace_file
from qvl.pipeline.storage.paths import AnyPath
from qvl.synth_ocr.page.gallery import Shown, overlay, picked
from qvl.synth_ocr.page.reading import READING

EDGES: dict[str, list[float]] = {
    "heights": [0, 6, 8, 10, 13, 16, 20, 26, 34, 50, 80],
    "contrasts": [0, 24, 40, 60, 80, 100, 130, 160, 200],
    "ink_shares": [0, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.5, 0.6],
    "agreements": [0, 0.5, 0.7, 0.8, 0.9, 0.95, 0.99],
    "angles": [-180, -91, -89, -45, -15, -5, -1, 1, 5, 15, 45, 89, 91],
}
TITLES = {
    "heights": "Line height (pixels of ink)",
    "contrasts": "Contrast (mean change by the text, 0 to 255)",
    "ink_shares": "Ink in the box",
    "agreements": "Agreement of expected and rendered ink (IoU)",
    "angles": "Angle (degrees)",
}


def write_report(out: AnyPath) -> AnyPath:
    """Write the report of a finished build and return the page's path. Raises ContractError if it is not finished."""
    layout = Layout(out.resolve())
    dataset = read_manifest(layout.dataset)
    if dataset is None:
        raise ContractError(f"{out}: no finished build here; `qvl ocr build` creates one")
    ledger = pa.concat_tables(
        [read_parquet(layout.ledger(unit)) for unit in dataset["lineage"]["units"]], promote_options="permissive"
    )
    pages = picked(layout, dataset)
    facts = figures(ledger)
    readings = read_manifest(layout.out / READING)
    if readings is not None and readings["of"]["dataset"] != dataset["hash"]:
        readings = None  # they are of an earlier build's pages
    sections = [
        _funnel(dataset), _measures(ledger), *_text(ledger, facts), _reading(readings), _gallery(pages),
    ]  # fmt: skip
    page = Page(f"{dataset['name']}: OCR pages", dataset["name"], _header(dataset, ledger), sections)
    replace_file(layout.report, document(page).encode())
    replace_file(layout.report.with_suffix(".json"), orjson.dumps(facts, option=orjson.OPT_INDENT_2))
    return layout.report


def gb2312_level_one() -> frozenset[str]:
    """The 3,755 most common simplified characters: rows 16 to 55 of GB 2312."""
    codes = (bytes((row + 0xA0, cell + 0xA0)) for row in range(16, 56) for cell in range(1, 95))
    return frozenset("".join(code.decode("gb2312", "ignore") for code in codes))


def figures(ledger: pa.Table) -> dict[str, Any]:
    """The content of ``report.json``, over all pages."""
    common = gb2312_level_one()
    han = {c for each in ledger["han"].to_pylist() for c in each or ""}
    kept = ledger.filter(pc.equal(ledger["verdict"].cast(pa.string()), KEEP))
    excluded, asked, lacking = Counter[str](), Counter[str](), Counter[str]()
    for each in kept["notes"].to_pylist():
        notes = orjson.loads(each or "{}")
        asked.update(notes.get("asked", {}))
        lacking.update(notes.get("lacking", {}))
        for hit in notes.get("excluded_backgrounds", ()):
            _, verdict, benchmarks = hit.rsplit(" ", 2)
            excluded[f"{verdict} {benchmarks}"] += 1
    fonts: Counter[str] = Counter(f for each in kept["fonts"].to_pylist() for f in each or ())
    return {
        "lines": int(sum(v or 0 for v in kept["lines"].to_pylist())),
        "characters": int(sum(v or 0 for v in kept["characters"].to_pylist())),
        "scripts": dict(_total(kept["scripts"]).most_common()),
        "lost_lines": dict(_total(kept["lost"]).most_common()),
        "fonts": dict(fonts.most_common(60)),
        "fonts_used": len(fonts),
        "lacking": {face: [n, asked[face]] for face, n in lacking.most_common(60)},
        "excluded_backgrounds": dict(excluded.most_common()),
        "han_seen": len(han),
        "gb2312_level_1_seen": len(han & common),
        "gb2312_level_1_share": round(len(han & common) / len(common), 4),
    }


def _total(column: Any) -> Counter[str]:
    """Sum of JSON counts."""
    total: Counter[str] = Counter()
    for each in column.to_pylist():
        total.update(orjson.loads(each) if each else {})
    return total


def histogram(values: np.ndarray, edges: list[float]) -> list[tuple[str, int]]:
    """Counts between edges; the last bin is open."""
    bins = np.searchsorted(edges, values, side="right") - 1
    counts = np.bincount(np.clip(bins, 0, len(edges) - 1), minlength=len(edges))
    ends = [f"{edge:g}" for edge in edges]
    names = [f"{low} to {high}" for low, high in pairwise(ends)] + [f"from {ends[-1]}"]
    return list(zip(names, counts.tolist(), strict=True))


def _header(dataset: dict[str, Any], ledger: pa.Table) -> Html:
    tiles = [
        Tile(count(ledger.num_rows), "pages rendered"),
        Tile(count(dataset["samples"]), "pages kept"),
        Tile(count(len(dataset["shards"])), "shards"),
    ]
    return header("OCR report", dataset["name"], tiles, dataset_hash(dataset["hash"]))


def _funnel(dataset: dict[str, Any]) -> Section:
    verdicts = dataset["lineage"]["verdicts"]
    reasons = sorted({reason for counts in verdicts.values() for reason in counts}, key=lambda r: (r != KEEP, r))
    rows = [[reason, *(count(counts.get(reason, 0)) for counts in verdicts.values())] for reason in reasons]
    lead = "Every page has exactly one verdict."
    return section("verdicts", "Verdicts", lead, table(["verdict", *verdicts], rows, ".numbers"))


def _measures(ledger: pa.Table) -> Section:
    """A histogram of each measure for each source."""
    parts: list[Html] = []
    sources = sorted(set(ledger["source"].cast(pa.string()).to_pylist()))
    for column, edges in EDGES.items():
        charts = [_bars(ledger, source, column, edges) for source in sources]
        parts += [tag("h3", TITLES[column]), tag("div.grid", *charts)]
    return section(
        "measures", "Lines as rendered", "Measured on the pixels of every line, by source.", *parts, link="Lines"
    )


def _bars(ledger: pa.Table, source: str, column: str, edges: list[float]) -> Html:
    rows = ledger.filter(pc.equal(ledger["source"].cast(pa.string()), source))
    nested: list[list[float] | None] = rows[column].to_pylist()
    values = np.array([value for each in nested for value in each or ()])
    if not len(values):
        return Html()
    counts = histogram(values, edges)
    return counted_bars(f"{source} ({count(len(values))} lines)", counts, [percent(n, len(values)) for _, n in counts])


def _text(ledger: pa.Table, facts: dict[str, Any]) -> list[Section]:
    """What the pages hold, the fonts that they are set in, and what is missing from labels."""
    lost = [[reason, count(n)] for reason, n in facts["lost_lines"].items()]
    fonts = [[untrusted(name), count(n)] for name, n in facts["fonts"].items()]
    lacking = [[untrusted(face), count(n), percent(n, asked)] for face, (n, asked) in facts["lacking"].items()]
    parts: list[Html] = [table(["", ""], _text_rows(ledger, facts), ".numbers")]
    if lost:
        parts += [tag("h3", "Words and lines left out of labels"), table(["reason", "count"], lost, ".numbers")]
    of_fonts: list[Html] = [table(["font", "pages"], fonts, ".numbers")] if fonts else []
    if lacking:
        head = ["font", "lines that began with such a word", "share"]
        of_fonts += [tag("h3", "Scenes: words that the wanted font cannot show"), table(head, lacking, ".numbers")]
    return [section("text", "Text", "", *parts), section("fonts", "Fonts, by pages", "", *of_fonts, link="Fonts")]


def _text_rows(ledger: pa.Table, facts: dict[str, Any]) -> list[list[str]]:
    coverage = f"{facts['gb2312_level_1_share']:.1%} of GB 2312 level 1 ({facts['gb2312_level_1_seen']:,} characters)"
    sizes = zip(*(ledger[name].to_pylist() for name in ("characters", "width", "height")), strict=True)
    density = [characters / (width * height) * 1e6 for characters, width, height in sizes if width]
    return [
        ["lines kept", count(facts["lines"])],
        ["characters kept", count(facts["characters"])],
        ["characters per megapixel, median", f"{np.median(density):,.0f}" if density else "–"],
        ["different Chinese characters", count(facts["han_seen"])],
        ["common Chinese characters used", coverage],
        ["fonts used", count(facts["fonts_used"])],
        *([f"characters: {name}", count(n)] for name, n in facts["scripts"].items()),
        *([f"backgrounds rejected: {name}", count(n)] for name, n in facts["excluded_backgrounds"].items()),
    ]


def _reading(readings: dict[str, Any] | None) -> Section:
    """Tesseract's character error rates."""
    if not readings:
        note = tag("p.note", "No line of this build was read back.")
        return section("reading", "Read back by Tesseract", "", note, link="Read back")
    rows = [
        [name, f"{each['lines']:,}", f"{each['cer']:.3f}", f"{each['median']:.3f}"]
        for name, each in readings["groups"].items()
    ]
    worst = [[w["source"], f"{w['cer']:.2f}", untrusted(w["label"]), untrusted(w["read"])] for w in readings["worst"]]
    return section(
        "reading", "Read back by Tesseract", readings["note"],
        table(["group", "lines", "character error rate", "median line"], rows, ".numbers"), tag("h3", "Worst lines"),
        table(["source", "error", "label", "read"], worst), link="Read back",
    )  # fmt: skip


def _gallery(pages: list[Shown]) -> Section:
    cards = []
    for page in pages:
        caption = tag("figcaption", f"{page.source}, {page.language}, {page.key}: {len(page.lines)} lines")
        cards.append(tag("figure.card", framed(overlay(page), "JPEG", 80), caption))
    lead = "Red: lines, starting at the thick corner in reading direction. Blue: words."
    return section("pages", "Pages", lead, tag("div.cards.wide", *cards))
