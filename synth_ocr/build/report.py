"""Writes ``OUT/report.html`` and ``OUT/report.json``: verdicts, lines, text, and pages with their quads."""

from itertools import pairwise

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
from qvl.pipeline.shards.manifests import DatasetManifest
from qvl.pipeline.storage.arrow_files import read_parquet
from qvl.pipeline.storage.atomic import replace_file
from qvl.pipeline.storage.paths import AnyPath
from qvl.synth_ocr.build.figures import Figures, compute_figures
from qvl.synth_ocr.build.gallery import PackedPage, draw_quads, pick_pages
from qvl.synth_ocr.build.read_back import READ_BACK, ReadBack

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
    dataset = read_manifest(layout.dataset, DatasetManifest)
    if dataset is None:
        raise ContractError(f"{out}: no finished build here; `qvl ocr build` creates one")
    ledger = pa.concat_tables(
        [read_parquet(layout.ledger(unit)) for unit in dataset.units], promote_options="permissive"
    )
    figures = compute_figures(ledger)
    readings = read_manifest(layout.out / READ_BACK, ReadBack)
    if readings is not None and readings.of.dataset != dataset.hash:
        readings = None  # they belong to an earlier build
    sections = [
        _verdicts(dataset), _measures(ledger), *_text(ledger, figures), _read_back(readings),
        _gallery(pick_pages(layout, dataset)),
    ]  # fmt: skip
    page = Page(f"{dataset.name}: OCR pages", dataset.name, _header(dataset, ledger), sections)
    replace_file(layout.report, document(page).encode())
    replace_file(layout.report.with_suffix(".json"), orjson.dumps(figures, option=orjson.OPT_INDENT_2))
    return layout.report


def histogram(values: np.ndarray, edges: list[float]) -> list[tuple[str, int]]:
    """Counts between edges; the last bin is open."""
    bins = np.searchsorted(edges, values, side="right") - 1
    counts = np.bincount(np.clip(bins, 0, len(edges) - 1), minlength=len(edges))
    ends = [f"{edge:g}" for edge in edges]
    names = [f"{low} to {high}" for low, high in pairwise(ends)] + [f"from {ends[-1]}"]
    return list(zip(names, counts.tolist(), strict=True))


def _header(dataset: DatasetManifest, ledger: pa.Table) -> Html:
    tiles = [
        Tile(count(ledger.num_rows), "pages rendered"),
        Tile(count(dataset.samples), "pages kept"),
        Tile(count(len(dataset.shards)), "shards"),
    ]
    return header("OCR report", dataset.name, tiles, dataset_hash(dataset.hash))


def _verdicts(dataset: DatasetManifest) -> Section:
    verdicts = dataset.verdicts
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


def _text(ledger: pa.Table, figures: Figures) -> list[Section]:
    """What the pages contain, the fonts that drew them, and what is missing from labels."""
    lost = [[reason, count(n)] for reason, n in figures.lost_lines.items()]
    fonts = [[untrusted(name), count(n)] for name, n in figures.fonts.items()]
    lacking = [[untrusted(face), count(n), percent(n, runs)] for face, (n, runs) in figures.lacking.items()]
    parts: list[Html] = [table(["", ""], _text_rows(ledger, figures), ".numbers")]
    if lost:
        parts += [tag("h3", "Words and lines left out of labels"), table(["reason", "count"], lost, ".numbers")]
    font_parts: list[Html] = [table(["font", "pages"], fonts, ".numbers")] if fonts else []
    if lacking:
        head = ["font", "runs of text that began with such a word", "share"]
        font_parts += [tag("h3", "Scenes: words that the chosen font cannot draw"), table(head, lacking, ".numbers")]
    return [section("text", "Text", "", *parts), section("fonts", "Fonts, by pages", "", *font_parts, link="Fonts")]


def _text_rows(ledger: pa.Table, figures: Figures) -> list[list[str]]:
    coverage = f"{figures.gb2312_level_1_share:.1%} of GB 2312 level 1 ({figures.gb2312_level_1_seen:,} characters)"
    sizes = zip(*(ledger[name].to_pylist() for name in ("characters", "width", "height")), strict=True)
    density = [characters / (width * height) * 1e6 for characters, width, height in sizes if width]
    return [
        ["lines kept", count(figures.lines)],
        ["characters kept", count(figures.characters)],
        ["characters per megapixel, median", f"{np.median(density):,.0f}" if density else "–"],
        ["different Chinese characters", count(figures.han_seen)],
        ["common Chinese characters used", coverage],
        ["fonts used", count(figures.fonts_used)],
        *([f"characters: {name}", count(n)] for name, n in figures.scripts.items()),
        *([f"backgrounds rejected: {name}", count(n)] for name, n in figures.excluded_backgrounds.items()),
    ]


def _read_back(readings: ReadBack | None) -> Section:
    """Tesseract's character error rates."""
    if readings is None:
        note = tag("p.note", "No line of this build was read back.")
        return section("reading", "Read back by Tesseract", "", note, link="Read back")
    rows = [
        [name, count(rate.lines), f"{rate.cer:.3f}", f"{rate.median:.3f}"] for name, rate in readings.groups.items()
    ]
    worst = [[each.source, f"{each.cer:.2f}", untrusted(each.label), untrusted(each.read)] for each in readings.worst]
    return section(
        "reading", "Read back by Tesseract", readings.note,
        table(["group", "lines", "character error rate", "median line"], rows, ".numbers"), tag("h3", "Worst lines"),
        table(["source", "error", "label", "read"], worst), link="Read back",
    )  # fmt: skip


def _gallery(pages: list[PackedPage]) -> Section:
    cards = []
    for page in pages:
        caption = tag("figcaption", f"{page.source}, {page.language}, {page.key}: {len(page.lines)} lines")
        cards.append(tag("figure.card", framed(draw_quads(page), "JPEG", 80), caption))
    lead = "Red: lines, with a dot at the corner where each starts. Blue: words."
    return section("pages", "Pages", lead, tag("div.cards.wide", *cards))
