"""One scene: text on paper, bent and placed on a photograph; every quad read from ink in the final geometry."""

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from qvl.synth_ocr.page.geometry import Points, area, bounds, iou, rect_quad, sides, union
from qvl.synth_ocr.page.page import Line, Page, PageRejected, Pixels, Word
from qvl.synth_ocr.page.rules import PageRules, admit
from qvl.synth_ocr.page.text import clean
from qvl.synth_ocr.scene import effects
from qvl.synth_ocr.scene.corpus import Language, passage
from qvl.synth_ocr.scene.draw import Color, DrawnLine, Sheet, Writer
from qvl.synth_ocr.scene.fonts import Face
from qvl.synth_ocr.scene.forms import form_lines, form_plan
from qvl.synth_ocr.scene.layout import Area, Plan, between, plan
from qvl.synth_ocr.scene.lines import Unit, units
from qvl.synth_ocr.scene.pictures import Backgrounds, background, paper
from qvl.synth_ocr.scene.regions import faces_for, region_of
from qvl.synth_ocr.scene.settings import Canvas, Corpus, Effects, TextLayout

INK = 80  # coverage (0..255) from which a pixel of the warped mask counts as ink; bending thins the glyphs' edges


@dataclass(frozen=True)
class Stock:
    """What scenes are made of."""

    language: Language
    faces: list[Face]
    backgrounds: Backgrounds
    papers: list[str]
    texts: list[tuple[Corpus, str]]
    canvas: Canvas
    layout: TextLayout
    effects: Effects
    rules: PageRules


@dataclass(frozen=True)
class Warped:
    """The ink in the final geometry: pixel rows and columns, the word that owns each, its place on the document."""

    rows: NDArray[np.intp]
    columns: NDArray[np.intp]
    owner: NDArray[np.intp]
    x: NDArray[np.float32]
    y: NDArray[np.float32]
    ink: Pixels
    total: int


def scene(stock: Stock, rng: np.random.Generator) -> Page:
    """A page; equal generators and stock give equal pixels."""
    width, height = _size(stock.canvas, rng)
    sheet, kind = write(stock, _document_size(stock.canvas, width, height, rng), rng)
    high, wide = sheet.ink.shape
    corners = effects.perspective(stock.effects, wide, high, rng)
    corners = corners - corners.min(axis=0)
    free = np.maximum((width, height) - corners.max(axis=0), 0)
    matrix = effects.homography(wide, high, corners + rng.random(2) * free)
    sheet.image, grain = effects.noise(sheet.image, stock.effects, rng)
    behind_blur = between(stock.canvas.background_blur, rng)
    picture, passed = stock.backgrounds.pick(rng)
    behind = background(picture, width, height, behind_blur, rng)
    image, warped = _place(sheet, behind, matrix, stock.effects, rng)
    image, strengths = effects.finish(image, stock.effects, rng)
    lines = _lines(sheet, warped, matrix, image)
    kept, lost = admit(lines, stock.rules)
    counted = sum(line.ink_share * abs(area(line.quad)) for line in kept)
    missed = max(0.0, 1 - counted / warped.total) if warped.total else 0.0
    quality = int(rng.integers(stock.canvas.quality[0], stock.canvas.quality[1] + 1))
    fonts = sorted({line.face.name for line in sheet.lines})
    strengths |= {"noise": grain, "bend": 1 - abs(area(corners)) / (wide * high), "quality": quality}
    notes: dict[str, Any] = {name: round(value, 3) for name, value in strengths.items()}
    notes |= {"layout": kind, "asked": dict(sheet.placed), "lacking": dict(+sheet.lacks)}
    notes |= {"excluded_backgrounds": passed} if passed else {}
    return Page(image, kept, missed, sheet.lost + lost, fonts, notes, quality)


def _size(canvas: Canvas, rng: np.random.Generator) -> tuple[int, int]:
    upright = rng.random() >= canvas.landscape
    short = int(rng.integers(canvas.short_size[0], canvas.short_size[1] + 1))
    long = int(short * between(canvas.aspect_ratio, rng))
    return (short, long) if upright else (long, short)


def _document_size(canvas: Canvas, width: int, height: int, rng: np.random.Generator) -> tuple[int, int]:
    if rng.random() < canvas.fullscreen:
        return width, height
    upright = rng.random() >= canvas.document_landscape
    low, high = (min(width, height, side) for side in canvas.document_short_size)
    short = int(rng.integers(low, high + 1))
    long = min(height if upright else width, int(short * between(canvas.document_aspect_ratio, rng)))
    return (short, long) if upright else (long, short)


def write(stock: Stock, size: tuple[int, int], rng: np.random.Generator) -> tuple[Sheet, str]:
    """A document of ``size`` (width, height) with its text. Raises PageRejected where no face is of the text's region."""
    width, height = size
    image = paper(stock.papers, width, height, between(stock.canvas.paper_alpha, rng), rng)
    sheet = Sheet(image, np.zeros((height, width), np.uint8), np.zeros((height, width), np.uint16))
    x, y = width * between(stock.layout.margin, rng), height * between(stock.layout.margin, rng)
    room = (x, y, max(width - 2 * x, 1.0), max(height - 2 * y, 1.0))
    layout, texts = _plan(stock, room, rng)
    running = [] if texts else passage(stock.texts, rng)
    region = (
        region_of("".join(unit.text for each in (running, *texts) for unit in each)) if stock.language == "zh" else None
    )
    faces = faces_for(stock.faces, region)
    if not faces:
        raise PageRejected(f"no_{region}_font")
    writer = Writer(sheet, faces, running)
    shared = _color(stock.layout, rng) if rng.random() < stock.layout.content_color else None
    for x0, y0, x1, y1 in layout.rules:
        cv2.line(sheet.image, (round(x0), round(y0)), (round(x1), round(y1)), (90, 90, 90), 1)
    group, face = None, faces[0]
    for number, box in enumerate(layout.boxes):
        if texts:
            writer.begin(texts[number])
        if group is None or (layout.kind == "grid_stack" and box.group != group):
            face = faces[int(rng.integers(len(faces)))]
        group = box.group
        own = _color(stock.layout, rng) if rng.random() < stock.layout.textbox_color else (0, 0, 0)
        writer.write(box, face, shared or own)
    return sheet, layout.kind


def _plan(stock: Stock, room: Area, rng: np.random.Generator) -> tuple[Plan, list[list[Unit]]]:
    """The boxes; for a form also the text of each."""
    names = sorted(stock.layout.kinds)
    weights = np.array([stock.layout.kinds[name] for name in names])
    kind = names[int(rng.choice(len(names), p=weights / weights.sum()))]
    if kind == "vertical" and stock.language == "en":
        kind = "grid_stack"
    if kind != "form":
        return plan(stock.layout, kind, room, rng), []
    lines = form_lines(stock.language, rng)
    return form_plan(lines, room, rng), [list(units(clean(line))) for line in lines]


def _color(settings: TextLayout, rng: np.random.Generator) -> Color:
    """A colour as dark as a grey of the range (SynthDoG: gray, colorize 1)."""
    gray = int(rng.integers(settings.gray[0], settings.gray[1] + 1))
    tint = rng.random(3)
    red, green, blue = np.clip(tint * gray * 1.5, 0, 255).astype(int).tolist()
    return red, green, blue


def _place(
    sheet: Sheet, behind: Pixels, matrix: NDArray[np.float64], settings: Effects, rng: np.random.Generator
) -> tuple[Pixels, Warped]:
    """The document on its background, and its ink, all through one and the same map."""
    height, width = behind.shape[:2]
    x, y = effects.back_map(matrix, width, height)
    dx, dy = effects.jitter(settings, (height, width), rng)
    moved = (x + dx, y + dy)
    top = cv2.remap(sheet.image, *moved, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    inside = cv2.remap(np.full_like(sheet.ink, 255), *moved, cv2.INTER_NEAREST)
    image = np.asarray(cv2.copyTo(top, inside, behind.copy()), np.uint8)
    ink = np.asarray(cv2.remap(sheet.ink, *moved, cv2.INTER_LINEAR), np.uint8)
    owner = cv2.remap(_grown(sheet), *moved, cv2.INTER_NEAREST)
    rows, columns = np.nonzero(ink >= INK)
    owners = owner[rows, columns].astype(np.intp)
    return image, Warped(rows, columns, owners, x[rows, columns], y[rows, columns], ink, len(rows))


def _grown(sheet: Sheet) -> NDArray[np.uint16]:
    """Owners one pixel wider: interpolated ink reaches there."""
    spread = cv2.dilate(sheet.owner, np.ones((3, 3), np.uint8))
    return np.where(sheet.owner > 0, sheet.owner, spread)


def _lines(sheet: Sheet, warped: Warped, matrix: NDArray[np.float64], image: Pixels) -> list[Line]:
    """Every drawn line with quads read from the warped ink of its words."""
    found = _extents(warped, sheet.words + 1)
    light = np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), np.uint8)
    lines, number = [], 0
    for drawn in sheet.lines:
        rects = []
        promised = [rect for _, rect in drawn.words]
        for _ in drawn.words:
            number += 1
            rects.append(found[number])
        if all(rect is not None for rect in rects):
            lines.append(_line(drawn, [r for r in rects if r is not None], promised, matrix, warped, light))
    return lines


Extent = tuple[float, float, float, float, int]  # x0, y0, x1, y1 on the document, ink pixels in the image


def _extents(warped: Warped, count: int) -> list[Extent | None]:
    """Bounds of each word's ink on the document (undoing the perspective, not the elastic effect)."""
    order = np.argsort(warped.owner, kind="stable")
    owner = warped.owner[order]
    names, starts, numbers = np.unique(owner, return_index=True, return_counts=True)
    result: list[Extent | None] = [None] * count
    if not len(names):
        return result
    x, y = warped.x[order] + 0.5, warped.y[order] + 0.5
    edges = [np.minimum.reduceat(x, starts), np.minimum.reduceat(y, starts)]
    edges += [np.maximum.reduceat(x, starts), np.maximum.reduceat(y, starts)]
    for name, number, x0, y0, x1, y1 in zip(
        names.tolist(), numbers.tolist(), *(e.tolist() for e in edges), strict=True
    ):
        if name:
            result[name] = (x0, y0, x1, y1, number)
    return result


def _line(
    drawn: DrawnLine, rects: list[Extent], promised: list[tuple[float, float, float, float]], matrix: NDArray[np.float64],
    warped: Warped, light: Pixels,
) -> Line:  # fmt: skip
    layout = effects.carry(rect_quad(drawn.layout), matrix)
    # pixel centres to pixel edges: half an image pixel, in pixels of the document
    along, across = sides(layout)
    dx, dy = drawn.layout[2] - drawn.layout[0], drawn.layout[3] - drawn.layout[1]
    pad = 0.5 * dx / max(along, 1e-6), 0.5 * dy / max(across, 1e-6)
    boxes = [(x0 - pad[0], y0 - pad[1], x1 + pad[0], y1 + pad[1]) for x0, y0, x1, y1, _ in rects]
    quad = effects.carry(rect_quad(union(boxes)), matrix)
    words = [
        Word(text, effects.carry(rect_quad(box), matrix)) for (text, _), box in zip(drawn.words, boxes, strict=True)
    ]
    line = Line(drawn.text, quad, layout, words, drawn.group)
    line.ink_share = sum(rect[4] for rect in rects) / max(abs(area(quad)), 1.0)
    line.pixel_height = sides(quad)[0 if drawn.vertical else 1]
    line.agreement = iou(quad, effects.carry(rect_quad(union(promised)), matrix))
    line.contrast = _contrast(quad, warped.ink, light)
    return line


def _contrast(quad: Points, ink: Pixels, light: Pixels) -> float:
    """Difference of mean luminance of ink and of what surrounds it, on the final image."""
    x0, y0, x1, y1 = bounds(quad, light.shape[1], light.shape[0])
    mask, values = ink[y0:y1, x0:x1], light[y0:y1, x0:x1]
    strong, clear = mask >= 160, mask < 8
    if not strong.any():
        strong = mask >= INK
    if not strong.any() or not clear.any():
        return 0.0
    return abs(float(values[strong].mean()) - float(values[clear].mean()))
