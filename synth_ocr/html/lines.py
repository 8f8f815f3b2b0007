"""Fragments to verified lines: merged along a line, measured on the differential shot, words cut at ink gaps."""

import unicodedata
from collections import Counter
from dataclasses import dataclass
from functools import cache
from subprocess import run

import cv2
import numpy as np

from qvl.synth_ocr.html.tree import Fragment
from qvl.synth_ocr.page.geometry import Points, Rect, area, around, bounds, heading, rect_quad, tight_quad
from qvl.synth_ocr.page.page import Line, Pixels, Word
from qvl.synth_ocr.page.text import LETTER, PRIVATE_USE, TABLE, WIDE, clean, runs_left
from qvl.synth_ocr.page.visible import LEAST_SHARE, LETTER_BEARING, SIGN_BEARING, Evidence, measure

EDGE = 0.75  # device pixels that a box may stand over the picture's edge: boxes are fractional
HOLE = 3.0  # of the font size: ink of one fragment has no such gap
UNDERLINE = 0.85  # a row with so much ink is a line under (or through) the text
LEAST_BLANK = 0.15  # of the font size, between two words' ink
LOW = 0.25  # ink lower than this share of the font size, in a fragment with letters: covered or clipped


@dataclass
class Piece:
    """A fragment with its ink."""

    fragment: Fragment
    text: str
    quad: Points


def read_lines(fragments: list[Fragment], evidence: Evidence) -> tuple[list[Line], Counter[str]]:
    """Lines in document order, and what was dropped for what."""
    lost: Counter[str] = Counter()
    runs: list[list[Piece]] = []
    broken = False
    for fragment in fragments:
        piece, reason = look(fragment, evidence)
        if piece is None:
            lost[reason] += 1
            broken = True
        elif runs and not broken and follows(runs[-1][-1], piece):
            runs[-1].append(piece)
        else:
            runs.append([piece])
        if piece is not None:
            broken = False
    blocks: dict[tuple[int, int], int] = {}
    return [_line(each, blocks.setdefault(each[0].fragment.block, len(blocks)), evidence) for each in runs], lost


def look(fragment: Fragment, evidence: Evidence) -> tuple[Piece | None, str]:
    """The fragment's ink, or the reason why it is no record."""
    text = clean(fragment.text)
    height, width = evidence.ink.shape
    (left, top), (right, bottom) = fragment.quad.min(axis=0), fragment.quad.max(axis=0)
    if not text or right <= 0 or bottom <= 0 or left >= width or top >= height:
        return None, "outside" if text else "empty"
    if left < -EDGE or top < -EDGE or right > width + EDGE or bottom > height + EDGE:
        return None, "cut_by_edge"
    if is_tofu(fragment.text):
        return None, "tofu"
    x0, y0, x1, y1 = bounds(fragment.quad, width, height, margin=1)
    mask = evidence.mask[y0:y1, x0:x1]
    if not fragment.upright:
        inside = np.zeros(mask.shape, np.uint8)
        cv2.fillConvexPoly(inside, np.round(fragment.quad - (x0, y0)).astype(np.int32), 1)
        mask = mask & inside
    count = cv2.countNonZero(mask) if mask.size else 0
    if count < 2 or count < LEAST_SHARE * 0.5 * abs(area(fragment.quad)):
        return None, "invisible"
    if fragment.upright:
        quad = rect_quad(ink_rect(mask, x0, y0))
    else:
        found = tight_quad(mask.view(bool), x0, y0, fragment.direction)
        assert found is not None
        quad = found
    if is_cut(fragment, text, quad, mask):
        return None, "cut"
    if fragment.upright and fragment.direction[1] and not all(WIDE.match(c) for c in text.replace(" ", "")):
        quad = quad[[1, 2, 3, 0]]
    return Piece(fragment, text, quad), ""


def is_cut(fragment: Fragment, text: str, quad: Points, mask: Pixels) -> bool:
    """Part of the text is covered or clipped: ink stays away from an end of the box, has a hole, or is too low."""
    dx, dy = fragment.direction
    ends, found = fragment.quad @ (dx, dy), quad @ (dx, dy)
    blanks = (len(fragment.text) - len(fragment.text.lstrip()), len(fragment.text) - len(fragment.text.rstrip()))
    gaps = (found.min() - ends.min(), ends.max() - found.max())
    gaps = gaps[::-1] if runs_left(text) else gaps
    for char, gap, blank in zip((text[0], text[-1]), gaps, blanks, strict=True):
        bearing = LETTER_BEARING if LETTER.match(char) else SIGN_BEARING
        if gap > max(2.5, (bearing + 0.5 * blank) * fragment.size):
            return True
    if not fragment.upright:
        return False
    along = np.flatnonzero(cv2.reduce(mask, 0 if dx else 1, cv2.REDUCE_MAX))
    if int(np.max(np.diff(along), initial=0)) > HOLE * fragment.size:
        return True
    across = quad @ (-dy, dx)
    return bool(LETTER.search(text)) and float(across.max() - across.min()) < LOW * fragment.size


def is_tofu(text: str) -> bool:
    """Whether some character has no font. Private ones are left to the page's rule."""
    if text.isascii():
        return False
    return any(c > 0x20 and c not in TABLE and c not in drawable() for c in map(ord, PRIVATE_USE.sub("", text)))


@cache
def drawable() -> frozenset[int]:
    """Code points that some installed font has, by fontconfig: others are drawn as boxes."""
    listed = run(["fc-list", "-f", "%{charset}\n"], capture_output=True, text=True, check=True, timeout=120).stdout
    found: set[int] = set()
    for spans in set(listed.split("\n")):
        for span in spans.split():
            low, _, high = span.partition("-")
            found.update(range(int(low, 16), int(high or low, 16) + 1))
    return frozenset(found)


def follows(last: Piece, piece: Piece) -> bool:
    """Whether a fragment goes on where the last one stopped: same block, same line, no wide gap."""
    one, two = last.fragment, piece.fragment
    if one.block != two.block or one.upright != two.upright or abs(np.dot(one.direction, two.direction)) < 0.99:
        return False
    dx, dy = one.direction
    low, high = one.quad @ (-dy, dx), two.quad @ (-dy, dx)
    shared = min(low.max(), high.max()) - max(low.min(), high.min())
    if shared < 0.5 * min(low.max() - low.min(), high.max() - high.min()):
        return False
    return bool(-0.5 * one.size < _gap(last, piece) < one.size)


def _line(run_: list[Piece], paragraph: int, evidence: Evidence) -> Line:
    parts = []
    for piece in run_:
        raw = piece.fragment.text
        parts.append((" " if raw[:1].isspace() else "") + piece.text + (" " if raw[-1:].isspace() else ""))
    for number in range(1, len(run_)):
        if _gap(run_[number - 1], run_[number]) > 0.15 * run_[number].fragment.size:
            parts[number] = " " + parts[number].lstrip()
    text = clean("".join(parts))
    quad = around([piece.quad for piece in run_], heading(run_[0].quad))
    layout = around([piece.fragment.quad for piece in run_], heading(run_[0].quad))
    line = Line(text, quad, layout, [], paragraph)
    measure(line, 1.0, evidence)
    line.words = words_of(line, evidence, run_[0].fragment)
    return line


def _gap(left: Piece, right: Piece) -> float:
    """Pixels between the boxes of two fragments, whichever comes first."""
    axis = left.fragment.direction
    one, two = left.fragment.quad @ axis, right.fragment.quad @ axis
    return float(max(two.min() - one.max(), one.min() - two.max()))


def words_of(line: Line, evidence: Evidence, fragment: Fragment) -> list[Word]:
    """Words by the widest gaps in the line's ink; one word for the line where gaps or mixed directions do not tell."""
    texts = line.text.split(" ")
    kinds = {unicodedata.bidirectional(char) for char in line.text} if not line.text.isascii() else {"L"}
    leftwards = bool(kinds & {"R", "AL"})
    if len(texts) == 1 or not fragment.upright or fragment.direction[1] or (leftwards and "L" in kinds):
        return [Word(line.text, line.quad)]
    x0, y0, x1, y1 = bounds(line.quad, evidence.ink.shape[1], evidence.ink.shape[0])
    mask = evidence.mask[y0:y1, x0:x1]
    if not mask.size:
        return [Word(line.text, line.quad)]
    full = cv2.reduce(mask, 1, cv2.REDUCE_AVG, dtype=cv2.CV_32F).ravel()
    columns = (
        np.flatnonzero(cv2.reduce(mask[full < UNDERLINE], 0, cv2.REDUCE_MAX)) if (full < UNDERLINE).any() else full[:0]
    )
    steps = np.diff(columns)
    order = np.argsort(-steps, kind="stable")
    wanted = len(texts) - 1
    if len(order) < wanted or (len(order) > wanted and steps[order[wanted - 1]] <= steps[order[wanted]]):
        return [Word(line.text, line.quad)]
    if steps[order[wanted - 1]] < LEAST_BLANK * fragment.size:
        return [Word(line.text, line.quad)]
    cuts = np.sort(order[:wanted])
    starts, ends = [0, *(cuts + 1).tolist()], [*cuts.tolist(), len(columns) - 1]
    words = []
    for text, start, end in zip(texts[::-1] if leftwards else texts, starts, ends, strict=True):
        left, right = int(columns[start]), int(columns[end]) + 1
        words.append(Word(text, rect_quad(ink_rect(mask[:, left:right], x0 + left, y0))))
    return words[::-1] if leftwards else words


def ink_rect(mask: Pixels, x0: int, y0: int) -> Rect:
    """Bounds of a mask's ink; ``x0, y0`` is the mask's place in the image."""
    left, top, width, height = cv2.boundingRect(mask)
    return float(x0 + left), float(y0 + top), float(x0 + left + width), float(y0 + top + height)
