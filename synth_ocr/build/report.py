"""``OUT/report.html``: what was made, what was dropped and why, and pages with their quads drawn."""

import base64
import io
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc

from qvl.pipeline.base.errors import ContractError
from qvl.pipeline.base.verdicts import KEEP
from qvl.pipeline.commit.layout import Layout
from qvl.pipeline.commit.manifests import read_manifest
from qvl.pipeline.html.elements import Html, count, foreign, join, percent, table, tag
from qvl.pipeline.storage.arrow_files import read_parquet
from qvl.pipeline.storage.atomic import replace_file
from qvl.pipeline.storage.paths import Place
from qvl.synth_ocr.page.gallery import Shown, overlay, picked
from qvl.synth_ocr.page.reading import READING

STYLE = Path(__file__).parent / "report.css"
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
    "agreements": "Agreement of promised and found ink (IoU)",
    "angles": "Angle (degrees)",
}


def write_report(out: Place) -> Place:
    """Write the report of a finished build; returns the page's path. Raises ContractError where none is finished."""
    layout = Layout(out.resolve())
    dataset = read_manifest(layout.dataset)
    if dataset is None:
        raise ContractError(f"{out}: there is no finished build here; `qvl ocr build` makes one")
    ledger = pa.concat_tables(
        [read_parquet(layout.ledger(unit)) for unit in dataset["lineage"]["units"]], promote_options="permissive"
    )
    pages = picked(layout, dataset)
    facts = figures(ledger)
    readings = read_manifest(layout.out / READING)
    if readings is not None and readings["of"]["dataset"] != dataset["hash"]:
        readings = None  # of pages that were made before
    parts = [_header(dataset, ledger), _funnel(dataset), _numbers(ledger), _words(ledger, facts)]
    parts += [_reading(readings)]
    parts += [_gallery(pages)]
    head = join([tag("meta", attributes={"charset": "utf-8"}), tag("title", f"{dataset['name']}: OCR pages"), _style()])
    page = f"<!doctype html>\n<html lang='en'><head>{head}</head><body>{join(parts)}</body></html>"
    replace_file(layout.report, page.encode())
    replace_file(layout.report.with_suffix(".json"), orjson.dumps(facts, option=orjson.OPT_INDENT_2))
    return layout.report


def gb2312_level_one() -> frozenset[str]:
    """The 3,755 most common simplified characters: rows 16 to 55 of GB 2312."""
    codes = (bytes((row + 0xA0, cell + 0xA0)) for row in range(16, 56) for cell in range(1, 95))
    return frozenset("".join(code.decode("gb2312", "ignore") for code in codes))


def figures(ledger: pa.Table) -> dict[str, Any]:
    """The report's numbers, over all pages."""
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
    """Counts between edges, with an open last bin."""
    places = np.searchsorted(edges, values, side="right") - 1
    counts = np.bincount(np.clip(places, 0, len(edges) - 1), minlength=len(edges))
    ends = [f"{edge:g}" for edge in edges]
    names = [f"{low} to {high}" for low, high in pairwise(ends)] + [f"from {ends[-1]}"]
    return list(zip(names, counts.tolist(), strict=True))


def _header(dataset: dict[str, Any], ledger: pa.Table) -> Html:
    kept = dataset["samples"]
    text = (
        f"{count(kept)} pages of {count(ledger.num_rows)} in {len(dataset['shards'])} shards; dataset {dataset['hash']}"
    )
    return tag("header", tag("h1", f"{dataset['name']}: OCR pages"), tag("p", text))


def _funnel(dataset: dict[str, Any]) -> Html:
    verdicts = dataset["lineage"]["verdicts"]
    reasons = sorted({reason for counts in verdicts.values() for reason in counts}, key=lambda r: (r != KEEP, r))
    rows = [[reason, *(count(counts.get(reason, 0)) for counts in verdicts.values())] for reason in reasons]
    return tag("section", tag("h2", "Verdicts"), table(["verdict", *verdicts], rows))


def _numbers(ledger: pa.Table) -> Html:
    """A histogram per measure, one column of bars per source."""
    parts: list[Html] = [tag("h2", "What the pixels say")]
    sources = sorted(set(ledger["source"].cast(pa.string()).to_pylist()))
    for column, edges in EDGES.items():
        charts: list[Html] = []
        for source in sources:
            rows = ledger.filter(pc.equal(ledger["source"].cast(pa.string()), source))
            nested: list[list[float] | None] = rows[column].to_pylist()
            values = np.array([value for each in nested for value in each or ()])
            if len(values):
                charts.append(_bars(source, histogram(values, edges), len(values)))
        parts += [tag("h3", TITLES[column]), tag("div.charts", *charts)]
    return tag("section", *parts)


def _bars(title: str, rows: list[tuple[str, int]], total: int) -> Html:
    most = max(n for _, n in rows) or 1
    bars = [
        tag("div.bar", tag("span.name", name), tag("span.fill", attributes={"style": f"width:{100 * n / most:.1f}px"}),
            tag("span.value", percent(n, total)))
        for name, n in rows
    ]  # fmt: skip
    return tag("div.chart", tag("h4", f"{title} ({count(total)} lines)"), *bars)


def _words(ledger: pa.Table, facts: dict[str, Any]) -> Html:
    coverage = f"{facts['gb2312_level_1_share']:.1%} of GB 2312 level 1 ({facts['gb2312_level_1_seen']:,} characters)"
    sizes = zip(*(ledger[name].to_pylist() for name in ("characters", "width", "height")), strict=True)
    density = [characters / (width * height) * 1e6 for characters, width, height in sizes if width]
    rows = [
        ["lines kept", count(facts["lines"])],
        ["characters kept", count(facts["characters"])],
        ["characters per megapixel, median", f"{np.median(density):,.0f}" if density else "–"],
        ["different Chinese characters", count(facts["han_seen"])],
        ["common Chinese characters seen", coverage],
        ["fonts used", count(facts["fonts_used"])],
    ]
    rows += [[f"characters: {name}", count(n)] for name, n in facts["scripts"].items()]
    rows += [[f"backgrounds passed over: {name}", count(n)] for name, n in facts["excluded_backgrounds"].items()]
    lost = [[reason, count(n)] for reason, n in facts["lost_lines"].items()]
    fonts = [[foreign(name), count(n)] for name, n in facts["fonts"].items()]
    lacking = [[foreign(face), count(n), percent(n, asked)] for face, (n, asked) in facts["lacking"].items()]
    parts = [tag("h2", "Text"), table(["", ""], rows)]
    for title, head, body in (
        ("Words and lines left out of labels", ["reason", "count"], lost),
        ("Fonts, by pages", ["font", "pages"], fonts),
        ("Scenes: a word that the wanted font lacks", ["font", "lines that began with one", "share"], lacking),
    ):
        parts += [tag("h3", title), table(head, body)] if body else []
    return tag("section", *parts)


def _reading(readings: dict[str, Any] | None) -> Html:
    """Tesseract's character error rates."""
    if not readings:
        return tag("section", tag("h2", "Read back by Tesseract"), tag("p", "No line was read back in this build."))
    rows = [
        [name, f"{each['lines']:,}", f"{each['cer']:.3f}", f"{each['median']:.3f}"]
        for name, each in readings["groups"].items()
    ]
    worst = [[w["source"], f"{w['cer']:.2f}", foreign(w["label"]), foreign(w["read"])] for w in readings["worst"]]
    return tag(
        "section", tag("h2", "Read back by Tesseract"), tag("p", readings["note"]),
        table(["group", "lines", "character error rate", "median line"], rows), tag("h3", "Worst lines"),
        table(["source", "error", "label", "read"], worst, ".texts"),
    )  # fmt: skip


def _gallery(pages: list[Shown]) -> Html:
    cards = []
    for page in pages:
        target = io.BytesIO()
        overlay(page).save(target, "JPEG", quality=80)
        source = "data:image/jpeg;base64," + base64.b64encode(target.getvalue()).decode()
        caption = tag("figcaption", f"{page.source}, {page.language}, {page.key}: {len(page.lines)} lines")
        cards.append(tag("figure", tag("img", attributes={"src": source, "alt": page.key, "loading": "lazy"}), caption))
    note = "Red: lines, from the thick corner along the reading direction. Blue: words."
    return tag("section", tag("h2", "Pages"), tag("p", note), tag("div.gallery", *cards))


def _style() -> Html:
    return tag("style", Html(STYLE.read_text("utf-8")))
