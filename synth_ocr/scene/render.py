"""Renders one scene: text on paper, bent and placed on a photograph, with effects over the whole image."""

from dataclasses import asdict, dataclass

import cv2
import numpy as np

from qvl.synth_ocr.page.geometry import area
from qvl.synth_ocr.page.notes import SceneNotes
from qvl.synth_ocr.page.page import Page, PageRejected
from qvl.synth_ocr.page.rules import PageRules, split_readable
from qvl.synth_ocr.page.text import clean
from qvl.synth_ocr.scene import effects
from qvl.synth_ocr.scene.chinese_regions import faces_for, region_of
from qvl.synth_ocr.scene.corpus import Language, passage
from qvl.synth_ocr.scene.draw import Color, Sheet, Writer
from qvl.synth_ocr.scene.fonts import Face
from qvl.synth_ocr.scene.forms import form_lines, form_plan
from qvl.synth_ocr.scene.layout import Area, Plan, between, plan
from qvl.synth_ocr.scene.line_breaking import Unit, units
from qvl.synth_ocr.scene.photographs import Backgrounds, background, paper
from qvl.synth_ocr.scene.settings import Canvas, Corpus, Effects, TextLayout
from qvl.synth_ocr.scene.warp import place_document, warped_lines

BLACK: Color = (0, 0, 0)
RULE_COLOR: Color = (90, 90, 90)


@dataclass(frozen=True)
class Stock:
    """Everything from which the scenes of a source are made."""

    language: Language
    faces: list[Face]
    backgrounds: Backgrounds
    papers: list[str]
    texts: list[tuple[Corpus, str]]
    canvas: Canvas
    layout: TextLayout
    effects: Effects
    rules: PageRules


def render_scene(stock: Stock, rng: np.random.Generator) -> Page:
    """A page. Equal generators and stock give equal pixels."""
    width, height = _image_size(stock.canvas, rng)
    sheet, layout = write_document(stock, _document_size(stock.canvas, width, height, rng), rng)
    high, wide = sheet.ink.shape
    corners = effects.perspective(stock.effects, wide, high, rng)
    corners = corners - corners.min(axis=0)
    free = np.maximum((width, height) - corners.max(axis=0), 0)
    matrix = effects.homography(wide, high, corners + rng.random(2) * free)
    sheet.image, noise = effects.noise(sheet.image, stock.effects, rng)
    sigma = between(stock.canvas.background_blur, rng)
    picture, rejected = stock.backgrounds.pick(rng)
    behind = background(picture, width, height, sigma, rng)
    image, ink = place_document(sheet, behind, matrix, stock.effects, rng)
    image, strengths = effects.apply_image_effects(image, stock.effects, rng)
    kept, lost = split_readable(warped_lines(sheet, ink, matrix, image), stock.rules)
    labelled = sum(line.ink_share * abs(area(line.quad)) for line in kept)
    unlabelled = max(0.0, 1 - labelled / ink.total) if ink.total else 0.0
    quality = int(rng.integers(stock.canvas.quality[0], stock.canvas.quality[1] + 1))
    fonts = sorted({line.face.name for line in sheet.lines})
    notes = SceneNotes(
        **{name: round(value, 3) for name, value in asdict(strengths).items()},
        noise=round(noise, 3), bend=round(1 - abs(area(corners)) / (wide * high), 3), quality=quality, layout=layout,
        asked=dict(sheet.requested), lacking=dict(+sheet.lacking), excluded_backgrounds=rejected,
    )  # fmt: skip
    return Page(image, kept, unlabelled, sheet.lost + lost, fonts, notes, quality)


def _image_size(canvas: Canvas, rng: np.random.Generator) -> tuple[int, int]:
    """Width and height of the image."""
    upright = rng.random() >= canvas.landscape
    short = int(rng.integers(canvas.short_size[0], canvas.short_size[1] + 1))
    long = int(short * between(canvas.aspect_ratio, rng))
    return (short, long) if upright else (long, short)


def _document_size(canvas: Canvas, width: int, height: int, rng: np.random.Generator) -> tuple[int, int]:
    """Width and height of the document on an image of the given size."""
    if rng.random() < canvas.fullscreen:
        return width, height
    upright = rng.random() >= canvas.document_landscape
    low, high = (min(width, height, side) for side in canvas.document_short_size)
    short = int(rng.integers(low, high + 1))
    long = min(height if upright else width, int(short * between(canvas.document_aspect_ratio, rng)))
    return (short, long) if upright else (long, short)


def write_document(stock: Stock, size: tuple[int, int], rng: np.random.Generator) -> tuple[Sheet, str]:
    """A document of ``size`` (width, height) with its text, and the kind of its layout.

    Raises PageRejected if no face belongs to the region of the text.
    """
    width, height = size
    image = paper(stock.papers, width, height, between(stock.canvas.paper_alpha, rng), rng)
    sheet = Sheet(image, np.zeros((height, width), np.uint8), np.zeros((height, width), np.uint16))
    x, y = width * between(stock.layout.margin, rng), height * between(stock.layout.margin, rng)
    room = (x, y, max(width - 2 * x, 1.0), max(height - 2 * y, 1.0))
    layout, texts = _plan(stock, room, rng)
    running = [] if texts else passage(stock.texts, rng)
    faces = _faces(stock, [running, *texts])
    writer = Writer(sheet, faces, running)
    shared = _color(stock.layout, rng) if rng.random() < stock.layout.content_color else None
    for x0, y0, x1, y1 in layout.rules:
        cv2.line(sheet.image, (round(x0), round(y0)), (round(x1), round(y1)), RULE_COLOR, 1)
    group, face = None, faces[0]
    for number, box in enumerate(layout.boxes):
        if texts:
            writer.begin(texts[number])
        if group is None or (layout.kind == "grid_stack" and box.group != group):
            face = faces[int(rng.integers(len(faces)))]
        group = box.group
        own = _color(stock.layout, rng) if rng.random() < stock.layout.textbox_color else BLACK
        writer.write(box, face, shared or own)
    return sheet, layout.kind


def _faces(stock: Stock, texts: list[list[Unit]]) -> list[Face]:
    """The faces for the texts' region. Raises PageRejected if there is none."""
    joined = "".join(unit.text for text in texts for unit in text)
    region = region_of(joined) if stock.language == "zh" else None
    faces = faces_for(stock.faces, region)
    if not faces:
        raise PageRejected(f"no_{region}_font")
    return faces


def _plan(stock: Stock, room: Area, rng: np.random.Generator) -> tuple[Plan, list[list[Unit]]]:
    """The boxes, and for a form also the text of each."""
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
