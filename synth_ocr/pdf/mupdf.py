# mypy: disable-error-code="no-untyped-call"
"""PDF files read by MuPDF (PyMuPDF; AGPL or commercial licence)."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pymupdf

from qvl.synth_ocr.page.extracted import ExtractedWord, is_oblique
from qvl.synth_ocr.page.geometry import Points, Rect, around
from qvl.synth_ocr.page.page import PageRejected, Pixels

# glyph outlines instead of ascent and descent, ligatures expanded, no CID numbers for unknown characters
FLAGS = pymupdf.TEXT_ACCURATE_BBOXES | pymupdf.TEXT_PRESERVE_WHITESPACE | pymupdf.TEXT_MEDIABOX_CLIP
FLAGS |= pymupdf.TEXT_IGNORE_ACTUALTEXT  # text that a tagged document states in place of what it shows
FAR = 1e5  # points: Type 3 fonts can report boxes of 8.6e10 (pymupdf/PyMuPDF#1433)
OUTSIDE = 20_000.0  # points around a page in which text is removed
SCAN_SHARE = 0.8  # of the page covered by one image
NO_SPAN: dict[str, Any] = {"size": 0.0, "ascender": 0.8, "descender": -0.2, "origin": (0, 0)}


class MuFile:
    """A document in memory."""

    faults: tuple[type[Exception], ...] = (RuntimeError, ValueError, pymupdf.mupdf.FzErrorBase)

    def __init__(self, data: bytes) -> None:
        pymupdf.TOOLS.mupdf_display_errors(False)
        pymupdf.TOOLS.mupdf_display_warnings(False)
        pymupdf.TOOLS.unset_quad_corrections(True)
        try:
            self._document = pymupdf.open(stream=data, filetype="pdf")
        except self.faults:
            raise PageRejected("unreadable:broken") from None
        if self._document.needs_pass:
            raise PageRejected("unreadable:encrypted")
        self.count: int = self._document.page_count
        if not self.count:
            raise PageRejected("unreadable:no_pages")

    def pages(self, numbers: list[int]) -> Iterator["MuPage"]:
        for number in numbers:
            yield MuPage(self._document, number)

    def close(self) -> None:
        self._document.close()
        pymupdf.TOOLS.store_shrink(100)


class MuPage:
    """A page that is loaded on first use, so that a broken one fails there."""

    def __init__(self, document: pymupdf.Document, number: int) -> None:
        self._document, self._number = document, number
        self._loaded: pymupdf.Page | None = None

    @property
    def _page(self) -> pymupdf.Page:
        if self._loaded is None:
            self._loaded = self._document[self._number]
        return self._loaded

    @property
    def width(self) -> float:
        return float(self._page.rect.width)

    @property
    def height(self) -> float:
        return float(self._page.rect.height)

    def render(self, zoom: float) -> Pixels:
        matrix = pymupdf.Matrix(zoom, zoom)
        pixels = self._page.get_pixmap(matrix=matrix, alpha=False, annots=False, colorspace=pymupdf.csRGB)
        return np.frombuffer(pixels.samples, np.uint8).reshape(pixels.height, pixels.width, 3)

    def words(self, zoom: float) -> list[ExtractedWord]:
        return extract(self._page, PageTransform(self._page.rotation_matrix, zoom))

    def remove_text(self) -> None:
        page = self._page
        left, top, right, bottom = page.mediabox
        for annotation in list(page.annots()):
            page.delete_annot(annotation)
        for widget in list(page.widgets()):
            page.delete_widget(widget)
        page.add_redact_annot(pymupdf.Rect(left - OUTSIDE, top - OUTSIDE, right + OUTSIDE, bottom + OUTSIDE))
        page.apply_redactions(images=0, graphics=0, text=0)
        if page.get_text("text", flags=0).strip():
            raise PageRejected("text_stays")

    def is_scan(self) -> bool:
        page = self._page
        whole = abs(page.rect)
        boxes = [pymupdf.Rect(info["bbox"]) * page.rotation_matrix for info in page.get_image_info()]
        return max((abs(box & page.rect) / whole for box in boxes), default=0.0) > SCAN_SHARE

    def fonts(self) -> list[str]:
        return sorted({font[3].partition("+")[2] or font[3] for font in self._page.get_fonts()})


class PageTransform:
    """From a page's text coordinates to pixels: first the page's rotation, then the zoom."""

    def __init__(self, matrix: pymupdf.Matrix, zoom: float) -> None:
        self.turn = (matrix.a, matrix.b, matrix.c, matrix.d)
        self.map = tuple(value * zoom for value in (matrix.a, matrix.b, matrix.c, matrix.d, matrix.e, matrix.f))
        self.zoom = zoom

    def points(self, points: list[tuple[float, float]]) -> Points:
        a, b, c, d, e, f = self.map
        return np.array([(x * a + y * c + e, x * b + y * d + f) for x, y in points], float)

    def rect(self, x0: float, y0: float, x1: float, y1: float) -> Rect:
        a, b, c, d, e, f = self.map
        ax, ay, bx, by = x0 * a + y0 * c + e, x0 * b + y0 * d + f, x1 * a + y1 * c + e, x1 * b + y1 * d + f
        if ax > bx:
            ax, bx = bx, ax
        return (ax, ay, bx, by) if ay <= by else (ax, by, bx, ay)

    def direction(self, vector: tuple[float, float]) -> tuple[float, float]:
        a, b, c, d = self.turn
        x, y = vector[0] * a + vector[1] * c, vector[0] * b + vector[1] * d
        length = float(np.hypot(x, y)) or 1.0
        return round(x / length, 6), round(y / length, 6)


@dataclass(slots=True)
class LineStyle:
    """What the words of a line have in common. ``ends``: ascent and descent on the page, if the line is level."""

    direction: tuple[float, float]
    heading: tuple[float, float]
    size: float
    oblique: bool
    ends: tuple[float, float] | None


def style_of(line: Any, transform: PageTransform) -> LineStyle:
    """The style of a line of PyMuPDF's text dictionary."""
    dx, dy = line["dir"]
    span = line["spans"][0] if line["spans"] else NO_SPAN
    direction, vertical = transform.direction((dx, dy)), bool(line.get("wmode"))
    ends = None
    if abs(dx) > 0.5 and not vertical:
        base, size = span["origin"][1], span["size"] * (1 if dx > 0 else -1)
        above, below = base - span["ascender"] * size, base - span["descender"] * size
        ends = min(above, below), max(above, below)
    # vertical writing keeps its characters upright: the quad starts at their top left
    heading = (1.0, 0.0) if vertical else direction
    return LineStyle(direction, heading, span["size"] * transform.zoom, is_oblique((dx, dy)), ends)


def extract(page: pymupdf.Page, transform: PageTransform) -> list[ExtractedWord]:
    """Every word of the page in content order."""
    text = page.get_textpage(flags=FLAGS)
    lines: dict[tuple[int, int], LineStyle] = {}
    for number, block in enumerate(text.extractDICT()["blocks"]):
        for index, line in enumerate(block.get("lines", ())):
            lines[number, index] = style_of(line, transform)
    words = []
    for x0, y0, x1, y1, word_text, block_number, line_number, _ in text.extractWORDS():
        line_key = (block_number, line_number)
        style = lines.get(line_key)
        if style is None or style.oblique or not (x0 > -FAR and y0 > -FAR and x1 < FAR and y1 < FAR):
            continue
        rect = tall = transform.rect(x0, y0, x1, y1)
        if style.ends is not None:
            tall = transform.rect(x0, min(y0, style.ends[0]), x1, max(y1, style.ends[1]))
        words.append(ExtractedWord(word_text, rect, tall, line_key, style.direction, style.heading, style.size))
    if any(style.oblique for style in lines.values()):
        words += _oblique_words(text, transform)
    return words


def _oblique_words(text: Any, transform: PageTransform) -> list[ExtractedWord]:
    """Words of lines that are parallel to no side of the page, from the quads of their characters."""
    words = []
    for number, block in enumerate(text.extractRAWDICT()["blocks"]):
        for index, line in enumerate(block.get("lines", ())):
            if not is_oblique(line["dir"]):
                continue
            run: list[tuple[str, Points]] = []
            for span in line["spans"]:
                for char in span["chars"]:
                    if char["c"].isspace():
                        words += _joined_run(run, (number, index), line, span, transform)
                        run = []
                    else:
                        run.append((char["c"], transform.points(_corners(char, span, line["dir"]))))
                words += _joined_run(run, (number, index), line, span, transform)
                run = []
    return words


def _corners(char: Any, span: Any, direction: tuple[float, float]) -> list[tuple[float, float]]:
    """The quad of one character from ascent to descent along its line, in page coordinates.

    Its extent along the line comes from the character's upright box, which bounds its advance.
    """
    (x, y), size, (dx, dy) = char["origin"], span["size"], direction
    x0, y0, x1, y1 = char["bbox"]
    along = [(px - x) * dx + (py - y) * dy for px, py in ((x0, y0), (x1, y0), (x1, y1), (x0, y1))]
    up, down = span["ascender"] * size, span["descender"] * size
    low, high = min(along), max(along)
    ends = ((low, up), (high, up), (high, down), (low, down))
    return [(x + a * dx + b * dy, y + a * dy - b * dx) for a, b in ends]


def _joined_run(
    run: list[tuple[str, Points]], line_key: tuple[int, int], line: Any, span: Any, transform: PageTransform
) -> list[ExtractedWord]:
    """The word that consecutive characters form; nothing for an empty run."""
    if not run:
        return []
    direction = transform.direction(line["dir"])
    quad = around([points for _, points in run], direction)
    word = "".join(char for char, _ in run)
    (x0, y0), (x1, y1) = quad.min(axis=0).tolist(), quad.max(axis=0).tolist()
    rect = (x0, y0, x1, y1)
    return [ExtractedWord(word, rect, rect, line_key, direction, direction, span["size"] * transform.zoom, quad)]
