"""From fragments to verified lines: ink from the difference of the two pictures, lines joined, words split at gaps."""

import unicodedata
from collections import Counter
from dataclasses import dataclass
from functools import cache
from subprocess import run

import cv2
import numpy as np

from qvl.synth_ocr.html.fragments import Fragment
from qvl.synth_ocr.page.evidence import LEAST_SHARE, LETTER_BEARING, SIGN_BEARING, Evidence, measure_line
from qvl.synth_ocr.page.geometry import Points, Rect, area, around, bounds, heading, rect_quad, tight_quad
from qvl.synth_ocr.page.page import Line, Pixels, Word
from qvl.synth_ocr.page.text import LETTER, PRIVATE_USE, REPLACEMENTS, WIDE, clean, runs_left

EDGE = 0.75  # device pixels by which a box may cross the picture's edge: boxes have fractions of pixels
HOLE = 3.0  # of the font size: the ink of one fragment has no gap this wide
UNDERLINE = 0.85  # share of ink from which a row is a line under or through the text
LEAST_BLANK = 0.15  # of the font size: the least gap between the ink of two words
LOW = 0.25  # ink lower than this share of the font size, in a fragment with letters: covered or clipped


@dataclass
class VisibleFragment:
    """A fragment with its ink."""

    fragment: Fragment
    text: str
    quad: Points


def read_lines(fragments: list[Fragment], evidence: Evidence) -> tuple[list[Line], Counter[str]]:
    """Lines in document order, and how many fragments were dropped for each reason."""
    lost: Counter[str] = Counter()
    runs: list[list[VisibleFragment]] = []
    broken = False
    for fragment in fragments:
        visible, reason = find_ink(fragment, evidence)
        if visible is None:
            lost[reason] += 1
            broken = True
            continue
        if runs and not broken and continues_line(runs[-1][-1], visible):
            runs[-1].append(visible)
        else:
            runs.append([visible])
        broken = False
    blocks: dict[tuple[int, int], int] = {}
    return [_line(run, blocks.setdefault(run[0].fragment.block, len(blocks)), evidence) for run in runs], lost


def find_ink(fragment: Fragment, evidence: Evidence) -> tuple[VisibleFragment | None, str]:
    """The fragment with its ink, or the reason why it is not a record."""
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
    return VisibleFragment(fragment, text, quad), ""


def is_cut(fragment: Fragment, text: str, quad: Points, mask: Pixels) -> bool:
    """Whether part of the text is covered or clipped: its ink misses an end of the box, has a hole, or is too low."""
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
    """Whether some character has no font. Private-use characters are left to the rules of the page."""
    if text.isascii():
        return False
    return any(
        c > 0x20 and c not in REPLACEMENTS and c not in drawable_code_points()
        for c in map(ord, PRIVATE_USE.sub("", text))
    )


@cache
def drawable_code_points() -> frozenset[int]:
    """Code points that some installed font has, according to fontconfig. Others are drawn as boxes."""
    listed = run(["fc-list", "-f", "%{charset}\n"], capture_output=True, text=True, check=True, timeout=120).stdout
    found: set[int] = set()
    for spans in set(listed.split("\n")):
        for span in spans.split():
            low, _, high = span.partition("-")
            found.update(range(int(low, 16), int(high or low, 16) + 1))
    return frozenset(found)


def continues_line(last: VisibleFragment, visible: VisibleFragment) -> bool:
    """Whether a fragment continues the line of the one before it: same block, same line, no wide gap."""
    one, two = last.fragment, visible.fragment
    if one.block != two.block or one.upright != two.upright or abs(np.dot(one.direction, two.direction)) < 0.99:
        return False
    dx, dy = one.direction
    low, high = one.quad @ (-dy, dx), two.quad @ (-dy, dx)
    shared = min(low.max(), high.max()) - max(low.min(), high.min())
    if shared < 0.5 * min(low.max() - low.min(), high.max() - high.min()):
        return False
    return bool(-0.5 * one.size < _gap(last, visible) < one.size)


def _line(run: list[VisibleFragment], paragraph: int, evidence: Evidence) -> Line:
    quad = around([each.quad for each in run], heading(run[0].quad))
    layout = around([each.fragment.quad for each in run], heading(run[0].quad))
    line = Line(_joined_text(run), quad, layout, [], paragraph)
    measure_line(line, 1.0, evidence)
    line.words = split_words(line, evidence, run[0].fragment)
    return line


def _joined_text(run: list[VisibleFragment]) -> str:
    """The fragments' texts, with a blank where one has it at its edge or where their boxes are apart."""
    parts = []
    for each in run:
        raw = each.fragment.text
        parts.append((" " if raw[:1].isspace() else "") + each.text + (" " if raw[-1:].isspace() else ""))
    for number in range(1, len(run)):
        if _gap(run[number - 1], run[number]) > LEAST_BLANK * run[number].fragment.size:
            parts[number] = " " + parts[number].lstrip()
    return clean("".join(parts))


def _gap(left: VisibleFragment, right: VisibleFragment) -> float:
    """Pixels between the boxes of two fragments, in either order."""
    axis = left.fragment.direction
    one, two = left.fragment.quad @ axis, right.fragment.quad @ axis
    return float(max(two.min() - one.max(), one.min() - two.max()))


def split_words(line: Line, evidence: Evidence, fragment: Fragment) -> list[Word]:
    """Words split at the widest gaps in the line's ink.

    The line stays one word if its gaps are not clear, if it is not level, or if it mixes reading directions.
    """
    whole = [Word(line.text, line.quad)]
    texts = line.text.split(" ")
    kinds = {unicodedata.bidirectional(char) for char in line.text} if not line.text.isascii() else {"L"}
    leftwards = bool(kinds & {"R", "AL"})
    if len(texts) == 1 or not fragment.upright or fragment.direction[1] or (leftwards and "L" in kinds):
        return whole
    x0, y0, x1, y1 = bounds(line.quad, evidence.ink.shape[1], evidence.ink.shape[0])
    mask = evidence.mask[y0:y1, x0:x1]
    spans = _word_spans(mask, len(texts), LEAST_BLANK * fragment.size) if mask.size else []
    if not spans:
        return whole
    words = [
        Word(text, rect_quad(ink_rect(mask[:, left:right], x0 + left, y0)))
        for text, (left, right) in zip(texts[::-1] if leftwards else texts, spans, strict=True)
    ]
    return words[::-1] if leftwards else words


def _word_spans(mask: Pixels, count: int, least_gap: float) -> list[tuple[int, int]]:
    """Columns (first, end) of ``count`` words, split at the widest gaps; empty if those are not clearly the widest.

    Rows that are almost full of ink are left out: they are underlines.
    """
    filled = cv2.reduce(mask, 1, cv2.REDUCE_AVG, dtype=cv2.CV_32F).ravel()
    rows = filled < UNDERLINE
    columns = np.flatnonzero(cv2.reduce(mask[rows], 0, cv2.REDUCE_MAX)) if rows.any() else np.zeros(0, np.intp)
    gaps = np.diff(columns)
    order = np.argsort(-gaps, kind="stable")
    cuts = count - 1
    if len(order) < cuts or (len(order) > cuts and gaps[order[cuts - 1]] <= gaps[order[cuts]]):
        return []
    if gaps[order[cuts - 1]] < least_gap:
        return []
    positions = np.sort(order[:cuts])
    starts, ends = [0, *(positions + 1).tolist()], [*positions.tolist(), len(columns) - 1]
    return [(int(columns[start]), int(columns[end]) + 1) for start, end in zip(starts, ends, strict=True)]


def ink_rect(mask: Pixels, x0: int, y0: int) -> Rect:
    """Bounds of a mask's ink. ``x0, y0`` is the position of the mask in the image."""
    left, top, width, height = cv2.boundingRect(mask)
    return float(x0 + left), float(y0 + top), float(x0 + left + width), float(y0 + top + height)
