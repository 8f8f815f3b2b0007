"""Text ink in pixels: what the page with its text shows that the page without it does not."""

from dataclasses import dataclass, field

import cv2
import numpy as np

from qvl.synth_ocr.page.geometry import Bools, area, bounds, sides
from qvl.synth_ocr.page.page import Line, Pixels

INK = 16  # change of a channel that counts as ink; 0.97 grey on white changes 8, yellow on white 255
LEAST_SHARE = 0.03  # ink pixels / pixels of the word's box; genuine text has 0.07 and more (traps, D)
LETTER_BEARING = 0.3  # of the font size: how far the ink of a letter may stay from the end of its advance
SIGN_BEARING = 0.95  # the same for punctuation: a Chinese sign fills only half of its square


@dataclass
class Evidence:
    """``change``: how much the text changed each pixel, 0..255. ``ink``: where that change counts as ink."""

    change: Pixels
    ink: Bools = field(init=False)
    mask: Pixels = field(init=False)  # ``ink`` as 0 and 1

    def __post_init__(self) -> None:
        self.ink = self.change > INK
        self.mask = self.ink.view(np.uint8)


def text_change(with_text: Pixels, without_text: Pixels) -> Pixels:
    """The largest change of any channel, per pixel."""
    red, green, blue = cv2.split(cv2.absdiff(with_text, without_text))
    return np.asarray(cv2.max(cv2.max(red, green), blue), np.uint8)


def measure_line(line: Line, agreement: float, evidence: Evidence) -> Line:
    """Fill in what the pixels show about a line: ink share, contrast, height and the given agreement."""
    height, width = evidence.ink.shape
    x0, y0, x1, y1 = bounds(line.quad, width, height)
    ink = evidence.mask[y0:y1, x0:x1]
    count = cv2.countNonZero(ink) if ink.size else 0
    line.ink_share = count / max(abs(area(line.quad)), 1.0)
    line.contrast = float(cv2.mean(evidence.change[y0:y1, x0:x1], ink)[0]) if count else 0.0
    line.pixel_height = sides(line.quad)[1]
    line.agreement = agreement
    return line


def unlabelled_share(lines: list[Line], evidence: Evidence, margin: int = 2) -> float:
    """The share of the ink that is not in any line's box, with each box grown by ``margin`` pixels."""
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
