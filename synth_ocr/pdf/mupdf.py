# mypy: disable-error-code="no-untyped-call"
"""PDF files by MuPDF (PyMuPDF; AGPL or commercial)."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pymupdf

from qvl.synth_ocr.page.geometry import Points, Rect, around
from qvl.synth_ocr.page.layout import Piece, is_oblique
from qvl.synth_ocr.page.page import PageRejected, Pixels

# glyph outlines instead of ascent and descent, ligatures expanded, no CID numbers for unknown characters
FLAGS = pymupdf.TEXT_ACCURATE_BBOXES | pymupdf.TEXT_PRESERVE_WHITESPACE | pymupdf.TEXT_MEDIABOX_CLIP
FLAGS |= pymupdf.TEXT_IGNORE_ACTUALTEXT  # what a tagged document says instead of what it shows
FAR = 1e5  # points: Type 3 fonts can give boxes of 8.6e10 (pymupdf/PyMuPDF#1433)
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
    """A page, loaded when it is first asked for anything: a broken one fails there."""

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

    def pieces(self, zoom: float) -> list[Piece]:
        return extract(self._page, Frame(self._page.rotation_matrix, zoom))

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


class Frame:
    """From a page's text coordinates to pixels: the page's rotation, then the zoom."""

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
class LineFacts:
    """What the words of an extracted line share. ``ends``: ascent and descent on the page, where the line is level."""

    direction: tuple[float, float]
    heading: tuple[float, float]
    size: float
    oblique: bool
    ends: tuple[float, float] | None


def facts_of(line: Any, frame: Frame) -> LineFacts:
    """``line`` as in PyMuPDF's dictionaries."""
    dx, dy = line["dir"]
    span = line["spans"][0] if line["spans"] else NO_SPAN
    direction, vertical = frame.direction((dx, dy)), bool(line.get("wmode"))
    ends = None
    if abs(dx) > 0.5 and not vertical:
        base, size = span["origin"][1], span["size"] * (1 if dx > 0 else -1)
        above, below = base - span["ascender"] * size, base - span["descender"] * size
        ends = min(above, below), max(above, below)
    # vertical writing keeps its characters upright: the quad starts at their top left
    heading = (1.0, 0.0) if vertical else direction
    return LineFacts(direction, heading, span["size"] * frame.zoom, is_oblique((dx, dy)), ends)


def extract(page: pymupdf.Page, frame: Frame) -> list[Piece]:
    """Every word of the page in the order of its content."""
    text = page.get_textpage(flags=FLAGS)
    lines: dict[tuple[int, int], LineFacts] = {}
    for number, block in enumerate(text.extractDICT()["blocks"]):
        for place, line in enumerate(block.get("lines", ())):
            lines[number, place] = facts_of(line, frame)
    pieces = []
    for x0, y0, x1, y1, word, block_number, line_number, _ in text.extractWORDS():
        found = (block_number, line_number)
        facts = lines.get(found)
        if facts is None or facts.oblique or not (x0 > -FAR and y0 > -FAR and x1 < FAR and y1 < FAR):
            continue
        rect = tall = frame.rect(x0, y0, x1, y1)
        if facts.ends is not None:
            tall = frame.rect(x0, min(y0, facts.ends[0]), x1, max(y1, facts.ends[1]))
        pieces.append(Piece(word, rect, tall, found, facts.direction, facts.heading, facts.size))
    if any(facts.oblique for facts in lines.values()):
        pieces += _oblique(text, frame)
    return pieces


def _oblique(text: Any, frame: Frame) -> list[Piece]:
    """Words of lines that are parallel to no side, from the quads of their characters."""
    pieces = []
    for number, block in enumerate(text.extractRAWDICT()["blocks"]):
        for place, line in enumerate(block.get("lines", ())):
            if not is_oblique(line["dir"]):
                continue
            run: list[tuple[str, Points]] = []
            for span in line["spans"]:
                for char in span["chars"]:
                    if char["c"].isspace():
                        pieces += _run(run, (number, place), line, span, frame)
                        run = []
                    else:
                        run.append((char["c"], frame.points(_corners(char, span, line["dir"]))))
                pieces += _run(run, (number, place), line, span, frame)
                run = []
    return pieces


def _corners(char: Any, span: Any, direction: tuple[float, float]) -> list[tuple[float, float]]:
    """Ascent to descent of one character along its line, in page coordinates.

    The upright box of the character bounds its advance: its extent along the line is taken from there.
    """
    (x, y), size, (dx, dy) = char["origin"], span["size"], direction
    x0, y0, x1, y1 = char["bbox"]
    along = [(px - x) * dx + (py - y) * dy for px, py in ((x0, y0), (x1, y0), (x1, y1), (x0, y1))]
    up, down = span["ascender"] * size, span["descender"] * size
    low, high = min(along), max(along)
    ends = ((low, up), (high, up), (high, down), (low, down))
    return [(x + a * dx + b * dy, y + a * dy - b * dx) for a, b in ends]


def _run(run: list[tuple[str, Points]], place: tuple[int, int], line: Any, span: Any, frame: Frame) -> list[Piece]:
    if not run:
        return []
    direction = frame.direction(line["dir"])
    quad = around([points for _, points in run], direction)
    word = "".join(char for char, _ in run)
    (x0, y0), (x1, y1) = quad.min(axis=0).tolist(), quad.max(axis=0).tolist()
    rect = (x0, y0, x1, y1)
    return [Piece(word, rect, rect, place, direction, direction, span["size"] * frame.zoom, quad)]
