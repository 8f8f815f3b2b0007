"""Which of the extracted words can be seen: the page with its text minus the page without it decides, per word."""

from collections import Counter
from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from synth_ocr.geometry import Bools, Points, area, around, bounds, heading, iou, rect_quad, sides, tight_quad
from synth_ocr.page import Line, Pixels, Word
from synth_ocr.pdf.layout import Piece
from synth_ocr.text import LETTER, clean, joined

INK = 16  # change of a channel that counts as ink; 0.97 grey on white changes 8, yellow on white 255
LEAST_SHARE = 0.03  # ink pixels / pixels of the word's box; genuine text has 0.07 and more (traps, D)
LETTER_BEARING = 0.3  # of the font size: how far the ink of a letter may stay away from the end of its advance
SIGN_BEARING = 0.95  # the same for punctuation; that of Chinese fills half a square
HALF_HEIGHT = 0.6  # ink lower than this share of the glyphs' height: the word is cut along the line
INNER_GAP = 1.2  # of the font size: no word has such a hole, a covered one has
OVERLAP = 0.5
WORD_GAP = 2.0  # of the font size: farther apart are two records (columns, cells)


@dataclass
class Seen:
    """A word with its ink, or the reason why it is no record."""

    piece: Piece
    text: str
    quad: Points | None
    reason: str = ""


@dataclass
class Evidence:
    """``change``: per pixel, how much the text changed it (0..255). ``ink``: where that counts."""

    change: Pixels
    ink: Bools = field(init=False)

    def __post_init__(self) -> None:
        self.ink = self.change > INK


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
        if not one.reason and one.quad is not None:
            _own(one, seen, owner)
        seen.append(one)
    return seen


def _look(piece: Piece, text: str, evidence: Evidence) -> Seen:
    height, width = evidence.ink.shape
    x0, y0, x1, y1 = bounds(piece.quad, width, height, margin=1)
    if x1 - x0 < 1 or y1 - y0 < 1:
        return Seen(piece, text, None, "outside")
    ink = evidence.ink[y0:y1, x0:x1]
    if not piece.upright:
        mask = np.zeros(ink.shape, np.uint8)
        cv2.fillConvexPoly(mask, np.round(piece.quad - (x0, y0)).astype(np.int32), 1)
        ink = ink & mask.astype(bool)
    count = int(np.count_nonzero(ink))
    if count < 2 or count < LEAST_SHARE * max(abs(area(piece.quad)), 1.0):
        return Seen(piece, text, None, "invisible")
    if not piece.upright:
        return Seen(piece, text, tight_quad(ink, x0, y0, piece.direction))
    columns, rows = np.flatnonzero(ink.any(axis=0)), np.flatnonzero(ink.any(axis=1))
    rect = (x0 + columns[0], y0 + rows[0], x0 + columns[-1] + 1.0, y0 + rows[-1] + 1.0)
    quad = rect_quad(rect, heading(piece.quad))
    return Seen(piece, text, quad, "cut" if _is_cut(piece, text, rect, columns, rows) else "")


def _is_cut(
    piece: Piece, text: str, rect: tuple[float, float, float, float], columns: NDArray[np.intp], rows: NDArray[np.intp]
) -> bool:
    """Part of the word's glyphs is hidden: its ink stays away from a promised side, or has a hole."""
    (px0, py0), (px1, py1) = piece.quad.min(axis=0), piece.quad.max(axis=0)
    across = abs(piece.direction[0]) >= abs(piece.direction[1])
    thick = (py1 - py0) if across else (px1 - px0)
    missing = (rect[0] - px0, px1 - rect[2]) if across else (rect[1] - py0, py1 - rect[3])
    backwards = sum(piece.direction) < 0
    for char, gap in zip((text[0], text[-1]), reversed(missing) if backwards else missing, strict=True):
        bearing = LETTER_BEARING if LETTER.match(char) else SIGN_BEARING
        if gap > max(2.0, bearing * (piece.size or thick)):
            return True
    along, over = (columns, rows) if across else (rows, columns)
    if not LETTER.search(text):
        return False
    hole = int(np.max(np.diff(along), initial=0))
    return hole > max(4.0, INNER_GAP * piece.size) or (
        thick > 5 and (over[-1] - over[0] + 1) < HALF_HEIGHT * (thick - 1)
    )


def _own(one: Seen, seen: list[Seen], owner: NDArray[np.int32]) -> None:
    """Claim the word's pixels; a place that another word holds already makes one of them a copy, or both doubtful."""
    assert one.quad is not None
    x0, y0, x1, y1 = bounds(one.quad, owner.shape[1], owner.shape[0])
    place = owner[y0:y1, x0:x1]
    taken = int(place[place.shape[0] // 2, place.shape[1] // 2]) if place.size else -1
    if taken >= 0 and np.count_nonzero(place == taken) > OVERLAP * place.size:
        other = seen[taken]
        if other.text == one.text and other.quad is not None:
            other.quad = around([other.quad, one.quad])
            one.reason = "copy"
        else:
            one.reason = other.reason = "overlap"
        return
    place[...] = len(seen)


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
        if last is None or last.piece.line != one.piece.line or broken == one.piece.line or _gap(last, one) > WORD_GAP:
            runs.append([one])
        else:
            runs[-1].append(one)
        broken = None
    return [_line(run, evidence) for run in runs], lost


def _gap(left: Seen, right: Seen) -> float:
    """Blank between two words along the line, in font sizes."""
    assert left.quad is not None and right.quad is not None
    dx, dy = right.piece.direction
    ahead = min(x * dx + y * dy for x, y in right.quad.tolist())
    behind = max(x * dx + y * dy for x, y in left.quad.tolist())
    step = ahead - behind
    return float(step) / max(right.piece.size, 1.0)


def _line(run: list[Seen], evidence: Evidence) -> Line:
    text = ""
    words = []
    for number, one in enumerate(run):
        close = number and _gap(run[number - 1], one) < 0.4
        text = joined(text, one.text) if close else f"{text} {one.text}".strip()
        assert one.quad is not None
        words.append(Word(one.text, one.quad))
    quad = around([word.quad for word in words])
    layout = around([one.piece.layout for one in run])
    line = Line(text, quad, layout, words, run[0].piece.line[0])
    promised = around([one.piece.quad for one in run])
    return measure(line, promised, evidence)


def measure(line: Line, promised: Points, evidence: Evidence) -> Line:
    """Fill in what the pixels say about a line."""
    height, width = evidence.ink.shape
    x0, y0, x1, y1 = bounds(line.quad, width, height)
    ink = evidence.ink[y0:y1, x0:x1]
    count = int(np.count_nonzero(ink))
    line.ink_share = count / max(abs(area(line.quad)), 1.0)
    line.contrast = float(evidence.change[y0:y1, x0:x1][ink].mean()) if count else 0.0
    line.pixel_height = sides(line.quad)[1]
    line.agreement = iou(line.quad, promised)
    return line


def unlabelled(lines: list[Line], evidence: Evidence, margin: int = 2) -> float:
    """Share of the ink that lies in no line's box."""
    total = int(np.count_nonzero(evidence.ink))
    if not total:
        return 0.0
    rest = evidence.ink.astype(np.uint8)
    for line in lines:
        points = np.round(line.quad + np.sign(line.quad - line.quad.mean(axis=0)) * margin).astype(np.int32)
        cv2.fillConvexPoly(rest, points, 0)
    return int(np.count_nonzero(rest)) / total
