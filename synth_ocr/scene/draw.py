"""Lines of text as glyph masks on a document, with the ink of every word kept apart."""

from collections import Counter
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from qvl.synth_ocr.page.geometry import Rect
from qvl.synth_ocr.page.page import Pixels
from qvl.synth_ocr.page.text import WIDE
from qvl.synth_ocr.scene.fonts import Face, covers, has_raqm, line_ratio, load, shown
from qvl.synth_ocr.scene.layout import Box
from qvl.synth_ocr.scene.lines import Unit, fill

Color = tuple[int, int, int]
TRIES = 3  # units that may be passed over to fill a box: too long for it, or not covered by any face
BLEND = True  # off: everything but the text's colours, for measuring (benchmarks/ocr_rates.py)
INK = 96  # coverage (0..255) from which a pixel counts as ink
SHRINK = 0.5  # of the size: less is not tried
PAD = 0.4  # of the size: room for ink beyond the advance width


@dataclass
class DrawnLine:
    """A line on the document. ``layout``: advance by ascent and descent. ``words``: text and ink rectangle, pixels."""

    text: str
    layout: Rect
    words: list[tuple[str, Rect]]
    group: int
    face: Face
    vertical: bool


@dataclass
class Sheet:
    """A document: its colours, how much ink covers each pixel, and to which word the ink belongs (0: none)."""

    image: Pixels  # [height, width, 3]
    ink: Pixels
    owner: NDArray[np.uint16]
    lines: list[DrawnLine] = field(default_factory=list)
    lost: Counter[str] = field(default_factory=Counter)
    words: int = 0
    lacks: Counter[str] = field(default_factory=Counter)  # by wanted face: units that it does not cover
    placed: Counter[str] = field(default_factory=Counter)  # by wanted face: units that were asked of it


class Writer:
    """Fills boxes from a passage, each unit once, with faces that cover what is drawn."""

    def __init__(self, sheet: Sheet, faces: list[Face], passage: list[Unit]) -> None:
        self.sheet, self.faces = sheet, faces
        self.begin(passage)

    def begin(self, passage: list[Unit]) -> None:
        """Go on with another text."""
        self.passage, self.place = passage, 0

    def write(self, box: Box, face: Face, color: Color) -> None:
        """Fill one box with the passage's next units; a box that nothing fits stays empty."""
        extent = (box.width if box.vertical else box.height) / line_ratio(face)
        size = int(extent)
        room = (box.height if box.vertical else box.width) * box.share
        if size < 6 or room < size:
            return
        for _ in range(TRIES):
            self._skip_foreign(box.vertical)
            if self.place >= len(self.passage):
                return
            chosen = self._face(self.passage[self.place].text, face)
            self.sheet.placed[face.name] += 1
            self.sheet.lacks[face.name] += chosen != face
            if chosen is None:
                self.sheet.lost["uncovered"] += 1
                self.place += 1
                continue
            run = self._covered(chosen, box.vertical)
            font = self._fitting(
                chosen, int(extent * line_ratio(face) / line_ratio(chosen)), run[0].text, room, box.vertical
            )
            text, used = fill(run, 0, lambda t, font=font: length(font, t, box.vertical), room)  # type: ignore[misc]
            if text:
                self.place += used
                self.put(box, text, chosen, font, color)
                return
            self.place += 1

    def _fitting(self, face: Face, size: int, first: str, room: float, upright: bool) -> ImageFont.FreeTypeFont:
        """The face at ``size``, or so much smaller that the first unit fits: narrow boxes get long words too."""
        taken = length(load(face, size), first, upright)
        smaller = int(size * room / taken) if taken > room else size
        return load(face, smaller if smaller >= max(8, SHRINK * size) else size)

    def _skip_foreign(self, upright: bool) -> None:
        """In vertical text only wide characters stand; others are passed over, undrawn and unlabelled."""
        while upright and self.place < len(self.passage) and not wide(self.passage[self.place].text):
            self.place += 1

    def _face(self, text: str, face: Face) -> Face | None:
        """The wanted face where it covers the text, else the next that does."""
        if covers(face, shown(face, text)):
            return face
        return next((other for other in self.faces if covers(other, shown(other, text))), None)

    def _covered(self, face: Face, upright: bool) -> list[Unit]:
        """The units from here on up to the first that the face does not cover."""
        run = []
        for unit in self.passage[self.place : self.place + 200]:
            drawn = Unit(shown(face, unit.text), unit.blank)
            if not covers(face, drawn.text) or (upright and not wide(drawn.text)):
                break
            run.append(drawn)
        return run

    def put(self, box: Box, text: str, face: Face, font: ImageFont.FreeTypeFont, color: Color) -> None:
        """Draw one line in its box, each word apart; a line whose ink leaves the document or meets other ink is dropped."""
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
            pieces = placed(font, text)
        masks = [stamp(font, word, origin[0] + at, origin[1], box.vertical) for word, at in pieces]
        reason = self._blocked(masks)
        if reason:
            self.sheet.lost[reason] += 1
            return
        words = []
        for (word, _), mask in zip(pieces, masks, strict=True):
            if mask is not None:
                words.append((word, self._ink(*mask, color)))
        self.sheet.lines.append(DrawnLine(text, layout, words, box.group, face, box.vertical))

    def _blocked(self, masks: "list[Stamp | None]") -> str:
        """Why the line cannot be drawn as its label says: empty where it can."""
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

    def _ink(self, pixels: Pixels, x: int, y: int, color: Color) -> Rect:
        """Blend a mask onto the sheet and own its pixels."""
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


Stamp = tuple[Pixels, int, int]  # coverage, left, top on the document


def wide(text: str) -> bool:
    return all(WIDE.match(char) for char in text)


def length(font: ImageFont.FreeTypeFont, text: str, upright: bool) -> float:
    """Advance of the text in pixels."""
    if upright and not has_raqm():
        return float(len(text) * font.size)
    return float(font.getlength(text, direction="ttb")) if upright else float(font.getlength(text))


def placed(font: ImageFont.FreeTypeFont, text: str) -> list[tuple[str, float]]:
    """Each word with the advance of what stands before it."""
    found, start = [], 0
    for word in text.split(" "):
        found.append((word, float(font.getlength(text[:start]))))
        start += len(word) + 1
    return found


def stamp(font: ImageFont.FreeTypeFont, text: str, x: float, y: float, upright: bool) -> Stamp | None:
    """Coverage of the text with its origin (baseline, or top of the column) at ``x, y``; cut to its ink."""
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
