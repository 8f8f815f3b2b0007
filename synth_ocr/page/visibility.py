"""Which extracted words can be seen: the page with its text minus the page without it decides, word by word."""

import math
from collections import Counter
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from qvl.pipeline.markup.coordinates import box_iou
from qvl.synth_ocr.page.evidence import LEAST_SHARE, LETTER_BEARING, SIGN_BEARING, Evidence, measure_line
from qvl.synth_ocr.page.extracted import ExtractedWord
from qvl.synth_ocr.page.geometry import Points, Rect, area, around, iou, rect_quad, tight_quad, union
from qvl.synth_ocr.page.page import Line, Pixels, Word
from qvl.synth_ocr.page.text import LETTER, UNKNOWN, clean, joined

HALF_HEIGHT = 0.6  # of the glyphs' height: a word whose ink is lower is cut along its line
INNER_GAP = 1.2  # of the font size: no word has a gap this wide, unless something covers it
OVERLAP = 0.5  # of a word's box: two words that share more than this lie on top of each other
INTRUSION = -0.25  # of the font size: words of one line do not reach into each other further than this
WORD_GAP = 2.0  # of the font size: words farther apart are two records (columns, table cells)
BLANK_GAP = 0.4  # of the font size: a gap this wide is a blank, even between Chinese characters


@dataclass(slots=True)
class JudgedWord:
    """A word with the bounds of its ink, or the reason why it is not a record.

    ``oblique_quad`` is set only for text that is parallel to no side of the page. ``gap``: distance from the word before it
    on its line, in font sizes; set when words are joined to lines.
    """

    extracted: ExtractedWord
    text: str
    rect: Rect | None
    reason: str = ""
    oblique_quad: Points | None = None
    gap: float = 0.0

    @property
    def quad(self) -> Points:
        assert self.rect is not None
        return rect_quad(self.rect, self.extracted.heading) if self.oblique_quad is None else self.oblique_quad


def judge_words(words: list[ExtractedWord], evidence: Evidence) -> list[JudgedWord]:
    """Every word with its ink or a reason. Words that are drawn twice (false bold, shadow) appear once."""
    height, width = evidence.ink.shape
    owner: NDArray[np.int32] = np.full((height, width), -1, np.int32)
    judged: list[JudgedWord] = []
    for extracted in words:
        text = clean(extracted.text)
        if not text:
            continue
        word = _find_ink(extracted, text, evidence)
        if UNKNOWN.search(text) and not word.reason:
            word.reason = "unknown_character"  # its ink stays unlabelled; the rest of its line is good
        if not word.reason:
            _claim_pixels(word, judged, owner)
        judged.append(word)
    return judged


def _find_ink(extracted: ExtractedWord, text: str, evidence: Evidence) -> JudgedWord:
    height, width = evidence.ink.shape
    px0, py0, px1, py1 = extracted.rect
    x0, y0 = max(0, math.floor(px0) - 1), max(0, math.floor(py0) - 1)
    x1, y1 = min(width, math.ceil(px1) + 1), min(height, math.ceil(py1) + 1)
    if x1 <= x0 or y1 <= y0:
        return JudgedWord(extracted, text, None, "outside")
    if extracted.oblique_quad is not None:
        return _find_oblique_ink(extracted, text, extracted.oblique_quad, evidence, (x0, y0, x1, y1))
    mask = evidence.mask[y0:y1, x0:x1]
    count = cv2.countNonZero(mask)
    if count < 2 or count < LEAST_SHARE * max((px1 - px0) * (py1 - py0), 1.0):
        return JudgedWord(extracted, text, None, "invisible")
    left, top, wide, high = cv2.boundingRect(mask)
    rect = (float(x0 + left), float(y0 + top), float(x0 + left + wide), float(y0 + top + high))
    return JudgedWord(extracted, text, rect, "cut" if _is_cut(extracted, text, rect, mask) else "")


def _find_oblique_ink(
    extracted: ExtractedWord, text: str, expected: Points, evidence: Evidence, window: tuple[int, int, int, int]
) -> JudgedWord:
    x0, y0, x1, y1 = window
    inside = np.zeros((y1 - y0, x1 - x0), np.uint8)
    cv2.fillConvexPoly(inside, np.round(expected - (x0, y0)).astype(np.int32), 1)
    ink = evidence.ink[y0:y1, x0:x1] & inside.astype(bool)
    quad = tight_quad(ink, x0, y0, extracted.direction)
    count = int(np.count_nonzero(ink))
    if quad is None or count < 2 or count < LEAST_SHARE * max(abs(area(expected)), 1.0):
        return JudgedWord(extracted, text, None, "invisible")
    (ax, ay), (bx, by) = quad.min(axis=0).tolist(), quad.max(axis=0).tolist()
    return JudgedWord(extracted, text, (ax, ay, bx, by), "", quad)


def _is_cut(extracted: ExtractedWord, text: str, rect: Rect, mask: Pixels) -> bool:
    """Whether part of the word is hidden: its ink misses an end of the expected box, has a hole, or is too low."""
    px0, py0, px1, py1 = extracted.rect
    dx, dy = extracted.direction
    if abs(dx) >= abs(dy):
        missing, thick, found = (rect[0] - px0, px1 - rect[2]), py1 - py0, rect[3] - rect[1]
    else:
        missing, thick, found = (rect[1] - py0, py1 - rect[3]), px1 - px0, rect[2] - rect[0]
    if dx + dy < 0:
        missing = missing[::-1]
    size = extracted.size or thick
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


def _claim_pixels(word: JudgedWord, judged: list[JudgedWord], owner: NDArray[np.int32]) -> None:
    """Mark the word's pixels as its own. If another word has them, one of the two is a copy, or both are doubtful."""
    assert word.rect is not None
    x0, y0, x1, y1 = (max(0, int(value)) for value in word.rect)
    window = owner[y0 : y1 + 1, x0 : x1 + 1]
    holder = int(window[window.shape[0] // 2, window.shape[1] // 2]) if window.size else -1
    if holder < 0:
        window[...] = len(judged)
    elif np.count_nonzero(window == holder) > OVERLAP * window.size:
        other = judged[holder]
        if other.text == word.text and other.rect is not None:
            other.rect = union([other.rect, word.rect])
            word.reason = "copy"
        else:
            word.reason = other.reason = "overlap"


def group_into_lines(words: list[JudgedWord], evidence: Evidence) -> tuple[list[Line], Counter[str]]:
    """Lines of visible words, and how many words were dropped for each reason.

    A line is a run of one extracted line without a dropped word and without a wide gap.
    """
    runs: list[list[JudgedWord]] = []
    lost: Counter[str] = Counter()
    broken: tuple[int, int] | None = None
    for word in words:
        if word.reason:
            lost[word.reason] += 1
            broken = word.extracted.line if word.reason != "copy" else broken
            continue
        last = runs[-1][-1] if runs else None
        if last is not None and last.extracted.line == word.extracted.line != broken:
            word.gap = _gap(last, word)
            joins = word.gap <= WORD_GAP and not (word.gap < INTRUSION and _overlap_along_line(last, word))
        else:
            joins = False
        if joins:
            runs[-1].append(word)
        else:
            runs.append([word])
        broken = None
    return [_line(run, evidence) for run in runs], lost


def _overlap_along_line(left: JudgedWord, right: JudgedWord) -> bool:
    """Whether two words share a part of their line: they are table cells that run into each other, not one line."""
    if left.rect is None or right.rect is None or right.oblique_quad is not None:
        return False
    axis = 0 if right.extracted.direction[0] else 1
    return right.rect[axis + 2] > left.rect[axis] and left.rect[axis + 2] > right.rect[axis]


def _gap(left: JudgedWord, right: JudgedWord) -> float:
    """The distance between two words along their line, in font sizes."""
    dx, dy = right.extracted.direction
    if left.rect is not None and right.rect is not None and right.oblique_quad is None:
        axis = 0 if dx else 1
        forward = dx + dy > 0
        step = right.rect[axis] - left.rect[axis + 2] if forward else left.rect[axis] - right.rect[axis + 2]
        return step / max(right.extracted.size, 1.0)
    ahead = min(x * dx + y * dy for x, y in right.quad.tolist())
    behind = max(x * dx + y * dy for x, y in left.quad.tolist())
    step = ahead - behind
    return float(step) / max(right.extracted.size, 1.0)


def _line(run: list[JudgedWord], evidence: Evidence) -> Line:
    text = run[0].text
    for word in run[1:]:
        text = joined(text, word.text) if word.gap < BLANK_GAP else f"{text} {word.text}"
    words = [Word(word.text, word.quad) for word in run]
    first = run[0].extracted
    if run[0].oblique_quad is None:
        ink = union([word.rect for word in run if word.rect is not None])
        expected = union([word.extracted.rect for word in run])
        layout = rect_quad(union([word.extracted.tall for word in run]), first.heading)
        line = Line(text, rect_quad(ink, first.heading), layout, words, first.line[0])
        return measure_line(line, box_iou(ink, expected), evidence)
    quad, layout = around([word.quad for word in words]), around([word.extracted.layout for word in run])
    return measure_line(Line(text, quad, layout, words, first.line[0]), iou(quad, layout), evidence)
