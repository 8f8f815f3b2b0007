# mypy: disable-error-code="no-untyped-call"
"""Words and lines as the document says, in pixels of the rendered page. Whether they can be seen is not known here."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pymupdf

from synth_ocr.geometry import Points, Rect, around, rect_quad

# glyph outlines instead of ascent and descent, ligatures expanded, no CID numbers for unknown characters
FLAGS = pymupdf.TEXT_ACCURATE_BBOXES | pymupdf.TEXT_PRESERVE_WHITESPACE | pymupdf.TEXT_MEDIABOX_CLIP
MAX_COORDINATE = 1e5  # points: Type 3 fonts can give boxes of 8.6e10 (pymupdf/PyMuPDF#1433)
AXES = 1e-3


@dataclass
class Piece:
    """A word as extracted. ``rect``: promised ink in pixels, ``tall``: with ascent and descent; ``line`` groups pieces.

    ``heading`` is where its quad starts (an axis where ``turned`` is None), ``direction`` where the text runs.
    """

    text: str
    rect: Rect
    tall: Rect
    line: tuple[int, int]  # block, line
    direction: tuple[float, float]  # on the rendered page
    heading: tuple[float, float]
    size: float  # font size in pixels
    turned: Points | None = None  # the quad where it is parallel to no side

    @property
    def upright(self) -> bool:
        return self.turned is None

    @property
    def quad(self) -> Points:
        return rect_quad(self.rect, self.heading) if self.turned is None else self.turned

    @property
    def layout(self) -> Points:
        return rect_quad(self.tall, self.heading) if self.turned is None else self.turned


@dataclass(frozen=True)
class Frame:
    """From a page's text coordinates to pixels: the page's rotation, then the zoom."""

    matrix: pymupdf.Matrix
    zoom: float

    def points(self, points: list[tuple[float, float]]) -> Points:
        m = self.matrix
        return np.array([(x * m.a + y * m.c + m.e, x * m.b + y * m.d + m.f) for x, y in points], float) * self.zoom

    def rect(self, rect: Any) -> Rect:
        m, zoom = self.matrix, self.zoom
        x0, y0, x1, y1 = rect
        ax, ay = (x0 * m.a + y0 * m.c + m.e) * zoom, (x0 * m.b + y0 * m.d + m.f) * zoom
        bx, by = (x1 * m.a + y1 * m.c + m.e) * zoom, (x1 * m.b + y1 * m.d + m.f) * zoom
        return min(ax, bx), min(ay, by), max(ax, bx), max(ay, by)

    def direction(self, vector: tuple[float, float]) -> tuple[float, float]:
        m = self.matrix
        x, y = vector[0] * m.a + vector[1] * m.c, vector[0] * m.b + vector[1] * m.d
        length = float(np.hypot(x, y)) or 1.0
        return round(x / length, 6), round(y / length, 6)


def extract(page: pymupdf.Page, frame: Frame) -> list[Piece]:
    """Every word of the page in the order of its content."""
    text = page.get_textpage(flags=FLAGS)
    lines: dict[tuple[int, int], Any] = {}
    oblique = False
    for number, block in enumerate(text.extractDICT()["blocks"]):
        for place, line in enumerate(block.get("lines", ())):
            lines[number, place] = line
            oblique |= min(abs(line["dir"][0]), abs(line["dir"][1])) > AXES
    pieces = []
    for x0, y0, x1, y1, word, block_number, line_number, _ in text.extractWORDS():
        line = lines.get((block_number, line_number))
        if line is None or max(abs(v) for v in (x0, y0, x1, y1)) > MAX_COORDINATE:
            continue
        if min(abs(line["dir"][0]), abs(line["dir"][1])) <= AXES:
            pieces.append(_upright(word, (x0, y0, x1, y1), (block_number, line_number), line, frame))
    if oblique:
        pieces += _oblique(text, frame)
    return pieces


def _upright(word: str, rect: Rect, place: tuple[int, int], line: Any, frame: Frame) -> Piece:
    span: dict[str, Any] = (
        line["spans"][0] if line["spans"] else {"size": 0.0, "ascender": 0.8, "descender": -0.2, "origin": (0, 0)}
    )
    direction = frame.direction(line["dir"])
    # vertical writing keeps its characters upright: the quad starts at their top left
    heading = (1.0, 0.0) if line.get("wmode") else direction
    tall = list(rect)
    if abs(line["dir"][0]) > 0.5 and not line.get("wmode"):
        base, sign = span["origin"][1], 1 if line["dir"][0] > 0 else -1
        ends = (base - sign * span["ascender"] * span["size"], base - sign * span["descender"] * span["size"])
        tall[1], tall[3] = min(rect[1], *ends), max(rect[3], *ends)
    size = span["size"] * frame.zoom
    return Piece(word, frame.rect(rect), frame.rect(tall), place, direction, heading, size)


def _oblique(text: Any, frame: Frame) -> list[Piece]:
    """Words of lines that are parallel to no side, from the quads of their characters."""
    pieces = []
    for number, block in enumerate(text.extractRAWDICT()["blocks"]):
        for place, line in enumerate(block.get("lines", ())):
            if min(abs(line["dir"][0]), abs(line["dir"][1])) <= AXES:
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
