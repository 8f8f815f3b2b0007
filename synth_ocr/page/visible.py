"""Which of the extracted words can be seen: the page with its text minus the page without it decides, per word."""

import math
from collections import Counter
from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from qvl.pipeline.markup.coordinates import box_iou
from qvl.synth_ocr.page.geometry import (
    Bools,
    Points,
    Rect,
    area,
    around,
    bounds,
    iou,
    rect_quad,
    sides,
    tight_quad,
    union,
)
from qvl.synth_ocr.page.layout import Piece
from qvl.synth_ocr.page.page import Line, Pixels, Word
from qvl.synth_ocr.page.text import LETTER, UNKNOWN, clean, joined

INK = 16  # change of a channel that counts as ink; 0.97 grey on white changes 8, yellow on white 255
LEAST_SHARE = 0.03  # ink pixels / pixels of the word's box; genuine text has 0.07 and more (traps, D)
LETTER_BEARING = 0.3  # of the font size: how far the ink of a letter may stay away from the end of its advance
SIGN_BEARING = 0.95  # the same for punctuation; that of Chinese fills half a square
HALF_HEIGHT = 0.6  # ink lower than this share of the glyphs' height: the word is cut along the line
INNER_GAP = 1.2  # of the font size: no word has such a hole, a covered one has
OVERLAP = 0.5
LAP = -0.25  # of the font size: words of one line do not stand so far in each other
WORD_GAP = 2.0  # of the font size: farther apart are two records (columns, cells)


@dataclass(slots=True)
class Seen:
    """A word with its ink (bounds, and a quad where it is turned), or the reason why it is no record.

    ``gap``: blank before it along its line, in font sizes; set where words are joined to lines.
    """

    piece: Piece
    text: str
    rect: Rect | None
    reason: str = ""
    turned: Points | None = None
    gap: float = 0.0

    @property
    def quad(self) -> Points:
        assert self.rect is not None
        return rect_quad(self.rect, self.piece.heading) if self.turned is None else self.turned


@dataclass
class Evidence:
    """``change``: per pixel, how much the text changed it (0..255). ``ink``: where that counts."""

    change: Pixels
    ink: Bools = field(init=False)
    mask: Pixels = field(init=False)  # the same, 0 and 1

    def __post_init__(self) -> None:
        self.ink = self.change > INK
        self.mask = self.ink.view(np.uint8)


def change_of(with_text: Pixels, without: Pixels) -> Pixels:
    """The largest change of a channel, per pixel."""
    red, green, blue = cv2.split(cv2.absdiff(with_text, without))
    return np.asarray(cv2.max(cv2.max(red, green), blue), np.uint8)


def judge(pieces: list[Piece], evidence: Evidence) -> list[Seen]:
    """Every piece with its ink quad or a reason; words drawn twice (false bold, shadow) come once."""
    height, width = evidence.ink.shape
    owner: NDArray[np.int32] = np.full((height, width), -1, np.int32)
    seen: list[Seen] = []
    for piece in pieces:
        text = clean(piece.text)
        if not text:
            continue
        one = _look(piece, text, evidence)
        if UNKNOWN.search(text) and not one.reason:
            one.reason = "unknown_character"  # its ink stays unlabelled, the rest of its line is good
        if not one.reason:
            _own(one, seen, owner)
        seen.append(one)
    return seen


def _look(piece: Piece, text: str, evidence: Evidence) -> Seen:
    height, width = evidence.ink.shape
    px0, py0, px1, py1 = piece.rect
    x0, y0 = max(0, math.floor(px0) - 1), max(0, math.floor(py0) - 1)
    x1, y1 = min(width, math.ceil(px1) + 1), min(height, math.ceil(py1) + 1)
    if x1 <= x0 or y1 <= y0:
        return Seen(piece, text, None, "outside")
    if piece.turned is not None:
        return _look_turned(piece, text, piece.turned, evidence, (x0, y0, x1, y1))
    mask = evidence.mask[y0:y1, x0:x1]
    count = cv2.countNonZero(mask)
    if count < 2 or count < LEAST_SHARE * max((px1 - px0) * (py1 - py0), 1.0):
        return Seen(piece, text, None, "invisible")
    left, top, wide, high = cv2.boundingRect(mask)
    rect = (float(x0 + left), float(y0 + top), float(x0 + left + wide), float(y0 + top + high))
    return Seen(piece, text, rect, "cut" if _is_cut(piece, text, rect, mask) else "")


def _look_turned(
    piece: Piece, text: str, promised: Points, evidence: Evidence, place: tuple[int, int, int, int]
) -> Seen:
    x0, y0, x1, y1 = place
    inside = np.zeros((y1 - y0, x1 - x0), np.uint8)
    cv2.fillConvexPoly(inside, np.round(promised - (x0, y0)).astype(np.int32), 1)
    ink = evidence.ink[y0:y1, x0:x1] & inside.astype(bool)
    quad = tight_quad(ink, x0, y0, piece.direction)
    count = int(np.count_nonzero(ink))
    if quad is None or count < 2 or count < LEAST_SHARE * max(abs(area(promised)), 1.0):
        return Seen(piece, text, None, "invisible")
    (ax, ay), (bx, by) = quad.min(axis=0).tolist(), quad.max(axis=0).tolist()
    return Seen(piece, text, (ax, ay, bx, by), "", quad)


def _is_cut(piece: Piece, text: str, rect: Rect, mask: Pixels) -> bool:
    """Part of the word's glyphs is hidden: its ink stays away from a promised side, or has a hole, or is too low."""
    px0, py0, px1, py1 = piece.rect
    dx, dy = piece.direction
    if abs(dx) >= abs(dy):
        missing, thick, found = (rect[0] - px0, px1 - rect[2]), py1 - py0, rect[3] - rect[1]
    else:
        missing, thick, found = (rect[1] - py0, py1 - rect[3]), px1 - px0, rect[2] - rect[0]
    if dx + dy < 0:
        missing = missing[::-1]
    size = piece.size or thick
    for char, gap in zip((text[0], text[-1]), missing, strict=True):
        if gap > 2.0 and gap > size * (LETTER_BEARING if LETTER.match(char) else SIGN_BEARING):
            return True
    if not LETTER.search(text):
        return False
    if thick > 5 and found < HALF_HEIGHT * (thick - 1):
        return True
    limit = max(4.0, INNER_GAP * size)
    level = abs(dx) >= abs(dy)
    if (rect[2] - rect[0] if level else rect[3] - rect[1]) <= limit:
        return False
    along: bytes = cv2.reduce(mask, 0 if level else 1, cv2.REDUCE_MAX).tobytes()
    return bytes(math.floor(limit)) in along.strip(b"\0")


def _own(one: Seen, seen: list[Seen], owner: NDArray[np.int32]) -> None:
    """Claim the word's pixels; a place that another word holds already makes one of them a copy, or both doubtful."""
    assert one.rect is not None
    x0, y0, x1, y1 = (max(0, int(value)) for value in one.rect)
    place = owner[y0 : y1 + 1, x0 : x1 + 1]
    taken = int(place[place.shape[0] // 2, place.shape[1] // 2]) if place.size else -1
    if taken < 0:
        place[...] = len(seen)
    elif np.count_nonzero(place == taken) > OVERLAP * place.size:
        other = seen[taken]
        if other.text == one.text and other.rect is not None:
            other.rect = union([other.rect, one.rect])
            one.reason = "copy"
        else:
            one.reason = other.reason = "overlap"


def lines_of(seen: list[Seen], evidence: Evidence) -> tuple[list[Line], Counter[str]]:
    """Visible words as lines: runs of one extracted line without a lost word and without a wide gap."""
    runs: list[list[Seen]] = []
    lost: Counter[str] = Counter()
    broken: tuple[int, int] | None = None
    for one in seen:
        if one.reason:
            lost[one.reason] += 1
            broken = one.piece.line if one.reason != "copy" else broken
            continue
        last = runs[-1][-1] if runs else None
        if last is not None and last.piece.line == one.piece.line != broken:
            one.gap = _gap(last, one)
            joins = one.gap <= WORD_GAP and not (one.gap < LAP and _meet(last, one))
        else:
            joins = False
        if joins:
            runs[-1].append(one)
        else:
            runs.append([one])
        broken = None
    return [_line(run, evidence) for run in runs], lost


def _meet(left: Seen, right: Seen) -> bool:
    """Whether two upright words share a part of their line: cells that run into each other, not words of one line."""
    if left.rect is None or right.rect is None or right.turned is not None:
        return False
    axis = 0 if right.piece.direction[0] else 1
    return right.rect[axis + 2] > left.rect[axis] and left.rect[axis + 2] > right.rect[axis]


def _gap(left: Seen, right: Seen) -> float:
    """Blank between two words along the line, in font sizes."""
    dx, dy = right.piece.direction
    if left.rect is not None and right.rect is not None and right.turned is None:
        axis = 0 if dx else 1
        forward = dx + dy > 0
        step = right.rect[axis] - left.rect[axis + 2] if forward else left.rect[axis] - right.rect[axis + 2]
        return step / max(right.piece.size, 1.0)
    ahead = min(x * dx + y * dy for x, y in right.quad.tolist())
    behind = max(x * dx + y * dy for x, y in left.quad.tolist())
    step = ahead - behind
    return float(step) / max(right.piece.size, 1.0)


def _line(run: list[Seen], evidence: Evidence) -> Line:
    text = run[0].text
    for one in run[1:]:
        text = joined(text, one.text) if one.gap < 0.4 else f"{text} {one.text}"
    words = [Word(one.text, one.quad) for one in run]
    piece = run[0].piece
    if run[0].turned is None:
        ink, promised = union([one.rect for one in run if one.rect is not None]), union([one.piece.rect for one in run])
        layout = rect_quad(union([one.piece.tall for one in run]), piece.heading)
        line = Line(text, rect_quad(ink, piece.heading), layout, words, piece.line[0])
        return measure(line, box_iou(ink, promised), evidence)
    quad, layout = around([word.quad for word in words]), around([one.piece.layout for one in run])
    return measure(Line(text, quad, layout, words, piece.line[0]), iou(quad, layout), evidence)


def measure(line: Line, agreement: float, evidence: Evidence) -> Line:
    """Fill in what the pixels say about a line."""
    height, width = evidence.ink.shape
    x0, y0, x1, y1 = bounds(line.quad, width, height)
    ink = evidence.mask[y0:y1, x0:x1]
    count = cv2.countNonZero(ink) if ink.size else 0
    line.ink_share = count / max(abs(area(line.quad)), 1.0)
    line.contrast = float(cv2.mean(evidence.change[y0:y1, x0:x1], ink)[0]) if count else 0.0
    line.pixel_height = sides(line.quad)[1]
    line.agreement = agreement
    return line


def unlabelled(lines: list[Line], evidence: Evidence, margin: int = 2) -> float:
    """Share of the ink that lies in no line's box."""
    total = cv2.countNonZero(evidence.mask)
    if not total:
        return 0.0
    rest = evidence.mask.copy()
    if lines:
        quads = np.stack([line.quad for line in lines])
        grown = np.round(quads + np.sign(quads - quads.mean(axis=1, keepdims=True)) * margin).astype(np.int32)
        for points in grown:
            cv2.fillConvexPoly(rest, points, 0)
    return cv2.countNonZero(rest) / total
