"""Places a document on a background and finds every word's ink in the final geometry.

The image, the ink and its owners go through the same map, so quads are read from the ink where it ends up.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from qvl.synth_ocr.page.geometry import Points, Rect, area, bounds, iou, rect_quad, sides, union
from qvl.synth_ocr.page.page import Line, Pixels, Word
from qvl.synth_ocr.scene import effects
from qvl.synth_ocr.scene.draw import DrawnLine, Sheet
from qvl.synth_ocr.scene.settings import Effects

INK = 80  # coverage (0..255) from which a pixel of the warped mask counts as ink; bending thins the glyphs' edges


@dataclass(frozen=True, slots=True)
class WarpedInk:
    """The ink pixels of the final image: for each, the word that owns it and its position on the document."""

    owner: NDArray[np.intp]
    x: NDArray[np.float32]
    y: NDArray[np.float32]
    coverage: Pixels  # of the whole image, 0..255
    total: int


@dataclass(frozen=True, slots=True)
class InkExtent:
    """The position of one word's ink on the document, and how many pixels it covers in the image."""

    rect: Rect
    pixels: int


def place_document(
    sheet: Sheet, behind: Pixels, matrix: NDArray[np.float64], settings: Effects, rng: np.random.Generator
) -> tuple[Pixels, WarpedInk]:
    """The document on its background, and its ink, both through the same map."""
    height, width = behind.shape[:2]
    x, y = effects.back_map(matrix, width, height)
    dx, dy = effects.jitter(settings, (height, width), rng)
    moved = (x + dx, y + dy)
    top = cv2.remap(sheet.image, *moved, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    inside = cv2.remap(np.full_like(sheet.ink, 255), *moved, cv2.INTER_NEAREST)
    image = np.asarray(cv2.copyTo(top, inside, behind.copy()), np.uint8)
    coverage = np.asarray(cv2.remap(sheet.ink, *moved, cv2.INTER_LINEAR), np.uint8)
    owner = cv2.remap(_grown_owners(sheet), *moved, cv2.INTER_NEAREST)
    rows, columns = np.nonzero(coverage >= INK)
    owners = owner[rows, columns].astype(np.intp)
    return image, WarpedInk(owners, x[rows, columns], y[rows, columns], coverage, len(rows))


def _grown_owners(sheet: Sheet) -> NDArray[np.uint16]:
    """Owners grown by one pixel: interpolated ink reaches that far."""
    spread = cv2.dilate(sheet.owner, np.ones((3, 3), np.uint8))
    return np.where(sheet.owner > 0, sheet.owner, spread)


def warped_lines(sheet: Sheet, ink: WarpedInk, matrix: NDArray[np.float64], image: Pixels) -> list[Line]:
    """Every drawn line of which all words kept ink, with quads read from that ink."""
    extents = _extents(ink, sheet.words + 1)
    light = np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), np.uint8)
    lines, number = [], 0
    for drawn in sheet.lines:
        of_words = extents[number + 1 : number + 1 + len(drawn.words)]
        number += len(drawn.words)
        found = [extent for extent in of_words if extent is not None]
        if len(found) == len(of_words):
            lines.append(_line(drawn, found, matrix, ink.coverage, light))
    return lines


def _extents(ink: WarpedInk, count: int) -> list[InkExtent | None]:
    """Each word's ink by its number, on the document (without the perspective, but with the elastic effect)."""
    order = np.argsort(ink.owner, kind="stable")
    owner = ink.owner[order]
    words, starts, numbers = np.unique(owner, return_index=True, return_counts=True)
    result: list[InkExtent | None] = [None] * count
    if not len(words):
        return result
    x, y = ink.x[order] + 0.5, ink.y[order] + 0.5
    edges = [np.minimum.reduceat(x, starts), np.minimum.reduceat(y, starts)]
    edges += [np.maximum.reduceat(x, starts), np.maximum.reduceat(y, starts)]
    for word, pixels, x0, y0, x1, y1 in zip(
        words.tolist(), numbers.tolist(), *(edge.tolist() for edge in edges), strict=True
    ):
        if word:
            result[word] = InkExtent((x0, y0, x1, y1), pixels)
    return result


def _line(
    drawn: DrawnLine, extents: list[InkExtent], matrix: NDArray[np.float64], coverage: Pixels, light: Pixels
) -> Line:
    layout = effects.transform(rect_quad(drawn.layout), matrix)
    # from pixel centres to pixel edges: half an image pixel, measured in pixels of the document
    along, across = sides(layout)
    dx, dy = drawn.layout[2] - drawn.layout[0], drawn.layout[3] - drawn.layout[1]
    pad_x, pad_y = 0.5 * dx / max(along, 1e-6), 0.5 * dy / max(across, 1e-6)
    boxes = [(x0 - pad_x, y0 - pad_y, x1 + pad_x, y1 + pad_y) for x0, y0, x1, y1 in (e.rect for e in extents)]
    quad = effects.transform(rect_quad(union(boxes)), matrix)
    words = [
        Word(text, effects.transform(rect_quad(box), matrix)) for (text, _), box in zip(drawn.words, boxes, strict=True)
    ]
    expected = union([rect for _, rect in drawn.words])
    line = Line(drawn.text, quad, layout, words, drawn.group)
    line.ink_share = sum(extent.pixels for extent in extents) / max(abs(area(quad)), 1.0)
    line.pixel_height = sides(quad)[0 if drawn.vertical else 1]
    line.agreement = iou(quad, effects.transform(rect_quad(expected), matrix))
    line.contrast = _contrast(quad, coverage, light)
    return line


def _contrast(quad: Points, coverage: Pixels, light: Pixels) -> float:
    """The difference in mean luminance between the ink and its surroundings, on the final image."""
    x0, y0, x1, y1 = bounds(quad, light.shape[1], light.shape[0])
    mask, values = coverage[y0:y1, x0:x1], light[y0:y1, x0:x1]
    strong, clear = mask >= 160, mask < 8
    if not strong.any():
        strong = mask >= INK
    if not strong.any() or not clear.any():
        return 0.0
    return abs(float(values[strong].mean()) - float(values[clear].mean()))
