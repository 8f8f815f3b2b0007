"""PDF files read by PDFium (pypdfium2; BSD or Apache licence), if MuPDF is not installed."""

import ctypes
import math
import re
from collections.abc import Iterator
from typing import Any

import numpy as np
import pypdfium2  # type: ignore[import-untyped]
import pypdfium2.raw as pdfium  # type: ignore[import-untyped]

from qvl.synth_ocr.page.extracted import ExtractedWord, is_oblique
from qvl.synth_ocr.page.geometry import Points, Rect, frame_quad, union
from qvl.synth_ocr.page.page import PageRejected, Pixels

SCAN_SHARE = 0.8  # of the page covered by one image
DEEPEST = 8  # forms within forms
HYPHEN = 2  # PDFium's code for a hyphen at the end of a line; no line break follows it
ASCENT, DESCENT = 0.95, -0.25  # of the font size, for oblique words
UNMAPPED = "\ufffd"
RIGHT_TO_LEFT = re.compile("[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufeff]")


class PdfiumFile:
    """A document in memory."""

    faults: tuple[type[Exception], ...] = (pypdfium2.PdfiumError, ValueError)

    def __init__(self, data: bytes) -> None:
        try:
            self._document: Any = pypdfium2.PdfDocument(data)
        except pypdfium2.PdfiumError as error:
            locked = getattr(error, "err_code", None) == pdfium.FPDF_ERR_PASSWORD
            raise PageRejected("unreadable:encrypted" if locked else "unreadable:broken") from None
        self.count: int = len(self._document)
        if not self.count:
            raise PageRejected("unreadable:no_pages")

    def pages(self, numbers: list[int]) -> Iterator["PdfiumPage"]:
        for number in numbers:
            page = PdfiumPage(self._document, number)
            yield page
            page.close()

    def close(self) -> None:
        self._document.close()


class PdfiumPage:
    """A page that is loaded on first use, so that a broken one fails there."""

    def __init__(self, document: Any, number: int) -> None:
        self._document, self._number = document, number
        self._loaded: Any = None

    @property
    def _page(self) -> Any:
        if self._loaded is None:
            self._loaded = self._document[self._number]
        return self._loaded

    def close(self) -> None:
        if self._loaded is not None:
            self._loaded.close()

    @property
    def width(self) -> float:
        return float(self._page.get_width())

    @property
    def height(self) -> float:
        return float(self._page.get_height())

    def render(self, zoom: float) -> Pixels:
        bitmap = self._page.render(scale=zoom, draw_annots=False, may_draw_forms=False, rev_byteorder=True)
        return np.ascontiguousarray(bitmap.to_numpy()[..., :3])

    def words(self, zoom: float) -> list[ExtractedWord]:
        text = self._page.get_textpage()
        try:
            return WordReader(text.raw, _device_transform(self._page, zoom)).words()
        finally:
            text.close()

    def remove_text(self) -> None:
        for shown in _objects(self._page.raw, pdfium.FPDF_PAGEOBJ_TEXT):
            if not pdfium.FPDFPageObj_SetIsActive(shown, False):
                raise PageRejected("text_stays")

    def is_scan(self) -> bool:
        bounds = [_bounds(image) for image in _objects(self._page.raw, pdfium.FPDF_PAGEOBJ_IMAGE)]
        whole = self.width * self.height
        return max(((x1 - x0) * (y1 - y0) / whole for x0, y0, x1, y1 in bounds), default=0.0) > SCAN_SHARE

    def fonts(self) -> list[str]:
        names = set()
        for shown in _objects(self._page.raw, pdfium.FPDF_PAGEOBJ_TEXT):
            name = ctypes.create_string_buffer(256)
            font = pdfium.FPDFTextObj_GetFont(shown)
            if font and pdfium.FPDFFont_GetBaseFontName(font, name, len(name)):
                names.add(name.value.decode("utf-8", "replace"))
        return sorted(name.partition("+")[2] or name for name in names)


def _objects(page: Any, kind: int) -> Iterator[Any]:
    """All objects of a kind, including those inside forms."""
    stack = [
        (pdfium.FPDFPage_GetObject(page, number), 0) for number in reversed(range(pdfium.FPDFPage_CountObjects(page)))
    ]
    while stack:
        found, depth = stack.pop()
        found_kind = pdfium.FPDFPageObj_GetType(found)
        if found_kind == kind:
            yield found
        elif found_kind == pdfium.FPDF_PAGEOBJ_FORM and depth < DEEPEST:
            count = pdfium.FPDFFormObj_CountObjects(found)
            stack += [(pdfium.FPDFFormObj_GetObject(found, number), depth + 1) for number in reversed(range(count))]


def _bounds(shown: Any) -> Rect:
    """Bounds of an object in points; all zero if it has none."""
    edges = [ctypes.c_float() for _ in range(4)]
    pdfium.FPDFPageObj_GetBounds(shown, *map(ctypes.byref, edges))
    left, bottom, right, top = (edge.value for edge in edges)
    return left, bottom, right, top


Affine = tuple[float, float, float, float, float, float]  # a, b, c, d, e, f: x' = a x + c y + e, y' = b x + d y + f


def _device_transform(page: Any, zoom: float) -> Affine:
    """From PDF points (y up) to pixels of the rendered page (y down), including the page's rotation."""
    box = pdfium.FS_RECTF()
    pdfium.FPDF_GetPageBoundingBox(page.raw, ctypes.byref(box))
    left, bottom, right, top = box.left, box.bottom, box.right, box.top
    turn = pdfium.FPDFPage_GetRotation(page.raw)
    by_rotation: dict[int, Affine] = {
        0: (1, 0, 0, -1, -left, top),
        1: (0, 1, 1, 0, -bottom, -left),
        2: (-1, 0, 0, 1, right, -bottom),
        3: (0, -1, -1, 0, top, right),
    }
    # the page fills a bitmap of whole pixels
    wide, high = page.get_width(), page.get_height()
    x, y = math.ceil(wide * zoom) / wide, math.ceil(high * zoom) / high
    a, b, c, d, e, f = by_rotation[turn]
    return a * x, b * y, c * x, d * y, e * x, f * y


class WordReader:
    """Joins the characters of a text page into words. PDFium inserts blanks and line breaks where it sees them."""

    def __init__(self, text: Any, device: Affine) -> None:
        self.text, self.device = text, device
        self._edges = [ctypes.c_double() for _ in range(4)]
        self._edge_pointers = [ctypes.byref(edge) for edge in self._edges]
        self._matrix, self._loose = pdfium.FS_MATRIX(), pdfium.FS_RECTF()

    def words(self) -> list[ExtractedWord]:
        found: list[ExtractedWord] = []
        word: list[tuple[int, str]] = []
        line = 0
        for number in range(pdfium.FPDFText_CountChars(self.text)):
            code = pdfium.FPDFText_GetUnicode(self.text, number)
            if code == HYPHEN:
                word.append((number, "-"))
            elif not chr(code).isspace():
                unknown = code == 0 or pdfium.FPDFText_HasUnicodeMapError(self.text, number) == 1
                word.append((number, UNMAPPED if unknown else chr(code)))
                continue
            if word:
                found.append(self._word(word, line))
                word = []
            line += code in (HYPHEN, 10)
        if word:
            found.append(self._word(word, line))
        return found

    def _word(self, word: list[tuple[int, str]], line: int) -> ExtractedWord:
        first, last = word[0][0], word[-1][0]
        text = UNMAPPED if self._has_actual_text(first) else "".join(char for _, char in word)
        rect = self._rect(self._bounds(first, len(word)))
        pdfium.FPDFText_GetMatrix(self.text, first, ctypes.byref(self._matrix))
        m = self._matrix
        direction = self._direction(m.a, m.b)
        size = pdfium.FPDFText_GetFontSize(self.text, first) * math.hypot(m.c, m.d) * self._zoom
        start, end = self._origin(first), self._origin(last)
        if RIGHT_TO_LEFT.search(text) and (end[0] - start[0]) * direction[0] + (end[1] - start[1]) * direction[1] > 0:
            text = text[::-1]  # drawn from left to right, but the label follows the reading order
        if is_oblique(direction):
            quad = self._oblique_quad(direction, size, start, end, last)
            (x0, y0), (x1, y1) = quad.min(axis=0).tolist(), quad.max(axis=0).tolist()
            rect = (x0, y0, x1, y1)
            return ExtractedWord(text, rect, rect, (line, line), direction, direction, size, quad)
        across = (end[0] - start[0]) * -direction[1] + (end[1] - start[1]) * direction[0]
        if len(word) > 1 and across > 0.5 * size:  # vertical writing: characters stand upright, one below the other
            return ExtractedWord(text, rect, rect, (line, line), (-direction[1], direction[0]), direction, size)
        pdfium.FPDFText_GetLooseCharBox(self.text, first, ctypes.byref(self._loose))
        tall = self._rect((self._loose.left, self._loose.bottom, self._loose.right, self._loose.top))
        level = abs(direction[0]) > 0.5
        tall = (rect[0], tall[1], rect[2], tall[3]) if level else (tall[0], rect[1], tall[2], rect[3])
        return ExtractedWord(text, rect, union([rect, tall]), (line, line), direction, direction, size)

    @property
    def _zoom(self) -> float:
        return math.hypot(self.device[0], self.device[1])

    def _has_actual_text(self, number: int) -> bool:
        """Whether a tagged document states other text (ActualText) than it shows; PDFium does not give the shown text."""
        shown, size = pdfium.FPDFText_GetTextObject(self.text, number), ctypes.c_ulong()
        for index in range(pdfium.FPDFPageObj_CountMarks(shown) if shown else 0):
            mark = pdfium.FPDFPageObj_GetMark(shown, index)
            if pdfium.FPDFPageObjMark_GetParamStringValue(mark, b"ActualText", None, 0, ctypes.byref(size)):
                return True
        return False

    def _bounds(self, first: int, count: int) -> Rect:
        """Bounds of the outlines of consecutive characters, in points."""
        left, right, bottom, top = self._edge_pointers
        found = []
        for number in range(pdfium.FPDFText_CountRects(self.text, first, count)):
            pdfium.FPDFText_GetRect(self.text, number, left, top, right, bottom)
            x0, x1, y0, y1 = (edge.value for edge in self._edges)
            found.append((x0, y0, x1, y1))
        return union(found) if found else self._box(first)

    def _box(self, number: int) -> Rect:
        """Bounds of one character's outline, in points."""
        left, right, bottom, top = self._edge_pointers
        pdfium.FPDFText_GetCharBox(self.text, number, left, right, bottom, top)
        x0, x1, y0, y1 = (edge.value for edge in self._edges)
        return x0, y0, x1, y1

    def _origin(self, number: int) -> tuple[float, float]:
        """The origin of one character, in pixels."""
        x, y = self._edge_pointers[:2]
        pdfium.FPDFText_GetCharOrigin(self.text, number, x, y)
        return self._point(self._edges[0].value, self._edges[1].value)

    def _point(self, x: float, y: float) -> tuple[float, float]:
        a, b, c, d, e, f = self.device
        return a * x + c * y + e, b * x + d * y + f

    def _rect(self, rect: Rect) -> Rect:
        (ax, ay), (bx, by) = self._point(rect[0], rect[1]), self._point(rect[2], rect[3])
        return min(ax, bx), min(ay, by), max(ax, bx), max(ay, by)

    def _direction(self, x: float, y: float) -> tuple[float, float]:
        a, b, c, d, _, _ = self.device
        dx, dy = a * x + c * y, b * x + d * y
        length = math.hypot(dx, dy) or 1.0
        return round(dx / length, 6), round(dy / length, 6)

    def _oblique_quad(
        self,
        direction: tuple[float, float],
        size: float,
        start: tuple[float, float],
        end: tuple[float, float],
        last: int,
    ) -> Points:
        """From the first character's origin to the last one's end along the line, from ascent to descent."""
        dx, dy = direction
        x0, y0, x1, y1 = self._rect(self._box(last))
        middle = ((x0 + x1) / 2 - end[0]) * dx + ((y0 + y1) / 2 - end[1]) * dy
        low = start[0] * dx + start[1] * dy
        high = end[0] * dx + end[1] * dy + 2 * max(middle, 0.0)
        base = -start[0] * dy + start[1] * dx
        bottom = (
            np.array((low - 0.1 * size, base - ASCENT * size)),
            np.array((high + 0.1 * size, base - DESCENT * size)),
        )
        return frame_quad(*bottom, direction)
