"""Draws lines of text on a document as glyph masks and records which word owns each pixel of ink."""

from collections import Counter
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from qvl.synth_ocr.page.geometry import Rect
from qvl.synth_ocr.page.page import Pixels
from qvl.synth_ocr.page.text import WIDE
from qvl.synth_ocr.scene.fonts import Face, as_drawn, covers, has_raqm, line_ratio, load
from qvl.synth_ocr.scene.layout import Box
from qvl.synth_ocr.scene.line_breaking import Unit, fill_line

Color = tuple[int, int, int]
TRIES = 3  # units that may be skipped to fill a box: too long for it, or not covered by any face
BLEND = True  # False draws everything except the text's colours, for measurements (benchmarks/ocr_rates.py)
INK = 96  # coverage (0..255) from which a pixel counts as ink
LEAST_SHRINK = 0.5  # of the size: text is not drawn smaller than this to fit
PAD = 0.4  # of the size: room for ink outside the advance width


@dataclass
class DrawnLine:
    """A line on the document. ``layout``: its advance by ascent plus descent. ``words``: text and ink bounds, in pixels."""

    text: str
    layout: Rect
    words: list[tuple[str, Rect]]
    group: int
    face: Face
    vertical: bool


@dataclass
class Sheet:
    """A document: its colours, how much ink covers each pixel (0..255), and the word that owns it (0: none)."""

    image: Pixels  # [height, width, 3]
    ink: Pixels
    owner: NDArray[np.uint16]
    lines: list[DrawnLine] = field(default_factory=list)
    lost: Counter[str] = field(default_factory=Counter)
    words: int = 0
    lacking: Counter[str] = field(default_factory=Counter)  # by requested face: first units that it does not cover
    requested: Counter[str] = field(default_factory=Counter)  # by requested face: first units that it was to draw


class Writer:
    """Fills boxes with the units of a passage, each used once, in faces that cover what they draw."""

    def __init__(self, sheet: Sheet, faces: list[Face], passage: list[Unit]) -> None:
        self.sheet, self.faces = sheet, faces
        self.begin(passage)

    def begin(self, passage: list[Unit]) -> None:
        """Continue with another passage."""
        self.passage, self.position = passage, 0

    def write(self, box: Box, face: Face, color: Color) -> None:
        """Fill one box with the passage's next units. A box into which nothing fits stays empty."""
        extent = (box.width if box.vertical else box.height) / line_ratio(face)
        size = int(extent)
        room = (box.height if box.vertical else box.width) * box.share
        if size < 6 or room < size:
            return
        for _ in range(TRIES):
            if box.vertical:
                self._skip_narrow()
            if self.position >= len(self.passage):
                return
            chosen = self._covering_face(self.passage[self.position].text, face)
            self.sheet.requested[face.name] += 1
            self.sheet.lacking[face.name] += chosen != face
            if chosen is None:
                self.sheet.lost["uncovered"] += 1
                self.position += 1
                continue
            size = int(extent * line_ratio(face) / line_ratio(chosen))
            if self._write_with(box, chosen, size, room, color):
                return
            self.position += 1

    def _write_with(self, box: Box, face: Face, size: int, room: float, color: Color) -> bool:
        """Fill the box from here on in one face; False if not even one unit fits."""
        run = self._covered(face, box.vertical)
        font = self._fitting_font(face, size, run[0].text, room, box.vertical)
        text, used = fill_line(run, 0, lambda line: length(font, line, box.vertical), room)
        if text:
            self.position += used
            self.draw_line(box, text, face, font, color)
        return bool(text)

    def _fitting_font(self, face: Face, size: int, first: str, room: float, upright: bool) -> ImageFont.FreeTypeFont:
        """The face at ``size``, or smaller so that the first unit fits: narrow boxes get long words too."""
        taken = length(load(face, size), first, upright)
        smaller = int(size * room / taken) if taken > room else size
        return load(face, smaller if smaller >= max(8, LEAST_SHRINK * size) else size)

    def _skip_narrow(self) -> None:
        """Skip units without wide characters, undrawn and unlabelled: vertical text has none."""
        while self.position < len(self.passage) and not is_wide(self.passage[self.position].text):
            self.position += 1

    def _covering_face(self, text: str, face: Face) -> Face | None:
        """The requested face if it covers the text, else the first that does."""
        if covers(face, as_drawn(face, text)):
            return face
        return next((other for other in self.faces if covers(other, as_drawn(other, text))), None)

    def _covered(self, face: Face, upright: bool) -> list[Unit]:
        """The units from the current position up to the first that the face does not cover."""
        run = []
        for unit in self.passage[self.position : self.position + 200]:
            drawn = Unit(as_drawn(face, unit.text), unit.blank)
            if not covers(face, drawn.text) or (upright and not is_wide(drawn.text)):
                break
            run.append(drawn)
        return run

    def draw_line(self, box: Box, text: str, face: Face, font: ImageFont.FreeTypeFont, color: Color) -> None:
        """Draw one line in its box, word by word. A line whose ink would leave the document or touch other ink is lost."""
        taken = length(font, text, box.vertical)
        free = (box.height if box.vertical else box.width) - taken
        shift = {"left": 0.0, "center": free / 2, "right": free}[box.align]
        ascent, descent = font.getmetrics()
        if box.vertical:
            origin, layout = (box.x, box.y + shift), (box.x, box.y + shift, box.x + box.width, box.y + shift + taken)
            pieces = [(text, 0.0)]
        else:
            origin = (box.x + shift, box.y + ascent)
            layout = (box.x + shift, box.y, box.x + shift + taken, box.y + ascent + descent)
            pieces = word_offsets(font, text)
        masks = [draw_mask(font, word, origin[0] + offset, origin[1], box.vertical) for word, offset in pieces]
        reason = self._blocked(masks)
        if reason:
            self.sheet.lost[reason] += 1
            return
        words = []
        for (word, _), mask in zip(pieces, masks, strict=True):
            if mask is not None:
                words.append((word, self._blend(*mask, color)))
        self.sheet.lines.append(DrawnLine(text, layout, words, box.group, face, box.vertical))

    def _blocked(self, masks: "list[Mask | None]") -> str:
        """Why the line cannot be drawn as its label says; empty if it can."""
        height, width = self.sheet.ink.shape
        for mask in masks:
            if mask is None:
                return "no_ink"
            pixels, x, y = mask
            if x < 1 or y < 1 or x + pixels.shape[1] > width - 1 or y + pixels.shape[0] > height - 1:
                return "over_edge"
            if self.sheet.ink[y : y + pixels.shape[0], x : x + pixels.shape[1]][pixels > 0].any():
                return "overlap"
        return ""

    def _blend(self, pixels: Pixels, x: int, y: int, color: Color) -> Rect:
        """Blend a mask onto the sheet and give its pixels to a new word. Returns the bounds of the word's ink."""
        sheet = self.sheet
        sheet.words += 1
        rows, cols = slice(y, y + pixels.shape[0]), slice(x, x + pixels.shape[1])
        alpha = pixels[..., None].astype(np.uint16)
        under = sheet.image[rows, cols].astype(np.uint16)
        over = np.array(color, np.uint16)
        if BLEND:
            sheet.image[rows, cols] = ((under * (255 - alpha) + over * alpha + 127) // 255).astype(np.uint8)
        np.maximum(sheet.ink[rows, cols], pixels, out=sheet.ink[rows, cols])
        sheet.owner[rows, cols][pixels > 0] = sheet.words
        strong = pixels >= INK if (pixels >= INK).any() else pixels > 0
        down, across = np.flatnonzero(strong.any(axis=1)), np.flatnonzero(strong.any(axis=0))
        return float(x + across[0]), float(y + down[0]), float(x + across[-1] + 1), float(y + down[-1] + 1)


Mask = tuple[Pixels, int, int]  # coverage, left, top on the document


def is_wide(text: str) -> bool:
    """Whether all characters are wide."""
    return all(WIDE.match(char) for char in text)


def length(font: ImageFont.FreeTypeFont, text: str, upright: bool) -> float:
    """The advance of the text in pixels."""
    if upright and not has_raqm():
        return float(len(text) * font.size)
    return float(font.getlength(text, direction="ttb")) if upright else float(font.getlength(text))


def word_offsets(font: ImageFont.FreeTypeFont, text: str) -> list[tuple[str, float]]:
    """Each word with the advance of the text before it."""
    found, start = [], 0
    for word in text.split(" "):
        found.append((word, float(font.getlength(text[:start]))))
        start += len(word) + 1
    return found


def draw_mask(font: ImageFont.FreeTypeFont, text: str, x: float, y: float, upright: bool) -> Mask | None:
    """The text's coverage, cropped to its ink, with its origin (baseline, or top of the column) at ``x, y``."""
    pad = int(font.size * PAD) + 2
    left, top = int(np.floor(x)) - pad, int(np.floor(y))
    along = int(length(font, text, upright)) + 2 * pad + 2
    if upright:
        top -= pad
        canvas = Image.new("L", (int(font.size * 1.6) + 2 * pad, along))
        ImageDraw.Draw(canvas).text((x - left, y - top), text, 255, font, direction="ttb", features=["vert"])
    else:
        ascent, descent = font.getmetrics()
        top -= ascent + pad
        canvas = Image.new("L", (along, ascent + descent + 2 * pad))
        ImageDraw.Draw(canvas).text((x - left, y - top), text, 255, font, anchor="ls")
    found = canvas.getbbox()
    if found is None:
        return None
    return np.asarray(canvas.crop(found), np.uint8), left + found[0], top + found[1]
